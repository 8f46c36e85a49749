"""Errors by method and runs, and the runs that give equal error."""

from typing import Any

import jax
import numpy as np

from lpm.fitting.chance import generator_for

OURS = ("lpm.posterior", "lpm.posterior, variational", "lpm.calibrate")
_DRAWS = 500  # Of truths with replacement, for the spread.


def summarise(found: dict[str, Any], budgets: tuple[int, ...]) -> dict[str, Any]:
    """Median errors over the truths with their quartiles, and runs for the error of each peer."""
    sd, references = found["prior_sd"], found["reference"]
    errors = {
        name: errors_of(rows, references, np.array(sd), budgets)
        for name, rows in found["estimates"].items()
    }
    shown = {name: _show(one, budgets) for name, one in errors.items()}
    peers = [name for name in errors if name not in OURS]
    return {
        "error_of_the_reference": _typical([r["error_of_mean"] for r in references], sd),
        "posterior_sd": _typical([r["sd"] for r in references], sd),
        "errors": shown,
        "runs_for_equal_error": {
            ours: {peer: compare(errors[ours], errors[peer], budgets) for peer in peers}
            for ours in OURS
            if ours in errors
        },
    }


def errors_of(
    rows: list[dict[str, Any]], references: list[dict[str, Any]], sd: np.ndarray, budgets: Any
) -> np.ndarray:
    """Error by truth and budget: of the latest estimate that spent more than half of it, or nan."""
    out = np.full((len(references), len(budgets)), np.nan)
    for number, reference in enumerate(references):
        own = sorted((r["runs"], r["estimate"]) for r in rows if r["number"] == number)
        for column, budget in enumerate(budgets):
            within = [estimate for runs, estimate in own if budget / 2 < runs <= budget]
            if within:
                out[number, column] = _size(np.array(within[-1]) - reference["mean"], sd)
    return out


def _size(miss: Any, sd: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.array(miss) / np.array(sd)))))


def _typical(rows: list[Any], sd: Any) -> float:
    return round(float(np.median([_size(row, sd) for row in rows])), 4)


def _show(errors: np.ndarray, budgets: tuple[int, ...]) -> dict[str, Any]:
    found = {}
    for column, budget in enumerate(budgets):
        if not np.isnan(errors[:, column]).any():
            low, middle, high = np.quantile(errors[:, column], [0.25, 0.5, 0.75])
            found[str(budget)] = [round(float(x), 4) for x in (low, middle, high)]
    return found


def compare(ours: np.ndarray, theirs: np.ndarray, budgets: tuple[int, ...]) -> dict[str, Any]:
    """The peer where its median error is lowest, and the runs with which ours is as low.

    Median errors are interpolated between budgets on logarithmic scales; where ours is lower with
    the fewest runs it takes, or never as low, the number of runs is an upper or a lower bound. The
    spread is of truths drawn with replacement, 5 to 95 %.
    """
    rng = generator_for(jax.random.key_data(jax.random.key(7))[None], "bootstrap")
    picks = rng.integers(len(ours), size=(_DRAWS, len(ours)))
    at, error, needed = _equal(ours, theirs, budgets)
    ratios = [_ratio(*_equal(ours[pick], theirs[pick], budgets)) for pick in picks]
    low, high = np.quantile(ratios, [0.05, 0.95], method="nearest")
    bound = ""
    if needed <= _least(ours, budgets):
        bound = "at most"
    elif needed > budgets[-1]:
        bound = "more than"
    return {
        "peer_runs": at,
        "peer_error": round(error, 4),
        "runs": None if np.isinf(needed) else round(needed),
        "bound": bound,
        "ratio": None if np.isinf(needed) else round(needed / at, 3),
        "ratio_spread": [None if np.isinf(x) else round(float(x), 3) for x in (low, high)],
    }


def _ratio(at: int, error: float, needed: float) -> float:
    return needed / at


def _least(errors: np.ndarray, budgets: tuple[int, ...]) -> int:
    return budgets[int(np.flatnonzero(~np.isnan(errors).any(axis=0))[0])]


def _equal(
    ours: np.ndarray, theirs: np.ndarray, budgets: tuple[int, ...]
) -> tuple[int, float, float]:
    """The peer's best budget, its error there, and our runs for it; infinite if never reached."""
    medians = np.median(theirs, axis=0)  # nan where a truth has none.
    best = int(np.nanargmin(medians))
    error = float(medians[best])
    curve = np.median(ours, axis=0)
    known = np.flatnonzero(~np.isnan(curve))
    runs, curve = np.array(budgets, float)[known], np.minimum.accumulate(curve[known])
    if curve[0] <= error:
        return budgets[best], error, float(runs[0])
    if curve[-1] > error:
        return budgets[best], error, float("inf")
    after = int(np.argmax(curve <= error))
    share = np.log(curve[after - 1] / error) / np.log(curve[after - 1] / curve[after])
    logs = np.log(runs[after - 1 : after + 1])
    return budgets[best], error, float(np.exp(logs[0] + share * (logs[1] - logs[0])))
