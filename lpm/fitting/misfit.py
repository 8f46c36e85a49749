"""`check_fit`: whether data look like data of the model that was fitted to them."""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit, ndtr
from scipy.stats import norm

from ..errors import FittingError
from ..params import Params
from ..population import Population
from ..scenario import Scenario
from .alarm import Misfit, judge
from .chance import generator_for
from .discrepancies import Places, Setting, measure, scale
from .emulator import learn
from .evidence import Evidence, as_key, run_each
from .fit import Fit
from .journal import Journal
from .losses import Series, Together
from .objective import Objective, Points
from .posterior import Posterior
from .request import choose_fields, settle
from .space import Space

_AROUND = 0.2  # How far parameters are moved about a single point, on the unconstrained scale.
_DRAWS = 4  # Of the noise for each run; they cost next to nothing.
_QUIET = 0.02  # Least scatter of a datum, in that of most of its series.
_PRIOR = 2**12  # Draws of the priors to compare with.


def check_fit(
    scenario: Scenario[Any, Any],
    population: Population,
    series: Series | Together,
    fitted: Posterior | Fit | Params,
    *,
    keys: Any,
    runs: int = 400,
    level: float = 0.05,
    fields: Any = None,
    steps: int | None = None,
    every: int = 1,
) -> Misfit:
    """Compare data with data replicated from the fitted model.

    Runs under draws of the posterior, each in a world of its own and with noise added, say how
    data follow the parameters and how they scatter at one place, neighbouring periods together.
    Misses are measured by that scatter after the parameters have been fitted to them, linearly and
    for replicated data too: so a p-value is uniform although the data were fitted before. Three
    discrepancies by series, see `lpm.fitting.discrepancies.measure`: the size of all misses, the
    shape of the course in time, and whether misses follow each other; of several series, size and
    shape of all at once as well. Their p-values become one by how often replicates have a smallest
    one as small. What the parameters took up is held against their declared priors, given a
    posterior: a duration far from what is known of it rings, too.

    Half of the runs learn the scatter, the other half are the replicates; a p-value is at least
    about half over the number of runs.

    It stays silent where a wrong model can follow the data within their noise. More data, less
    noise, and a second series help: new cases and the number ill together tell durations.

    Args:
        scenario: the model that was fitted.
        population: who it happens to.
        series: the data.
        fitted: a posterior; a fit by `lpm.calibrate`, whose errors say how far to look about it;
            or params, about which the fields are moved a little.
        keys: worlds are derived from them.
        runs: simulator runs, well over the number of data.
        level: how often a right model may ring.
        fields: that were fitted, where `fitted` is params; all float parameters by default.
        steps, every: another horizon than the scenario's, and the cadence of rows.

    Raises:
        FittingError: a plain function, noise that cannot be sampled, a fit without errors, too few
            runs, or runs that fail.

    Source: Gelman, Meng & Stern (1996), Statistica Sinica 6; Robins, van der Vaart & Ventura
    (2000), Journal of the American Statistical Association 95, for p-values that stay uniform;
    Evans & Moshonov (2006), Bayesian Analysis 1, for the conflict with priors.
    """
    base = fitted if isinstance(fitted, Params) else _space_of(fitted).params
    params, steps, words = settle(scenario, keys, base, steps, every)
    evidence = Evidence(series)
    evidence.need_data("check_fit")
    known = ~np.isnan(evidence.observed)
    least = int(max(100, 4 * known.sum()))
    if runs < least:
        raise FittingError(f"runs = {runs}; give at least {least} for {int(known.sum())} data")
    if isinstance(fitted, Params):
        space = Space(params, choose_fields(params, "parameter", fields))
    else:
        space = _space_of(fitted)
    points = _draw_points(fitted, space, runs, generator_for(words, "around"))
    objective = Objective(
        scenario, (population,), evidence.readings, words, space, steps, every, Journal(None, {})
    )
    means = run_each(objective, points, "replicates")
    fine = np.isfinite(means).all(axis=1)
    if fine.sum() < runs / 2:
        raise FittingError(f"{int((~fine).sum())} of {runs} runs fail under the fitted model")
    data = scale(evidence.replicate(as_key(words, "replicates"), means[fine], _DRAWS)[..., known])
    order = generator_for(words, "halves").permutation(len(data))
    setting = _learn(Places.of(evidence.series), points[fine], data, order[: len(data) // 2])
    observed = evidence.observed[known]
    replicated = data[order[len(data) // 2 :]].reshape(-1, len(observed))
    misses = np.concatenate([scale(observed)[None], replicated]) - setting.centre
    found = measure(setting, misses)
    priors = _conflicts(space, fitted.points) if isinstance(fitted, Posterior) else []
    return judge(setting, observed, misses, found, priors, level, int(objective.runs))


def _learn(
    places: Places, points: Points, data: Float[np.ndarray, "run draw datum"], some: np.ndarray
) -> Setting:
    """The law of the data near the fit, from some of the runs."""
    # Levels between 0 and 1, as far as the logistic function goes, tame what is far out.
    levels = expit(points)
    middle = levels.mean(axis=0)
    emulator = learn(levels[some], data[some])
    scatter = emulator.scatter.copy()
    for number in range(len(places.names)):
        own = np.flatnonzero(places.series == number)
        # Where all runs are at rest there is no scatter to measure by.
        scatter[own, own] += _QUIET * np.median(scatter[own, own])
    centre = emulator.mean(middle[None])[0]
    return Setting(places, centre, scatter, emulator.slope(middle))


def _space_of(fitted: Posterior | Fit) -> Space:
    return fitted.space if isinstance(fitted, Posterior) else fitted._objective.space


def _draw_points(fitted: Posterior | Fit | Params, space: Space, runs: int, rng: Any) -> Points:
    """Points about the fit, as far apart as it is sure."""
    if isinstance(fitted, Posterior):
        return fitted.points[np.linspace(0, len(fitted.points) - 1, runs).astype(int)]
    moves = rng.standard_normal((runs, space.size))
    if isinstance(fitted, Params):
        return space.start + _AROUND * moves
    if fitted.curvature is None:
        raise FittingError("the fit has no standard errors; give its params, or a posterior")
    covariance = fitted.curvature.covariance
    told = np.isfinite(np.diag(covariance))
    root = np.zeros_like(covariance)
    part = covariance[np.ix_(told, told)]
    root[np.ix_(told, told)] = np.linalg.cholesky(part + 1e-10 * np.eye(int(told.sum())))
    return fitted.point + moves @ root.T


def _conflicts(space: Space, points: Points) -> list[dict[str, Any]]:
    """How far the posterior of each element with a declared prior lies in the prior's tail.

    Where posterior and prior are normal, over truths from the prior the posterior's mean varies by
    what the data take from the prior's variance.
    """
    knobs, rows = type(space.params).knobs(), []
    levels = (np.arange(_PRIOR) + 0.5) / _PRIOR
    ordered = space.quantiles(np.repeat(levels[:, None], space.size, axis=1))
    owners = np.repeat(
        space.fields, [int(np.size(getattr(space.params, name))) for name in space.fields]
    )
    for column, (owner, label) in enumerate(zip(owners, space.labels, strict=True)):
        if knobs[str(owner)].prior is None:
            continue
        passed = np.interp(points[:, column], ordered[:, column], levels)
        scores = norm.ppf(np.clip(passed, levels[0], levels[-1]))
        taken = 1 - min(float(scores.var()), 0.99)
        far = float(scores.mean() / np.sqrt(taken))
        p = float(2 * ndtr(-abs(far)))
        rows.append(
            {"series": label, "what": "prior", "observed": far, "expected": 0.0, "p_value": p}
        )
    return rows
