"""`optimise`: the policy under which expected welfare is highest, within limits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Array, UInt32

from ..errors import FittingError
from ..params import Params
from ..population import Population
from ..provenance import describe_run, identity
from ..scenario import Scenario
from .averaging import Average, choose_average
from .chance import fresh_words
from .journal import Journal
from .lagrangian import Constraint, Lagrangian
from .objective import Outputs, Readings
from .placed import placed
from .policy import Policy
from .policy_diary import Diary
from .policy_draws import Draws, settle_draws
from .policy_model import model
from .policy_search import Search, random_search
from .policy_slopes import MODEL, Effort, First, Point, choose_slopes
from .request import choose_fields, settle
from .rescoring import cannot_be_met, compare, constraint_table, score, with_prices
from .runs import as_tree, check_loss
from .seam import Estimator, Loss
from .shaped import Shaped, ShapedObjective
from .shapes import Shape
from .watching import Watch, open_watch


def optimise(
    scenario: Scenario[Any, Any],
    population: Population | Sequence[Population],
    welfare: Loss,
    *,
    keys: Any,
    fields: Sequence[str] | None = None,
    budget: int = 2000,
    estimator: str | Estimator = "auto",
    optimiser: str = "adam",
    constraints: Sequence[Constraint] = (),
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    combine: str | Average = "mean",
    draws: Draws = None,
    shape: Shape | Mapping[str, Shape] | None = None,
    starts: int = 2,
    step: float = 0.5,
    rate: float | None = None,
    fresh: int = 64,
    out: str | Path | None = None,
    progress: bool | None = None,
    devices: Any = None,
) -> Policy:
    """Find the policy with the highest expected welfare, and compare it with random search.

    A screen of the whole box of policies, a descent from the best of it along gradients that share
    their random numbers, with an augmented Lagrangian for the constraints, and a last look around
    its end. Then random search spends as many runs, both are scored with hard events on fresh
    keys, and that, with its 95 % interval, is what the result reports: not the value the search
    has seen. The runs in all are twice the budget and those on fresh keys. Interrupted (ctrl-C), it
    scores the best that it has seen and gives that, unfinished.

    Args:
        scenario: what is run.
        population: who it happens to; of several, the i-th key goes with the i-th, over and over.
        welfare: of the trajectory of one run: a float, or one per row whose sum is meant.
        keys: one run per key at every point; more keys, less luck in the policy.
        fields: which to choose; all float policies by default.
        budget: simulator runs that may be spent to choose a policy.
        estimator: auto, crn, surrogate, or a name or function as for `lpm.gradient`. Auto takes crn
            up to ten numbers, else the best that passes its check against crn here, else surrogate,
            which follows no gradient but a Gaussian process of all runs, or, with constraints or
            beyond sixty numbers, crn along random directions. A function is taken as it is.
        optimiser: adam, or lbfgs, which sees all keys at every step and suits smooth welfare.
        constraints: `lpm.fitting.at_most`, `at_least` or `equal`, on expected values over worlds.
        params: where to start, if not at the scenario's defaults.
        steps: another horizon than the scenario's.
        every: cadence of the rows, in steps.
        combine: mean, or `lpm.fitting.WorstShare(0.1)`: the mean over the worst tenth of worlds.
        draws: of other fields, [draw, *field] by name, the i-th key with the i-th draw, over and
            over; or an object with `sample(key, n)`, drawn from once per key.
        shape: `Spline`, `Allocation` or `Steps`: for the one field that is an array, or by name.
        starts: points of the screen to search from, where the budget is enough for them.
        step: of differences, on the unconstrained scale; coins hide what a small one does.
        rate: of adam, on that scale; by default from the number of iterations.
        fresh: keys on which the result is scored.
        out: folder for a journal from which an interrupted search resumes, and for the result.
        progress: a bar with the lowest loss (minus welfare); by default where a person looks.
        devices: for each run: a number, or a list of JAX devices; one by default.

    Raises:
        ScenarioError: unknown names, or nothing to choose.
        FittingError: a welfare or constraint of the wrong shape or not finite at the start, a
            named gradient that fails its check, a shape that does not fit its field, draws of a
            chosen field, a budget that is too small, or a folder that holds another search.
        SimulationError: a variable left its bounds at the start.
    """
    params, steps, words = settle(scenario, keys, params, steps, every)
    names = choose_fields(params, "policy", fields)
    people = [population] if isinstance(population, Population) else list(population)
    populations = [placed(one, devices) for one in people]
    _check_request(populations, words, budget, starts, fresh, optimiser)
    for loss in (welfare, *(c.function for c in constraints)):
        check_loss(scenario, populations[0], loss, words, params, steps, every)
    space = Shaped.of(params, names, shape)
    drawn = settle_draws(draws, params, names, words, "draws")
    average = choose_average(combine)
    about = identity(describe_run(scenario, populations[0], params, words, steps, every, "stop"))
    about |= {
        "verb": "optimise",
        "fields": list(names),
        "populations": [p.fingerprint for p in populations],
        "constraints": [str(c) for c in constraints],
        "shapes": {name: str(one) for name, one in space.shapes.items()},
        "budget": budget,
        "choices": [said(estimator), optimiser, str(average), starts, step, rate, fresh],
    }
    objective = ShapedObjective(
        scenario,
        populations,
        read(welfare, constraints),
        words,
        space,
        steps,
        every,
        Journal(out, about),
        drawn,
    )
    goal = np.eye(1 + len(constraints))[0]
    lagrangian = Lagrangian(goal, average, constraints, range(1, 1 + len(constraints)))
    effort = Effort(float(budget), starts, optimiser, estimator, step, rate)
    fresh_draws = settle_draws(draws, params, names, fresh_words(words, fresh, "fresh"), "fresh")
    with open_watch(progress, budget, scenario.name) as watch:
        found = _optimise(objective, lagrangian, effort, fresh, fresh_draws, watch)
    if not found.finished:
        said_so = "Interrupted" + ("." if out is None else f"; {out} resumes it.")
        found = replace(found, notes=(*found.notes, said_so))
    if out is not None:
        found.save(out)
    return found


def _optimise(
    objective: ShapedObjective,
    lagrangian: Lagrangian,
    effort: Effort,
    fresh: int,
    draws: Mapping[str, np.ndarray],
    watch: Watch,
) -> Policy:
    diary = Diary(objective, lagrangian, watch)
    space = objective.shaped
    begin = objective.check_start(space.start)
    start_welfare = -float(lagrangian.goals(begin)[0])
    found, spent, rival = None, 0.0, None
    try:
        found = find(objective, lagrangian, effort, space.start[None], diary)
        spent = objective.runs
        rival = random_search(objective, lagrangian, spent)
    except KeyboardInterrupt:
        # What is asked now is not what the search would have asked next.
        objective = replace(objective, journal=Journal(None, {}))
        if found is None:
            found = _best_so_far(objective, lagrangian, diary)
            spent = objective.runs
    z, seen, label, notes = found
    other = on_fresh_worlds(objective, fresh, draws)
    outputs = other.evaluate(np.stack([z] if rival is None else [z, rival]))
    welfare, error, feasible = score(lagrangian, outputs)
    table, against = constraint_table(lagrangian, outputs[:1]), None
    if rival is not None:
        against = compare(lagrangian, outputs, space.at(rival), spent)
        table = with_prices(table, lagrangian, other, z, effort.step)
        notes += [] if feasible else cannot_be_met(lagrangian, seen, table)
    return Policy(
        params=space.at(z),
        welfare=welfare,
        standard_error=error,
        start_welfare=start_welfare,
        feasible=feasible,
        against_random=against,
        constraints=table,
        history=pl.DataFrame(diary.rows, infer_schema_length=None),
        runs=round(spent),
        estimator="crn, random directions" if label == "none" else label,
        notes=tuple(notes),
        finished=rival is not None,
        point=z,
        _space=space,
        _name=objective.scenario.name,
    )


def _best_so_far(
    objective: ShapedObjective, lagrangian: Lagrangian, diary: Diary
) -> tuple[Point, Outputs, str, list[str]]:
    """Of the start and the best points of the diary, that which is best in all worlds."""
    points = np.concatenate([objective.space.start[None], diary.best])
    outputs = objective.evaluate(points)
    return points[lagrangian.order(outputs)[0]], outputs, "a search cut short", []


def find(
    objective: ShapedObjective, lagrangian: Lagrangian, effort: Effort, first: First, diary: Diary
) -> tuple[Point, Outputs, str, list[str]]:
    """A policy; outputs in all worlds of the points it was chosen from; the gradient; notes."""
    search = Search(objective, lagrangian, effort, diary)
    points, outputs = search.screen(first)
    diary("screen", points, outputs)
    order = np.argsort(np.nan_to_num(lagrangian.weigh(outputs)[0], nan=np.inf))
    slopes = choose_slopes(objective, lagrangian, points[order[0]], effort)
    slopes.tell = diary
    best = points[lagrangian.order(outputs)[:2]]
    left = effort.budget - objective.runs - search.reserve(slopes)
    if slopes.label == MODEL:
        ends = model(objective, lagrangian, diary, points, outputs, left)
    else:
        ends = search.descend(slopes, points[order[: effort.starts]], left)
    z, seen = search.settle(slopes, np.concatenate([first, best, ends]))
    return z, seen, slopes.label, list(slopes.sentences)


def on_fresh_worlds(
    objective: ShapedObjective, count: int, draws: Mapping[str, np.ndarray]
) -> ShapedObjective:
    """The same objective over as many worlds that nothing has seen."""
    words = fresh_words(objective.words, count, "fresh")
    return replace(objective, words=words, draws=draws, runs=0.0)


def read(welfare: Loss, constraints: Sequence[Constraint]) -> Readings:
    """What is read off a run: minus welfare, then the value of each constraint."""
    return Readings(as_tree(welfare), tuple(_total(c.function) for c in constraints), sign=-1.0)


def _total(function: Loss) -> Any:
    """The function summed over its rows, equal to itself when it is read again."""
    return Readings(as_tree(function))


def _check_request(
    populations: Sequence[Population],
    words: UInt32[Array, "world 2"],
    budget: int,
    starts: int,
    fresh: int,
    optimiser: str,
) -> None:
    if not populations:
        raise FittingError("there is no population; give one or several")
    if optimiser not in ("adam", "lbfgs"):
        raise FittingError(f"optimiser = {optimiser!r}; it is 'adam' or 'lbfgs'")
    if budget < 12 * len(words) or starts < 1 or fresh < 2:
        raise FittingError(
            f"budget = {budget} runs, starts = {starts} and fresh = {fresh}; give at least "
            f"{12 * len(words)} runs, twelve points with every key, one start and two fresh keys"
        )


def said(estimator: str | Estimator) -> str:
    """The name of an estimator."""
    if isinstance(estimator, str):
        return estimator
    return getattr(estimator, "__name__", type(estimator).__name__)
