"""`pareto`: policies of which none is better than another in all that counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from scipy.stats import qmc

from ..errors import FittingError
from ..params import Params
from ..population import Population
from ..provenance import describe_run, identity
from ..scenario import Scenario
from .averaging import Mean
from .chance import fresh_words
from .journal import Journal
from .lagrangian import Constraint, Lagrangian, standard_error
from .objective import Outputs, Points, Readings
from .policies import on_fresh_worlds, said
from .policy_diary import Diary
from .policy_draws import Draws, settle_draws
from .policy_search import Search
from .policy_slopes import Effort, Point, Slopes, choose_slopes
from .request import choose_fields, settle
from .runs import as_tree, check_loss
from .seam import Estimator, Loss
from .shaped import Shaped, ShapedObjective
from .shapes import Shape
from .watching import open_watch

_LEAST = 0.02  # Weight of what counts least; with none at all it would be given away for nothing.
_FORGIVEN = 1e-6


def pareto(
    scenario: Scenario[Any, Any],
    population: Population | Sequence[Population],
    objectives: Mapping[str, Loss],
    *,
    keys: Any,
    points: int = 8,
    sweep: str = "weights",
    fields: Sequence[str] | None = None,
    budget: int = 8000,
    estimator: str | Estimator = "auto",
    constraints: Sequence[Constraint] = (),
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    draws: Draws = None,
    shape: Shape | Mapping[str, Shape] | None = None,
    step: float = 0.5,
    fresh: int = 64,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> pl.DataFrame:
    """Policies along the trade-off between several expected values, each to be lowered.

    One screen serves all points; each search starts from the point before or from the screen,
    whichever is better. What is returned was scored on fresh keys, and of those points none is
    below another in every mean.

    Args:
        objectives: by name, of the trajectory of one run: a float, or one per row whose sum is
            meant. All are lowered; return minus what is to be raised.
        points: searches along the sweep.
        sweep: weights, of each objective in its spread over the screen, which finds the convex
            part of the trade-off; or limits, for two objectives, which lowers the first while the
            second stays below evenly spaced levels.
        budget: simulator runs for all searches together.
        constraints: `lpm.fitting.at_most`, `at_least` or `equal`, kept by every point.
        scenario, population, keys, fields, estimator, params, steps, every, draws, shape, step,
            fresh, out, progress: as for `lpm.optimise`.

    Returns:
        A row per point, by the first objective: each objective and its `_standard_error`,
        `weight_` (of each) or `limit` as swept, the value of each constraint, and every number of
        the policy. Points that miss a constraint by more than two standard errors are left out.

    Raises:
        FittingError: fewer than two objectives or points, limits for more than two, a budget that
            is too small, constraints that no point keeps, or as for `lpm.optimise`.
        ScenarioError: as for `lpm.optimise`.
        SimulationError: as for `lpm.optimise`.
    """
    params, steps, words = settle(scenario, keys, params, steps, every)
    names = choose_fields(params, "policy", fields)
    populations = [population] if isinstance(population, Population) else list(population)
    _check(objectives, points, sweep, budget, len(words))
    for loss in (*objectives.values(), *(c.function for c in constraints)):
        check_loss(scenario, populations[0], loss, words, params, steps, every)
    about = identity(describe_run(scenario, populations[0], params, words, steps, every, "stop"))
    about |= {
        "verb": "pareto",
        "fields": list(names),
        "objectives": list(objectives),
        "constraints": [str(c) for c in constraints],
        "populations": [p.fingerprint for p in populations],
        "choices": [points, sweep, budget, said(estimator), step, fresh, str(shape)],
    }
    first, *read = *objectives.values(), *(c.function for c in constraints)
    objective = ShapedObjective(
        scenario,
        populations,
        Readings(as_tree(first), tuple(Readings(as_tree(f)) for f in read)),
        words,
        Shaped.of(params, names, shape),
        steps,
        every,
        Journal(out, about),
        settle_draws(draws, params, names, words, "draws"),
    )
    objective.check_start(objective.space.start)
    effort = Effort(float(budget), 1, "adam", estimator, step, None)
    with open_watch(progress, budget, scenario.name) as watch:
        goals = Goals(len(objectives), tuple(constraints))
        diary = Diary(objective, goals.lagrangian(np.eye(len(objectives))[0]), watch)
        sweeper = _Sweeper(objective, effort, diary, objectives, goals)
        swept, found = sweeper.limits(points) if sweep == "limits" else sweeper.weights(points)
    fresh_draws = settle_draws(draws, params, names, fresh_words(words, fresh, "fresh"), "fresh")
    outputs = on_fresh_worlds(objective, fresh, fresh_draws).evaluate(found).astype(np.float64)
    frame = _frame(objective.shaped, list(objectives), swept, found, outputs, constraints)
    if out is not None:
        frame.write_csv(Path(out) / "pareto.csv")
    return frame


@dataclass(frozen=True)
class Goals:
    """Several goals, the first outputs, under the same constraints, the outputs behind them."""

    size: int
    constraints: tuple[Constraint, ...]

    def lagrangian(
        self, weights: Float[np.ndarray, " objective"], *limits: Constraint
    ) -> Lagrangian:
        """One number to lower: goals by weight, limits on the second of them, constraints."""
        behind = range(self.size, self.size + len(self.constraints))
        goal = np.concatenate([weights, np.zeros(len(self.constraints))])
        held, outputs = [*limits, *self.constraints], [*(1 for _ in limits), *behind]
        return Lagrangian(goal, Mean(), held, outputs)


class _Sweeper:
    """Searches in a row, over one screen."""

    def __init__(
        self,
        objective: ShapedObjective,
        effort: Effort,
        diary: Diary,
        aims: Mapping[str, Loss],
        goals: Goals,
    ) -> None:
        self._objective, self._effort, self._diary = objective, effort, diary
        self._aims, self._goals, names = aims, goals, list(aims)
        even = goals.lagrangian(np.ones(len(names)) / len(names))
        first = objective.space.start[None]
        self._points, self._outputs = Search(objective, even, effort, diary).screen(first)
        spread = [goals.lagrangian(row) for row in np.eye(len(names))]
        for one in spread:
            one.measure(self._outputs)
        self._units = np.array([one.scale for one in spread])
        self._label: Slopes | None = None

    def weights(self, count: int) -> tuple[dict[str, np.ndarray], Points]:
        """One search per set of weights."""
        size = len(self._aims)
        if size == 2:
            rising = np.linspace(_LEAST, 1 - _LEAST, count)
            weights = np.stack([rising, 1 - rising], axis=1)
        else:
            power = int(np.ceil(np.log2(count)))
            levels = qmc.Sobol(size, scramble=False).random_base2(power)[:count] + 0.5 / 2**power
            weights = -np.log(levels)
            weights = np.maximum(weights / weights.sum(axis=1, keepdims=True), _LEAST)
        found: list[Point] = []
        for number, row in enumerate(weights):
            goal = self._goals.lagrangian(row / self._units)
            found.append(self._search(goal, found, count - number))
        columns = {f"weight_{n}": weights[:, i] for i, n in enumerate(self._aims)}
        return columns, np.stack(found)

    def limits(self, count: int) -> tuple[dict[str, np.ndarray], Points]:
        """The ends first, then one search per level of the second objective between them."""
        whole = np.eye(2) + _LEAST
        ends: list[Point] = []
        for number, row in enumerate(whole):
            ends.append(
                self._search(self._goals.lagrangian(row / self._units), ends, count - number)
            )
        found = self._objective.evaluate(np.stack(ends)).astype(np.float64).mean(axis=1)
        levels = np.linspace(found[1, 1], found[0, 1], count)
        points: list[Point] = [ends[1]]
        for number, level in enumerate(levels[1:-1]):
            name, aim = list(self._aims.items())[1]
            slack = 1e-5 * max(abs(level), 1e-3)
            limit = Constraint(aim, float(level), name, 1, slack)
            bound = self._goals.lagrangian(np.array([1.0, 0.0]) / self._units[0], limit)
            points.append(self._search(bound, points, count - 2 - number))
        return {"limit": levels}, np.stack([*points, ends[0]])

    def _search(self, lagrangian: Lagrangian, before: list[Point], left: int) -> Point:
        objective, effort = self._objective, self._effort
        lagrangian.measure(self._outputs)
        share = (effort.budget - objective.runs) / left
        search = Search(
            objective, lagrangian, replace(effort, budget=objective.runs + share), self._diary
        )
        order = lagrangian.order(self._outputs)
        candidates = np.stack([*before[-1:], self._points[order[0]]])
        seen = objective.evaluate(candidates)
        values = np.nan_to_num(lagrangian.weigh(seen)[0], nan=np.inf)
        start = candidates[[int(np.argmin(values))]]
        if self._label is None:
            self._label = choose_slopes(objective, lagrangian, start[0], effort)
        slopes = replace(self._label, lagrangian=lagrangian, batch=0, tell=self._diary)
        reserve = min(search.reserve(slopes), 0.35 * share)
        ends = search.descend(slopes, start, share - reserve)
        return search.settle(slopes, np.concatenate([candidates, ends]))[0]


def undominated(means: Float[np.ndarray, "point objective"]) -> Bool[np.ndarray, " point"]:
    """Points that no other is below in one mean and not above in any."""
    spread = np.ptp(means, axis=0) * _FORGIVEN
    below = (means[:, None] <= means[None] + spread).all(axis=2)
    strictly = (means[:, None] < means[None] - spread).any(axis=2)
    return ~(below & strictly).any(axis=0)


def _frame(
    space: Shaped,
    names: list[str],
    swept: dict[str, np.ndarray],
    found: Points,
    outputs: Outputs,
    constraints: Sequence[Constraint],
) -> pl.DataFrame:
    means, errors = outputs.mean(axis=1), standard_error(outputs)
    columns: dict[str, Any] = {}
    kept = np.ones(len(means), bool)
    for i, name in enumerate(names):
        columns |= {name: means[:, i], f"{name}_standard_error": errors[:, i]}
    columns |= swept
    for i, limit in enumerate(constraints, start=len(names)):
        excess = limit.excess(means[:, i])
        beyond = np.abs(excess) if limit.sign == 0 else excess
        kept &= beyond <= limit.slack + 2 * errors[:, i]
        columns[limit.name] = means[:, i]
    if not kept.any():
        raise FittingError(
            f"no point of the sweep keeps {[str(c) for c in constraints]} on fresh keys; loosen "
            "them or give a larger budget"
        )
    columns |= dict(zip(space.labels, space.flat(found).T, strict=True))
    best = np.zeros(len(means), bool)
    best[kept] = undominated(means[kept][:, : len(names)])
    rows = pl.DataFrame(columns).filter(pl.Series(best))
    return rows.unique(subset=names, maintain_order=True).sort(names[0])


def _check(
    objectives: Mapping[str, Loss], points: int, sweep: str, budget: int, worlds: int
) -> None:
    if len(objectives) < 2 or points < 2:
        raise FittingError(
            f"{len(objectives)} objectives and {points} points; give at least two of each"
        )
    if sweep not in ("weights", "limits") or (sweep == "limits" and len(objectives) > 2):
        raise FittingError(
            f"sweep = {sweep!r} over {len(objectives)} objectives; it is 'weights', or 'limits' "
            "for two of them"
        )
    if budget < 8 * points * worlds:
        raise FittingError(
            f"budget = {budget} runs; give at least {8 * points * worlds}, eight points with every "
            "key for each of the sweep"
        )
