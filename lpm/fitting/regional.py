"""`calibrate_regions`: parameters that vary in time and place, as a function of covariates."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from ..errors import FittingError
from ..launch import key_words
from ..params import Params
from ..population import Population
from ..provenance import describe_run, identity, source_hash
from ..scenario import Scenario
from .contestants import Contestants, check_estimator
from .curves import Network
from .forecasts import Contest
from .journal import Journal
from .losses import Series, Together
from .predicting import Fitted
from .regional_fit import RegionalFit, read_saved
from .regional_request import Split, assemble, split_weeks
from .regions import Regions, standardise
from .rollouts import Rollout
from .training import Effort, Lesson, check_budget
from .watching import open_watch


def calibrate_regions(
    scenario: Scenario[Any, Any],
    populations: Population | Sequence[Population],
    series: Sequence[Series | Together] | Mapping[str, Series | Together],
    covariates: Any,
    *,
    keys: Any,
    regions: Sequence[str] | None = None,
    labels: Sequence[str] = (),
    left_out: Sequence[str] = (),
    fields: Sequence[str] | None = None,
    budget: int = 20_000,
    estimator: str = "auto",
    params: Params | Sequence[Params] | None = None,
    every: int = 1,
    members: int = 5,
    horizons: Sequence[int] = (4, 12, 26),
    held_out: int | None = None,
    hidden: int = 16,
    embedding: int = 2,
    smoothness: float = 0.25,
    spread: float = 0.3,
    decay: float = 1.0,
    rate: float = 0.03,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> RegionalFit:
    """Learn parameters by region and week from covariates, and see whether it was worth it.

    A recurrent network turns covariates, a vector for each region, and time into unconstrained
    parameters. It begins at the means of the priors (or at `params`, where a field has none), is
    trained through the runs over longer and longer horizons, and stops by weeks held back. Its
    slopes by its weights are exact; those of the runs by the parameters come from an estimator
    that has passed its check against differences on this scenario. Where none does, ensemble
    Kalman inversion moves the last layer instead, and the result says so.

    The last weeks are then forecast by it, by the last value, by constant parameters and by
    piecewise constant ones worth as many free numbers, both fitted to the same weeks with the same
    budget; only then does the network see those weeks too. In all up to four times the budget.

    Args:
        scenario: what is run. Fitted fields have an axis of time, such as `Float[Array, " week"]`,
            or none, and then one value for each region.
        populations: one for each region, or one for all.
        series: the data of each region; the run is compared with them by its mean over keys.
        covariates: [region, week, covariate], from the first week of the run, and beyond the last
            week of the data where forecasts are wanted. Scaled inside.
        keys: one run per key for each member and region.
        regions: names.
        labels: names of covariates, for messages.
        left_out: names of regions to predict instead of fitting them.
        fields: which to fit; all float parameters by default.
        budget: runs over all weeks of the data, shorter ones by their length.
        estimator: auto, crn, or a name known to `lpm.gradient`.
        params: of all regions or of each, if not the scenario's defaults.
        every: cadence of the rows, in steps.
        members: of the ensemble; each starts from weights of its own and weighs data differently.
        horizons: weeks of the first, shorter runs.
        held_out: weeks to score; a sixth by default.
        hidden, embedding: width of the network, and of a region's vector.
        smoothness: expected move in a week, on the unconstrained scale.
        spread: expected size of the entries of a region's vector.
        decay: inverse of the prior variance of the network's other weights.
        rate: of adam.
        out: folder for a journal from which an interrupted fit resumes, and for the result.
        progress: a bar with the loss; by default where a person looks.

    Raises:
        FittingError: covariates, series, fields or regions that do not fit each other, a budget
            too small, a gradient that fails its check, or a folder that holds another fit.
        ScenarioError: names that are no parameters.
    """
    words = key_words(keys)
    if words.ndim != 2:
        raise FittingError("keys is a single key; give several: jax.random.split(key, 4)")
    given, others, order = assemble(
        scenario,
        populations,
        series,
        covariates,
        names=regions,
        labels=labels,
        left_out=left_out,
        fields=fields,
        params=params,
        every=every,
    )
    split = split_weeks(given, held_out)
    _check_numbers(members, hidden, embedding, smoothness, spread, decay, rate, horizons)
    centre, width = standardise(given.covariates, split.score)
    inputs = jnp.asarray((given.covariates - centre) / width, jnp.float32)
    about = _describe(given, others, words, split) | {
        "budget": budget,
        "choices": [estimator, members, list(horizons), rate],
        "network": [hidden, embedding, smoothness, spread, decay],
    }
    lesson = Lesson(given, inputs, words, Journal(out, about), split.whole)
    layout = Rollout(given, words, split.stop).layout
    network = Network(
        len(given.names),
        layout.weekly,
        layout.steady,
        split.score,
        inputs.shape[2],
        hidden,
        embedding,
        float(smoothness),
        float(spread),
        float(decay),
    )
    effort = Effort(float(budget), members, tuple(horizons), float(rate), "crn")
    with open_watch(progress, 4 * budget, scenario.name) as watch:
        lesson.tell = lambda _, runs, loss: watch(int(runs), loss)
        check_budget(lesson, replace(effort, label="straight_through"))
        label, notes = check_estimator(lesson, split, estimator)
        study = Contestants(
            lesson, split, replace(effort, label=label), others, order, (centre, width)
        )
        fit = study.carry_out(network, notes)
    if out is not None:
        fit.save(out)
    return fit


def load_regions(
    folder: str | Path,
    scenario: Scenario[Any, Any],
    populations: Population | Sequence[Population],
    series: Sequence[Series | Together] | Mapping[str, Series | Together],
    covariates: Any,
    *,
    params: Params | Sequence[Params] | None = None,
    every: int = 1,
) -> RegionalFit:
    """Read back a fit that `RegionalFit.save` wrote, given what it was fitted to.

    Args:
        folder: where it was saved.
        scenario, populations, series, covariates, params, every: as for `calibrate_regions`, with
            regions in the same order.

    Raises:
        FittingError: nothing there, or of another scenario or other regions.
    """
    about, arrays = read_saved(folder)
    if about["source"] != source_hash(scenario):
        raise FittingError(f"{folder} holds a fit of another {about['scenario']}")
    given, others, order = assemble(
        scenario,
        populations,
        series,
        covariates,
        names=about["order"],
        labels=(),
        left_out=about["left_out"],
        fields=about["fields"],
        params=params,
        every=every,
    )
    curve = Network(**about["network"])
    shapes = jax.eval_shape(curve.begin, jax.random.key(0))
    leaves = [jnp.asarray(arrays[f"leaf_{i}"]) for i in range(len(jax.tree.leaves(shapes)))]
    weights = jax.tree.unflatten(jax.tree.structure(shapes), leaves)
    fitted = Fitted(
        curve,
        weights,
        arrays["centre"],
        arrays["width"],
        len(given.names),
        jnp.asarray(arrays["words"]),
    )
    contests = tuple(
        Contest(x["rival"], x["ratio"], x["difference"], *x["interval"], count=x["count"])
        for x in about["contests"]
    )
    return RegionalFit(
        weeks=about["weeks"],
        scores=pl.DataFrame(about["scores"]),
        contests=contests,
        history=pl.read_csv(Path(folder) / "history.csv"),
        notes=tuple(about["notes"]),
        **{name: about[name] for name in ("pieces", "count", "runs", "estimator")},
        _fitted=fitted,
        _regions=given,
        _others=others,
        _order=order,
    )


def _check_numbers(
    members: int,
    hidden: int,
    embedding: int,
    smoothness: float | int,
    spread: float | int,
    decay: float | int,
    rate: float | int,
    horizons: Sequence[int],
) -> None:
    counts = {"members": members, "hidden": hidden, "embedding": embedding}
    sizes = {"smoothness": smoothness, "spread": spread, "decay": decay, "rate": rate}
    for name, value in counts.items():
        if value < 1:
            raise FittingError(f"{name} = {value}; give 1 or more")
    for name, size in sizes.items():
        if not size > 0:
            raise FittingError(f"{name} = {size}; give a number above 0")
    if list(horizons) != sorted(set(horizons)) or min(horizons, default=1) < 1:
        raise FittingError(f"horizons = {list(horizons)}; give weeks that grow, such as (4, 12)")


def _describe(given: Regions, others: Regions | None, words: Any, split: Split) -> dict[str, Any]:
    """What must agree for a fit to be continued."""
    scenario, clock = given.scenario, given.clock
    steps = split.whole * clock.span
    first = describe_run(
        scenario, given.populations[0], given.params[0], words, steps, clock.every, "stop"
    )
    parts = [given] if others is None else [given, others]
    return identity(first) | {
        "verb": "calibrate_regions",
        "regions": [list(one.names) for one in parts],
        "populations": [p.fingerprint for one in parts for p in one.populations],
        "covariates": [np.asarray(one.covariates).tolist() for one in parts],
        "series": [repr(s) for one in parts for region in one.series for s in region],
        "fields": list(given.fields),
        "weeks": [split.stop, split.score, split.whole],
    }
