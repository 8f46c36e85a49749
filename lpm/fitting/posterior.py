"""`posterior`: what the data leave open of the parameters, as draws."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FittingError
from ..params import Params
from ..population import Population
from ..provenance import describe_run, identity
from ..scenario import Scenario
from .amortised import infer_amortised
from .averaging import Average, choose_average
from .ensemble_posterior import infer_ensemble, least_budget
from .evidence import Evidence, LogLikelihood
from .flows import import_flowjax
from .journal import Journal
from .objective import Objective
from .placed import placed
from .posterior_draws import Posterior
from .request import choose_fields, settle
from .runs import check_loss
from .space import Space
from .synthetic import SYNTHETIC, check_synthetic, learn_synthetic
from .tempered import infer_tempered
from .variational import GUIDES, infer_variational
from .watching import open_watch

METHODS = ("variational", "smc", "amortised", "ensemble")


def posterior(
    scenario: Scenario[Any, Any],
    population: Population,
    log_likelihood: LogLikelihood,
    *,
    keys: Any,
    method: str = "variational",
    budget: int = 2000,
    fields: Sequence[str] | None = None,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    combine: str | Average = "log_mean_exp",
    out: str | Path | None = None,
    progress: bool | None = None,
    step: float = 0.05,
    weight: float = 1.0,
    guide: str = "normal",
    particles: int | None = None,
    devices: Any = None,
) -> Posterior:
    """Draw from the posterior of the parameters of a scenario given data.

    Methods: "ensemble" learns, from runs placed nearer and nearer, the law of summaries of the
    data, and needs the fewest; "amortised" learns the posterior of any data at once; both simulate
    data and so need a `Series`. "smc" and "variational" take the likelihood of the data, averaged
    over the worlds of `keys`, as exact: their answer is right as far as this average is. With
    `combine="synthetic"` its luck widens the answer instead.

    Args:
        scenario: what is run.
        population: who it happens to.
        log_likelihood: a `Series`, several `together`, or a function of the trajectory that gives
            its log-likelihood (not its negative), as a number or by row. A `Series` is taken for
            its `log_likelihood`, and not, as by `lpm.calibrate`, for what it gives when called.
        keys: one world per key; ensemble and amortised take a further one for every run.
        method: variational, smc, amortised or ensemble.
        budget: simulator runs that may be spent.
        fields: of the params; all float parameters by default. Fields without a prior have the one
            of `Space.log_prior`, uniform between two bounds.
        params: values of all other fields, if not the scenario's defaults.
        steps, every: another horizon than the scenario's, and the cadence of rows.
        combine: likelihoods over worlds (smc, variational): log_mean_exp, mean or an average, which
            take the average over few keys as exact; or synthetic, for `Series`, which counts the
            luck of runs and of few keys as noise about the mean run.
        out: folder for a journal to resume from, and for the result.
        progress: a bar; by default where a person looks.
        step: of the differences that give variational its start, on the unconstrained scale.
        weight: the log-likelihood is divided by it (variational); above 1, the data count less.
        guide: what variational chooses among: "normal" laws, or those of a "flow", for posteriors
            of other shapes, which needs some thousand draws and `pip install 'lpm[infer]'`.
        particles: of smc; by default as many as leave the budget some thirty rounds.
        devices: for each run: a number, or a list of JAX devices; one by default.

    Raises:
        FittingError: an unknown method, nothing to infer, a method that does not go with this
            likelihood, a budget too small, a folder that holds another fit, or runs that fail.
        ScenarioError: names that are no parameters, or params of another scenario.
    """
    params, steps, words = settle(scenario, keys, params, steps, every)
    population = placed(population, devices)
    names = choose_fields(params, "parameter", fields)
    space, evidence = Space(params, names), Evidence(log_likelihood)
    check_request(space, evidence, method, budget, len(words), guide)
    average = _choose(combine, evidence)
    check_loss(scenario, population, log_likelihood, words, params, steps, every)
    about = identity(describe_run(scenario, population, params, words, steps, every, "stop")) | {
        "verb": "posterior",
        "fields": list(names),
        "budget": budget,
        "choices": [method, str(average), step, weight, guide, particles],
    }
    objective = Objective(
        scenario, (population,), evidence.readings, words, space, steps, every, Journal(out, about)
    )
    with open_watch(progress, budget, scenario.name) as watch:
        found = infer(
            objective,
            evidence,
            method,
            budget,
            average=average,
            step=step,
            weight=weight,
            guide=guide,
            particles=particles,
        )
        watch(int(objective.runs), 0.0)
    if out is not None:
        found.save(out)
    return found


def infer(
    objective: Objective,
    evidence: Evidence,
    method: str,
    budget: int,
    *,
    average: Average | str | None = None,
    step: float = 0.05,
    weight: float = 1.0,
    guide: str = "normal",
    particles: int | None = None,
) -> Posterior:
    """The posterior by a method, all else being checked; see `posterior`."""
    chosen = _choose("log_mean_exp" if average is None else average, evidence)
    synthetic = isinstance(chosen, str) and method in ("smc", "variational")
    law: Any = learn_synthetic(objective, evidence, budget) if synthetic else chosen
    learnt = None
    if method == "smc":
        points, said = infer_tempered(objective, evidence, law, budget, particles)
    elif method == "variational":
        points, said = infer_variational(objective, evidence, law, budget, step, weight, guide)
    elif method == "amortised":
        learnt = infer_amortised(objective, evidence, budget)
        levels, said = learnt.condition(evidence)
        points = objective.space.quantiles(levels)
    else:
        points, said = infer_ensemble(objective, evidence, budget)
    notes = tuple(said.pop("notes", ()))
    return Posterior(
        objective.scenario,
        objective.populations[0],
        objective.space,
        np.asarray(points, np.float64),
        method,
        int(objective.runs),
        objective.steps,
        objective.every,
        said,
        notes,
        learnt,
    )


def check_request(
    space: Space,
    evidence: Evidence,
    method: str,
    budget: int,
    worlds: int,
    guide: str = "normal",
) -> None:
    """Refuse before a run what cannot succeed.

    Raises:
        FittingError: says what would.
    """
    if method not in METHODS:
        raise FittingError(f"method = {method!r}; it is one of {list(METHODS)}")
    if guide not in GUIDES:
        raise FittingError(f"guide = {guide!r}; it is one of {list(GUIDES)}")
    if guide != "normal" and method != "variational":
        raise FittingError(f"guide = {guide!r} goes with method='variational', not {method!r}")
    if guide == "flow" or method == "amortised":
        import_flowjax(f"guide={guide!r}" if guide == "flow" else f"method={method!r}")
    if not space.size:
        raise FittingError(f"fields {list(space.fields)} hold no elements; nothing to infer")
    if method in ("ensemble", "amortised"):
        evidence.need_data(method)
    least = {
        "ensemble": least_budget(space.size),
        "amortised": 100 * space.size,
        "smc": 100 * worlds,
        "variational": 30 * (2 * space.size + 1) * worlds,
    }[method]
    if budget < least:
        raise FittingError(
            f"budget = {budget} runs; {method} needs at least {least} for {space.size} elements"
            + (f" and {worlds} keys" if method in ("smc", "variational") else "")
        )


def _choose(combine: str | Average, evidence: Evidence) -> Any:
    """An average, or the name of the synthetic likelihood, which is learnt from runs."""
    if not isinstance(combine, str) or combine != SYNTHETIC:
        return choose_average(combine)
    check_synthetic(evidence)
    return combine
