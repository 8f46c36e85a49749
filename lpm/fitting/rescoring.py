"""A policy scored on keys that its search has never seen, beside random search at equal runs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import stats

from ..params import Params
from .chance import generator_for
from .choosing import FEW
from .lagrangian import Lagrangian, pseudo_values, standard_error
from .objective import Objective, Outputs
from .policy_slopes import Point

_FORGIVEN = 2.0  # Standard errors by which a limit may be exceeded on fresh keys.
_BINDS = 0.01  # A limit binds within this share of it, or two standard errors.


@dataclass(frozen=True)
class Comparison:
    """A policy beside the best of random search, over the same fresh worlds.

    Attributes:
        difference: in welfare, the policy's less that of random search.
        standard_error: of it, over pairs with the same world.
        low, high: its 95 % interval.
        verdict: better, worse, undecided, or infeasible where neither is feasible; what is not
            feasible never wins.
        welfare, params: of random search.
        feasible: of the policy, and of random search.
        runs: that each of them spent.
    """

    difference: float
    standard_error: float
    low: float
    high: float
    verdict: str
    welfare: float
    params: Params
    feasible: tuple[bool, bool]
    runs: int

    def __str__(self) -> str:
        words = {
            "better": "better than",
            "worse": "LOSES to",
            "undecided": "NOT distinguishable from",
            "infeasible": "no more feasible than",
        }[self.verdict]
        text = (
            f"{words} random search at {self.runs} runs each: welfare {self.difference:+.4g} in "
            f"[{self.low:.4g}, {self.high:.4g}]"
        )
        mine, theirs = self.feasible
        if mine and not theirs:
            text += ", whose best policy is not feasible"
        if theirs and not mine:
            text += ", and is not feasible while that of random search is"
        return text


def score(lagrangian: Lagrangian, outputs: Outputs) -> tuple[float, float, bool]:
    """Welfare of the first point, its standard error, and whether it is feasible."""
    values = _values(lagrangian, outputs)[0]
    feasible = lagrangian.judge(outputs[:1], safety=-_FORGIVEN)[1][0] == 0
    return float(values.mean()), _error(values), bool(feasible)


def compare(lagrangian: Lagrangian, outputs: Outputs, params: Params, runs: float) -> Comparison:
    """The comparison, from outputs of both in the same worlds."""
    values = _values(lagrangian, outputs)
    count = values.shape[1]
    gain = values[0] - values[1]
    # A tie of deterministic outcomes is a tie to the precision of float32.
    tiny = 1e-6 * max(abs(values.mean()), 1e-30)
    mean, error = float(gain.mean()), _error(gain)
    reach = float(stats.t.ppf(0.975, count - 1)) * error if count > 1 else np.inf
    feasible = lagrangian.judge(outputs, safety=-_FORGIVEN)[1] == 0
    mine, theirs = bool(feasible[0]), bool(feasible[1])
    if not (mine or theirs):
        verdict = "infeasible"
    elif mine != theirs:
        verdict = "better" if mine else "worse"
    elif mean - reach > tiny:
        verdict = "better"
    else:
        verdict = "worse" if mean + reach < -tiny else "undecided"
    return Comparison(
        difference=mean,
        standard_error=error,
        low=mean - reach,
        high=mean + reach,
        verdict=verdict,
        welfare=float(values[1].mean()),
        params=params,
        feasible=(mine, theirs),
        runs=round(runs),
    )


def constraint_table(lagrangian: Lagrangian, outputs: Outputs) -> pl.DataFrame:
    """A row per constraint: what became of it on fresh keys.

    Columns: constraint, relation, limit, value, standard_error, excess (beyond the limit; below
    zero: room), feasible (within two standard errors), binds, multiplier (welfare gained per unit
    by which the limit is relaxed; nan until `with_prices`, and where a constraint is not met) and
    its multiplier_standard_error.
    """
    rows = []
    excess = lagrangian.excess(outputs)
    error = standard_error(excess)[0]
    mean = excess.mean(axis=1)[0]
    for i, c in enumerate(lagrangian.constraints):
        size = abs(mean[i]) if c.sign == 0 else mean[i]
        near = max(2 * error[i], _BINDS * max(abs(c.limit), 1e-3))
        rows.append(
            {
                "constraint": c.name,
                "relation": {1: "at most", -1: "at least", 0: "equal"}[c.sign],
                "limit": c.limit,
                "value": c.limit + (c.sign or 1) * float(mean[i]),
                "standard_error": float(error[i]),
                "excess": float(mean[i]),
                "feasible": bool(size <= max(c.slack, c.slack + _FORGIVEN * error[i])),
                "binds": bool(c.sign == 0 or mean[i] >= -near),
                "multiplier": float("nan"),
                "multiplier_standard_error": float("nan"),
            }
        )
    return pl.DataFrame(rows)


def with_prices(
    table: pl.DataFrame, lagrangian: Lagrangian, objective: Objective, z: Point, step: float
) -> pl.DataFrame:
    """The table with what each constraint costs, which takes runs, where all are met."""
    if not len(table) or not table["feasible"].all():
        return table
    prices, errors = _prices(lagrangian, objective, z, table["binds"].to_numpy(), step)
    return table.with_columns(
        multiplier=pl.Series(prices), multiplier_standard_error=pl.Series(errors)
    )


def cannot_be_met(lagrangian: Lagrangian, outputs: Outputs, table: pl.DataFrame) -> list[str]:
    """Sentences on constraints that no point met, from outputs of all points looked at."""
    excess = lagrangian.excess(outputs)
    mean, error = excess.mean(axis=1), standard_error(excess)
    sentences = []
    for i, c in enumerate(lagrangian.constraints):
        size = np.abs(mean[:, i]) if c.sign == 0 else mean[:, i]
        best = int(np.argmin(np.where(np.isfinite(size), size, np.inf)))
        if size[best] > c.slack + _FORGIVEN * error[best, i]:
            value = c.limit + (c.sign or 1) * mean[best, i]
            sentences.append(
                f"{c} cannot be met: at best it is {value:.6g} ({error[best, i]:.2g}), beyond the "
                f"limit by {size[best]:.4g}."
            )
    if not sentences:
        beyond = [
            f"{row['constraint']} by {row['excess']:.4g} ({row['standard_error']:.2g})"
            for row in table.to_dicts()
            if not row["feasible"]
        ]
        if len(lagrangian.constraints) > 1:
            sentences.append("Each constraint can be met, but not all together. ")
        sentences.append(f"No feasible policy was found; this one exceeds {', '.join(beyond)}.")
    return sentences


def _prices(
    lagrangian: Lagrangian, objective: Objective, z: Point, bound: Any, step: float
) -> tuple[Float[np.ndarray, " constraint"], Float[np.ndarray, " constraint"]]:
    """Multipliers that balance the slopes of goal and binding constraints, by least squares."""
    prices, errors = np.zeros(len(bound)), np.zeros(len(bound))
    if not bound.any():
        return prices, errors
    size = len(z)
    directions = np.eye(size)
    if size > FEW:
        rng = generator_for(objective.words, "prices")
        directions = np.linalg.qr(rng.standard_normal((size, FEW)))[0].T
        step = min(step * np.sqrt(size), 1.0)
    slopes = objective.slopes(z[None], directions, step)[0]
    worlds = len(slopes)
    losses = objective.evaluate(z[None])[0].astype(np.float64) @ lagrangian.goal
    weights = lagrangian.average.weigh(losses[None])[1][0][:, None] * worlds
    goal = weights * np.einsum("wod,o->wd", slopes, lagrangian.goal)
    sides = [
        slopes[:, o] * (c.sign or 1)
        for c, o, b in zip(lagrangian.constraints, lagrangian.outputs, bound, strict=True)
        if b
    ]
    rises = np.stack(sides, axis=-1)

    def solve(goal: np.ndarray, rises: np.ndarray) -> np.ndarray:
        return -np.linalg.lstsq(rises, goal, rcond=None)[0]

    prices[bound] = solve(goal.mean(axis=0), rises.mean(axis=0))
    if worlds > 1:
        total, rest = goal.sum(axis=0), rises.sum(axis=0)
        left = np.stack(
            [
                solve((total - goal[i]) / (worlds - 1), (rest - rises[i]) / (worlds - 1))
                for i in range(worlds)
            ]
        )
        spread = ((left - left.mean(axis=0)) ** 2).sum(axis=0) * (worlds - 1) / worlds
        errors[bound] = np.sqrt(spread)
    return prices, errors


def _values(lagrangian: Lagrangian, outputs: Outputs) -> Float[np.ndarray, "point world"]:
    """Numbers per world whose mean is welfare."""
    return -pseudo_values(lagrangian.average, outputs.astype(np.float64) @ lagrangian.goal)


def _error(values: Float[np.ndarray, " world"]) -> float:
    count = len(values)
    return float(values.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
