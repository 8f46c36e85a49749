"""PopulationSim's side of the comparison; runs in its environment, on the folder of a case.

Its own steps run in their own order, with its checkpoints, as its command would run them; only its
summaries, its tables on disk and its log are left out.
"""

import contextlib
import importlib
import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

WEIGHTING = ("balancing", "factoring", "integerize")


def steps_of(case: dict[str, Any]) -> list[str]:
    """The steps of its manual's base mode, those below the seed level only where there are any."""
    finer = case["geographies"][case["geographies"].index(case["seed"]) + 1 :]
    names = ["input_pre_processor", "setup_data_structures", "initial_seed_balancing"]
    names += ["meta_control_factoring", "final_seed_balancing"]
    if case["whole"]:
        names.append("integerize_final_seed_weights")
    names += [f"sub_balancing.geography={geography}" for geography in finer]
    return [*names, "expand_households"] if case["whole"] else names


def settings_of(case: dict[str, Any]) -> dict[str, Any]:
    geographies = case["geographies"]
    files = [
        {"tablename": "households", "filename": "households.csv", "index_col": "hh_id"},
        {"tablename": "persons", "filename": "persons.csv"},
        {"tablename": "geo_cross_walk", "filename": "crosswalk.csv"},
    ]
    files += [
        {"tablename": f"{name}_control_data", "filename": f"{name}.csv"} for name in case["levels"]
    ]
    return case["settings"] | {
        "geographies": geographies,
        "seed_geography": case["seed"],
        "input_table_list": files,
        "household_weight_col": "weight",
        "household_id_col": "hh_id",
        "total_hh_control": case["total"],
        "control_file_name": "controls.csv",
        "INTEGERIZE_WITH_BACKSTOPPED_CONTROLS": True,
        "SUB_BALANCE_WITH_FLOAT_SEED_WEIGHTS": False,
        "USE_SIMUL_INTEGERIZER": True,
        "USE_CVXPY": False,
        "NO_INTEGERIZATION_EVER": not case["whole"],
        "models": steps_of(case),
    }


def run_once(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    """Seconds of the whole run and of its weighting steps, and its weights."""
    inject = importlib.import_module("populationsim.core.inject")
    pipeline = importlib.import_module("populationsim.core.pipeline")
    inject.reinject_decorated_tables()
    inject.clear_cache()
    for name, place in (("configs_dir", ""), ("data_dir", ""), ("output_dir", "output")):
        inject.add_injectable(name, str(folder / place))
    began, busy, weighting = time.perf_counter(), time.process_time(), 0.0
    pipeline.open_pipeline()
    for step in steps_of(case):
        since = time.perf_counter()
        pipeline.run_model(step)
        if any(word in step for word in WEIGHTING):
            weighting += time.perf_counter() - since
    finest = next(iter(case["levels"]))
    weights = pipeline.get_table(f"{finest}_weights").reset_index(drop=True)
    incidence = pipeline.get_table("incidence_table")
    pipeline.close_pipeline()
    seconds = {"whole": time.perf_counter() - began, "weighting": weighting}
    seconds["processor"] = time.process_time() - busy
    return {"seconds": seconds, "weights": weights, "incidence": incidence}


def totals_of(case: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What its weights add up to, per level, for fractions and for whole numbers."""
    reached: dict[str, Any] = {}
    table = found["weights"]
    for kind in ("balanced_weight", "integer_weight") if case["whole"] else ("balanced_weight",):
        for level, controls in case["levels"].items():
            rows = found["incidence"].loc[table["hh_id"], controls].to_numpy(float)
            sums = (table[[level]]).join(
                type(table)(rows * table[[kind]].to_numpy(), columns=controls)
            )
            sums = sums.groupby(level).sum()
            reached[f"{kind}/{level}"] = {
                str(zone): list(row) for zone, row in zip(sums.index, sums.values, strict=True)
            }
    if not case["whole"]:
        reached["weights"] = dict(
            zip(map(str, table["hh_id"]), table["balanced_weight"], strict=True)
        )
    return reached


def main() -> None:
    folder, repeat = Path(sys.argv[1]), int(sys.argv[2])
    case = json.loads((folder / "case.json").read_text())
    # JSON is YAML too.
    (folder / "settings.yaml").write_text(json.dumps(settings_of(case)))
    (folder / "output").mkdir(exist_ok=True)
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        importlib.import_module("populationsim.steps")
        imports = time.time() - float(sys.argv[3])
        runs = [run_once(folder, case) for _ in range(repeat)]
    answer = {
        "version": importlib.import_module("importlib.metadata").version("populationsim"),
        "imports": imports,
        "seconds": [run["seconds"] for run in runs],
        "reached": totals_of(case, runs[-1]),
    }
    (folder / "theirs.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
