"""`calibrate`: the parameters under which a scenario is closest to data."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import FittingError
from ..params import Params
from ..population import Population
from ..provenance import describe_run, identity
from ..scenario import Scenario
from .averaging import Average, choose_average
from .chance import fresh_words
from .criteria import Averaged
from .fit import Fit
from .journal import Journal
from .objective import Objective, read_loss
from .placed import placed
from .request import choose_fields, settle
from .residuals import series_in
from .runs import check_loss
from .seam import Loss
from .space import Space
from .stages import Plan, State, Teller, choose_method, find_lowest
from .watching import open_watch

_LEAST = 6  # Points with every key without which there is no search.


def calibrate(
    scenario: Scenario[Any, Any],
    population: Population,
    loss: Loss,
    *,
    keys: Any,
    fields: Sequence[str] | None = None,
    budget: int = 2000,
    estimator: str = "auto",
    optimiser: str = "auto",
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    combine: str | Average = "auto",
    of: str = "parameter",
    starts: int = 4,
    step: float = 0.1,
    rate: float = 0.1,
    out: str | Path | None = None,
    progress: bool | None = None,
    devices: Any = None,
) -> Fit:
    """Find the params at which the loss, averaged over runs, is lowest.

    First a screen of the priors and the params given, then a search from the best of them over the
    same keys, then the curvature around what was found. A loss with residuals (`Series`) is
    lowered by damped least squares with differences that share their random numbers; another by
    adam along a gradient that has been checked on this very scenario.

    Args:
        scenario: what is run.
        population: who it happens to.
        loss: of the trajectory of one run, such as a `Series`; see `lpm.gradient`.
        keys: one run per key at every point; more keys, less luck in the fit.
        fields: which to fit; all float parameters by default.
        budget: simulator runs, of one key each, that may be spent.
        estimator: auto, crn, or a name known to `lpm.gradient`. Auto takes crn up to ten elements,
            else the best that passes its check, else ensemble Kalman inversion.
        optimiser: auto, least_squares, adam, lbfgs or kalman.
        params: where to start, if not at the scenario's defaults.
        steps: another horizon than the scenario's.
        every: cadence of the rows, in steps.
        combine: how the losses of all runs become one. mean; log_mean_exp, the negative log of the
            mean likelihood; an average such as `WorstShare`; or synthetic, for losses with
            residuals: how far the data are from the mean run, given the noise of the observations
            and that between runs. Auto is synthetic where it is possible, else mean.
        of: role of the fields: parameter or policy.
        starts: points of the screen to search from.
        step: of differences, on the unconstrained scale.
        rate: of adam, on the unconstrained scale.
        out: folder for a journal from which an interrupted fit resumes, and for the result.
        progress: a bar with the loss; by default where a person looks.
        devices: for each run: a number, or a list of JAX devices; one by default.

    Raises:
        ScenarioError: unknown names, or nothing to fit.
        FittingError: a loss of the wrong shape or not finite at the start, a gradient that fails
            its check, a budget that is too small, or a folder that holds another fit.
        SimulationError: a variable left its bounds at the start.
    """
    params, steps, words = settle(scenario, keys, params, steps, every)
    population = placed(population, devices)
    names = choose_fields(params, of, fields)
    average = choose_average("mean" if combine in ("auto", "synthetic") else combine)
    check_loss(scenario, population, loss, words, params, steps, every)
    space = Space(params, names)
    least = _LEAST * len(words)
    if budget < least or starts < 1:
        raise FittingError(
            f"budget = {budget} runs and starts = {starts}; give at least {least} runs, {_LEAST} "
            "points with every key, and one start"
        )
    about = identity(describe_run(scenario, population, params, words, steps, every, "stop")) | {
        "verb": "calibrate",
        "fields": list(names),
        "budget": budget,
        "choices": [estimator, optimiser, str(combine), starts, step, rate],
    }
    journal = Journal(out, about)
    objective = Objective(
        scenario, (population,), read_loss(loss), words, space, steps, every, journal
    )
    method = choose_method(objective, optimiser, estimator, float(budget))
    synthetic = combine in ("auto", "synthetic") and method == "least_squares"
    if combine == "synthetic" and not synthetic:
        raise FittingError(
            f"combine = 'synthetic' goes with least_squares, not with {method}; use a loss with "
            "residuals and optimiser='least_squares', or combine='mean'"
        )
    # The last runs are those on fresh keys.
    plan = Plan(float(budget - len(words)), method, synthetic, estimator, starts, step, rate)
    first = space.start
    outputs = objective.check_start(first, getattr(loss, "name", None))
    value = float(average.weigh(outputs[..., 0].astype(np.float64))[0][0])
    target = [np.asarray(one.target, float) for one in series_in(loss)]
    state = State(
        first,
        value,
        criterion=Averaged(average),
        outputs=outputs.shape[-1],
        data=sum(int((~np.isnan(x)).sum()) for x in target) or outputs.shape[-1] - 1,
    )
    with open_watch(progress, budget, scenario.name) as watch:
        tell = Teller(objective, state, watch)
        try:
            find_lowest(objective, average, loss, plan, state, tell)
        except KeyboardInterrupt:
            state.notes.append("Interrupted" + ("." if out is None else f"; {out} resumes it."))
            state.settled = False
            # What is asked now is not what the search would have asked next.
            objective = replace(objective, journal=Journal(None, {}))
    if not np.isfinite(state.loss):
        raise FittingError("no point of the search has a finite loss; choose other params")
    fit = _finish(objective, average, loss, state, value)
    if out is not None:
        fit.save(out)
    return fit


def _finish(objective: Objective, average: Average, loss: Loss, state: State, start: float) -> Fit:
    """The fit, with its loss on keys that it has not seen."""
    count = objective.worlds
    other = replace(objective, words=fresh_words(objective.words, count, "fresh"), runs=0.0)
    loss_here = average.weigh(objective.evaluate(state.z[None])[..., 0].astype(np.float64))[0]
    losses = other.evaluate(state.z[None])[0, :, 0].astype(np.float64)
    error = float(losses.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    fresh = float(average.weigh(losses[None])[0][0]), error
    return Fit(
        params=objective.space.at(state.z),
        loss=float(loss_here[0]),
        fresh_loss=fresh,
        start_loss=start,
        history=pl.DataFrame(state.rows),
        curvature=state.curvature,
        chi_square=state.chi_square,
        runs=int(objective.runs) + count,
        estimator=state.estimator,
        notes=tuple(state.notes),
        finished=state.settled,
        point=state.z,
        # What is asked of a fit later has no place in the journal of how it was found.
        _objective=replace(objective, journal=Journal(None, {})),
        _criterion=state.criterion,
        _loss=loss,
    )
