"""What a caller of `assimilate` asked for, checked before anything runs."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, UInt32
from scipy.stats import qmc

from ...axes import axis_names, hints, is_array
from ...errors import FittingError, ScenarioError, unknown
from ...params import Params
from ...population import Population
from ...provenance import describe_run, identity
from ...scenario import Scenario, check_every, check_schedules, check_steps
from ..chance import generator_for
from ..space import Space
from .stream import Stream


def check_request(
    scenario: Scenario[Any, Any],
    params: Params,
    members: int,
    ahead: int,
    lag: int,
    least: float | int,
    inflation: float | int,
) -> None:
    """Refuse params of another scenario, and numbers out of range.

    Raises:
        FittingError, ScenarioError: says which.
    """
    if type(params) is not type(scenario.params):
        raise ScenarioError(
            f"params is a {type(params).__name__}, but the scenario takes "
            f"{type(scenario.params).__name__}; use scenario.params.replace(...)"
        )
    if params.variants() is not None:
        raise ScenarioError("params hold several variants; assimilate under one of them at a time")
    if members < 10 or ahead < 0 or lag < 0:
        raise FittingError(
            f"members = {members}, ahead = {ahead} and lag = {lag}; give at least 10 members, and "
            "0 or more of the others"
        )
    if not 0 <= least <= 1 or inflation < 0:
        raise FittingError(
            f"least = {least} and inflation = {inflation}; give a share, and 0 or more"
        )


def check_horizon(
    scenario: Scenario[Any, Any],
    params: Params,
    stream: Stream,
    ahead: int,
    steps: int | None,
    every: int,
) -> None:
    """Refuse a stream, with the weeks ahead, that outlasts the run or its schedules.

    Raises:
        FittingError, ScenarioError: says how long the run must be.
    """
    steps = check_steps(scenario.steps if steps is None else steps)
    check_every(every, steps)
    width = stream.update * every
    needed = (stream.weeks + ahead) * width
    if needed > steps:
        raise FittingError(
            f"the stream reaches step {stream.weeks * width}, and {ahead} weeks ahead need "
            f"{needed} steps, but the horizon is {steps}; give steps={needed}, or fewer weeks ahead"
        )
    check_schedules(params, needed, scenario.unit)


def read_walk(space: Space, walk: dict[str, float | int]) -> Float[np.ndarray, " element"]:
    """The step of each element before a week, 0 of those that stay.

    Raises:
        FittingError: a field that is not fitted, a size that is none, or nothing to learn.
    """
    wrong = [name for name in walk if name not in space.fields]
    if wrong:
        raise FittingError(unknown("the fitted fields", "field to walk", wrong, space.fields))
    if not all(np.isfinite(sd) and sd > 0 for sd in walk.values()):
        raise FittingError(f"walk = {walk}; give standard deviations above 0")
    sizes = {name: int(np.size(getattr(space.params, name))) for name in space.fields}
    if not sum(sizes.values()):
        raise FittingError(f"fields {list(space.fields)} hold no elements; nothing to learn")
    return np.concatenate([np.full(size, float(walk.get(name, 0))) for name, size in sizes.items()])


def draw_priors(
    space: Space, members: int, words: UInt32[Array, " 2"]
) -> Float[np.ndarray, "member element"]:
    """A stratified sample of the priors."""
    rng = generator_for(words[None], "priors of the members")
    levels = qmc.LatinHypercube(space.size, rng=rng).random(members)
    return space.quantiles(np.clip(levels, 1e-6, 1 - 1e-6))


def describe(
    scenario: Scenario[Any, Any],
    population: Population,
    params: Params,
    words: UInt32[Array, " 2"],
    every: int,
    stream: Stream,
) -> dict[str, Any]:
    """What must agree for a folder to be gone on with; horizons and schedules may grow."""
    about = identity(describe_run(scenario, population, params, words, 0, every, "stop"))
    names = type(params).knobs()
    grows = [n for n in names if _is_schedule(type(params), n, scenario.unit)]
    about["params"] = {n: x for n, x in about["params"].items() if n not in grows}
    return about | {
        "stream": [str(stream.start), stream.days, stream.update],
        "feeds": {name: str(feed) for name, feed in stream.feeds.items()},
        "jax_backend": jax.default_backend(),
    }


def _is_schedule(owner: type[Params], name: str, unit: str) -> bool:
    annotation = hints(owner)[name]
    axes = axis_names(annotation) if is_array(annotation) else ()
    return any(axis in ("step", "hour", "day", "week", "month", "year", unit) for axis in axes)
