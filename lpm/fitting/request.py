"""What a caller of a fitting verb asked for, checked before anything runs."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Array, UInt32

from ..axes import hints, kind
from ..errors import FittingError, ScenarioError, listing, unknown
from ..launch import key_words
from ..params import Params
from ..scenario import Scenario, check_every, check_schedules, check_steps


def settle(
    scenario: Scenario[Any, Any], keys: Any, params: Params | None, steps: int | None, every: int
) -> tuple[Params, int, UInt32[Array, "run 2"]]:
    """Params, horizon and key words of a gradient, all checked.

    Raises:
        ScenarioError: params of another scenario or of several variants, or a wrong horizon.
        FittingError: a single key.
    """
    chosen: Params = scenario.params if params is None else params
    if type(chosen) is not type(scenario.params):
        raise ScenarioError(
            f"params is a {type(chosen).__name__}, but the scenario takes "
            f"{type(scenario.params).__name__}; use scenario.params.replace(...)"
        )
    if chosen.variants() is not None:
        raise ScenarioError("params hold several variants; take a gradient at one of them")
    steps = check_steps(scenario.steps if steps is None else steps)
    check_every(every, steps)
    check_schedules(chosen, steps, scenario.unit)
    words = key_words(keys)
    if words.ndim != 2:
        raise FittingError("keys is a single key; give several: jax.random.split(key, 16)")
    return chosen, steps, words


def choose_fields(params: Params, of: str, fields: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the float fields to differentiate by.

    Raises:
        ScenarioError: unknown names, fields of another role or not float, or none at all.
    """
    owner, role = type(params).__name__, params.select(of)
    smooth = [n for n in role if kind(hints(type(params))[n]) == "float"]
    if fields is None:
        if not smooth:
            raise ScenarioError(f"{owner} has no float field with the role {of!r}")
        return tuple(smooth)
    fields = (fields,) if isinstance(fields, str) else tuple(fields)
    knobs = type(params).knobs()
    wrong = [name for name in fields if name not in knobs]
    if wrong:
        raise ScenarioError(unknown(owner, "field", wrong, role))
    for name in fields:
        if name not in role:
            raise ScenarioError(
                f"{owner}.{name} is a {knobs[name].role}, not a {of}; pass of={knobs[name].role!r}"
            )
        if name not in smooth:
            raise ScenarioError(f"{owner}.{name} is not a float, and has no derivative")
    if not fields or len(set(fields)) < len(fields):
        raise ScenarioError(f"fields = {listing(fields)}; name each field once, and at least one")
    return fields
