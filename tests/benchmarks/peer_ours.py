"""Our side of the comparison, on the same folder of a case; runs in this environment."""

import json
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lpm.population.controlled import round_to_controls
from lpm.population.seeds import generator
from lpm.population.weighting import Level, Problem, fit_weights, importance_errors


@dataclass(frozen=True)
class Part:
    """The records of one part of the country and the zones that draw on them."""

    ids: np.ndarray
    problem: Problem


def read_parts(folder: Path, case: dict[str, Any], *, soft: bool) -> list[Part]:
    """One problem for each seed zone; importances count as errors where the fit is soft."""
    homes = pl.read_csv(folder / "households.csv", infer_schema_length=None)
    places = pl.read_csv(folder / "crosswalk.csv")
    parts = []
    for seed in places[case["seed"]].unique().sort():
        own = homes.filter(pl.col(case["seed"]) == seed)
        inside = places.filter(pl.col(case["seed"]) == seed)
        levels = []
        for name, controls in case["levels"].items():
            totals = pl.read_csv(folder / f"{name}.csv")
            totals = totals.filter(pl.col(name).is_in(inside[name].unique().to_list()))
            if name == next(iter(case["levels"])):
                inside = totals.select(name).join(inside, on=name, maintain_order="left")
            target = totals.select(pl.col(controls).cast(pl.Float64)).to_numpy()
            importance = np.array([case["importance"][control] for control in controls])
            error = importance_errors(target, importance) if soft else np.zeros_like(target)
            incidence = own.select(pl.col(controls).cast(pl.Float64)).to_numpy()
            labels = totals[name].to_list()
            number = {label: i for i, label in enumerate(labels)}
            zone_of = np.array([number[label] for label in inside[name]])
            zones = tuple(map(str, labels))
            levels.append(Level(name, zones, tuple(controls), incidence, target, error, zone_of))
        prior = own["weight"].cast(pl.Float64).to_numpy()
        parts.append(Part(own["hh_id"].to_numpy(), Problem(prior, tuple(levels))))
    return parts


def run_once(folder: Path, case: dict[str, Any], *, soft: bool) -> dict[str, Any]:
    """Seconds of the whole run and of its weighting, and the weights."""
    began, busy = time.perf_counter(), time.process_time()
    parts = read_parts(folder, case, soft=soft)
    since = time.perf_counter()
    low, high = case["bounds"] if soft else (0.0, float("inf"))
    fits = [fit_weights(part.problem, bounds=(low, high)) for part in parts]
    fitted, drawn = time.perf_counter() - since, []
    for part, fit in zip(parts, fits, strict=True):
        if case["whole"]:
            adds = np.hstack([level.incidence for level in part.problem.levels])
            kinds = np.zeros(len(part.ids), int)
            counts = round_to_controls(fit.weights, kinds, adds, generator(0))
            drawn.append(np.zeros(fit.weights.shape))
            np.add.at(drawn[-1], (counts.zone, counts.record), counts.count)
    now = time.perf_counter()
    seconds = {"whole": now - began, "weighting": now - since, "fit": fitted}
    seconds["processor"] = time.process_time() - busy
    return {"seconds": seconds, "parts": parts, "fits": fits, "drawn": drawn}


def totals_of(case: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What the weights add up to, per level, for fractions and for whole numbers."""
    reached: dict[str, Any] = {}
    sides = {"balanced_weight": [fit.weights for fit in found["fits"]]}
    sides |= {"integer_weight": found["drawn"]} if case["whole"] else {}
    for kind, weights in sides.items():
        for part, of_part in zip(found["parts"], weights, strict=True):
            for level in part.problem.levels:
                sums = np.zeros(level.target.shape)
                np.add.at(sums, level.zone_of, of_part @ level.incidence)
                at = reached.setdefault(f"{kind}/{level.name}", {})
                at.update(zip(level.zones, sums.tolist(), strict=True))
    if not case["whole"]:
        weights = reached.setdefault("weights", {})
        for part, fit in zip(found["parts"], found["fits"], strict=True):
            weights.update(zip(map(str, part.ids), fit.weights.sum(axis=0).tolist(), strict=True))
    return reached


def main() -> None:
    folder, repeat, soft = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "soft"
    case = json.loads((folder / "case.json").read_text())
    imports = time.time() - float(sys.argv[4])
    runs = [run_once(folder, case, soft=soft) for _ in range(repeat)]
    answer = {
        "version": version("lpm"),
        "imports": imports,
        "seconds": [run["seconds"] for run in runs],
        "reached": totals_of(case, runs[-1]),
    }
    (folder / "ours.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
