"""Draws of the fields that a policy does not choose, such as parameters from a posterior."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, UInt32

from ..errors import FittingError, unknown
from ..params import Params
from .chance import fresh_words


@runtime_checkable
class Sampler(Protocol):
    """Something with draws of parameters, such as a posterior."""

    def sample(self, key: Array, n: int) -> Mapping[str, Any]:
        """`n` draws: by name of a field, [draw, *field]."""
        ...


Draws = Mapping[str, Any] | Sampler | None


def settle_draws(
    draws: Draws,
    params: Params,
    fields: Sequence[str],
    words: UInt32[Array, "world 2"],
    purpose: str,
) -> dict[str, Float[np.ndarray, "draw ..."]]:
    """Draws as arrays by name, checked; a sampler gives one per world.

    Raises:
        FittingError: unknown or chosen fields, wrong shapes, or different numbers of draws.
    """
    if draws is None:
        return {}
    if not isinstance(draws, Mapping):
        key = jax.random.wrap_key_data(fresh_words(words, 1, purpose)[0])
        draws = draws.sample(key, len(words))
    found = {name: np.asarray(x, np.float32) for name, x in draws.items()}
    knobs = type(params).knobs()
    wrong = [name for name in found if name not in knobs]
    if wrong:
        raise FittingError(unknown(type(params).__name__, "field", wrong, knobs))
    both = [name for name in found if name in fields]
    if both:
        raise FittingError(f"draws hold {both}, which the policy chooses; leave them out of one")
    for name, x in found.items():
        shape = np.shape(getattr(params, name))
        if x.shape[1:] != shape or not x.ndim or not len(x):
            raise FittingError(
                f"draws of {name} are {list(x.shape)}; give [draw, {', '.join(map(str, shape))}]"
            )
    if len({len(x) for x in found.values()}) > 1:
        lengths = {name: len(x) for name, x in found.items()}
        raise FittingError(f"numbers of draws differ: {lengths}; give as many of each")
    return found
