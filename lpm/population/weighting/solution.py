"""From tasks to answers: problems that share records are solved together, as one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from lpm.errors import FittingError, listing

from .climb import Climbed, Progress, climb
from .problem import UNBOUNDED, Fitted, Level, Problem, Rules
from .system import build_system, forced_out

INFEASIBLE = {
    "level": pl.String,
    "zone": pl.String,
    "control": pl.String,
    "target": pl.Float64,
    "reached": pl.Float64,
    "missing": pl.Float64,
    "proven": pl.Boolean,
}


@dataclass(frozen=True)
class Task:
    """One fit to be made.

    Attributes:
        problem: whose totals agree.
        reconciled: what was changed for that.
        prior: of each record in each zone; zero or less where it may not be drawn.
    """

    problem: Problem
    reconciled: pl.DataFrame
    prior: Float[np.ndarray, "zone record"]


@dataclass(frozen=True)
class _Found:
    """One task's part of what was found."""

    weights: Float[np.ndarray, "zone record"]
    gap: Float[np.ndarray, " zone"]
    multipliers: tuple[Float[np.ndarray, "_zone _control"], ...]
    missed: tuple[Bool[np.ndarray, "_zone _control"], ...]
    proven: tuple[Bool[np.ndarray, "_zone _control"], ...]
    settled: Bool[np.ndarray, " block"]


def solve(
    tasks: Sequence[Task],
    multipliers: Sequence[Float[np.ndarray, "_zone _control"]] | None,
    rules: Rules,
    progress: Progress | None = None,
) -> list[Fitted]:
    """The answers, all begun at the same multipliers; they differ in totals and priors only."""
    stacked = _stack([task.problem for task in tasks])
    prior = np.maximum(np.concatenate([task.prior for task in tasks]), 0.0)
    system, kinds, scales = build_system(stacked, rules.slack, rules.bounds)
    gathered = kinds.gather(prior)
    outs = [forced_out(level, kinds) for level in stacked.levels]
    begin = tuple(np.zeros(target.shape) for target in system.target)
    if multipliers is not None:
        pairs = zip(multipliers, scales, strict=True)
        begin = tuple(np.tile(m * scale, (len(tasks), 1)) for m, scale in pairs)
    state = climb(system, gathered, outs, begin, rules.tolerance, progress)
    _check_bounds(stacked, state, rules)
    factor = np.divide(state.weights, gathered, out=np.zeros_like(gathered), where=gathered > 0)
    found = _Found(
        weights=prior * factor[:, kinds.kind_of],
        gap=state.gap[np.asarray(system.block[0])],
        multipliers=tuple(m / s for m, s in zip(state.multipliers, scales, strict=True)),
        missed=state.repair.missed,
        proven=state.repair.proven,
        settled=state.settled,
    )
    parts = _split(found, len(tasks))
    return [_answer(task, part, rules) for task, part in zip(tasks, parts, strict=True)]


def reached_totals(
    level: Level, weights: Float[np.ndarray, "finest record"]
) -> Float[np.ndarray, "zone control"]:
    """What the weights add up to in the zones of a level."""
    found = np.zeros(level.target.shape)
    np.add.at(found, level.zone_of, weights @ level.incidence)
    return found


def _stack(problems: Sequence[Problem]) -> Problem:
    """The zones of all the problems side by side."""
    levels = []
    for same in zip(*(problem.levels for problem in problems), strict=True):
        count = len(same[0].zones)
        zone_of = [level.zone_of + i * count for i, level in enumerate(same)]
        levels.append(
            replace(
                same[0],
                zones=same[0].zones * len(same),
                target=np.concatenate([level.target for level in same]),
                error=np.concatenate([level.error for level in same]),
                zone_of=np.concatenate(zone_of),
            )
        )
    return Problem(problems[0].prior, tuple(levels))


def _split(found: _Found, count: int) -> list[_Found]:
    columns = [
        np.split(found.weights, count),
        np.split(found.gap, count),
        list(zip(*(np.split(x, count) for x in found.multipliers), strict=True)),
        list(zip(*(np.split(x, count) for x in found.missed), strict=True)),
        list(zip(*(np.split(x, count) for x in found.proven), strict=True)),
        np.split(found.settled, count),
    ]
    return [_Found(*parts) for parts in zip(*columns, strict=True)]


def _answer(task: Task, found: _Found, rules: Rules) -> Fitted:
    return Fitted(
        problem=task.problem,
        weights=found.weights,
        gap=found.gap,
        infeasible=_infeasible(task.problem, found),
        reconciled=task.reconciled,
        multipliers=found.multipliers,
        prior=np.maximum(task.prior, 0.0),
        rules=rules,
        notes=tuple(_notes(task, found)),
    )


def _infeasible(problem: Problem, found: _Found) -> pl.DataFrame:
    rows = []
    for level, missed, proven in zip(problem.levels, found.missed, found.proven, strict=True):
        reached = reached_totals(level, found.weights)
        for zone, control in np.argwhere(missed):
            target, got = float(level.target[zone, control]), float(reached[zone, control])
            names = level.name, level.zones[zone], level.controls[control]
            rows.append((*names, target, got, target - got, bool(proven[zone, control])))
    table = pl.DataFrame(rows, schema=INFEASIBLE, orient="row")
    worst = pl.col("missing").abs() / (pl.col("target").abs() + 1).sqrt()
    return table.sort(pl.struct("level", "zone").rank("dense"), worst, descending=[False, True])


def _notes(task: Task, found: _Found) -> list[str]:
    notes = []
    dropped = int((task.prior <= 0).all(axis=0).sum())
    if dropped:
        notes.append(f"{dropped} records have no positive weight and were left out")
    coarsest = task.problem.levels[-1]
    for block in np.flatnonzero(~found.settled):
        gap = found.gap[coarsest.zone_of == block].max()
        name = f"{coarsest.name} {coarsest.zones[block]}"
        notes.append(f"{name}: not settled, relative gap {gap:.1e}")
    return notes


def _check_bounds(problem: Problem, state: Climbed, rules: Rules) -> None:
    if rules.bounds != UNBOUNDED and not state.settled.all():
        level = problem.levels[-1]
        names = listing(level.zones[block] for block in np.flatnonzero(~state.settled))
        raise FittingError(
            f"Exact totals cannot be met in {level.name} {names} with weights between "
            f"{rules.bounds[0]:g} and {rules.bounds[1]:g} times the design weights; give the "
            "totals errors or widen the bounds."
        )
