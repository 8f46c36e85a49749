"""The space a fit moves in: every element of the fitted fields, on one unconstrained scale."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import logit

from ..errors import FittingError
from ..fields import Knob
from ..params import Params
from .gradients import element_names

Points = Float[np.ndarray, "point element"]
INSIDE = 0.01  # A value on a bound starts this far inside, as a share of the way to the other side.
_TOUCHES = 1e-5  # On the bound, in the same units.
_DRAWS = 4096  # Of a prior without quantiles of its own.


@dataclass(frozen=True)
class Space:
    """Fields of `params` as one vector `z`, each element on the unconstrained scale of its field.

    Attributes:
        params: one value each; fields that are not fitted keep theirs.
        fields: names of the fitted ones.
    """

    params: Params
    fields: tuple[str, ...]

    @property
    def size(self) -> int:
        """Elements of all fields."""
        return sum(int(np.size(getattr(self.params, name))) for name in self.fields)

    @property
    def labels(self) -> list[str]:
        """A name for each element."""
        return element_names({name: getattr(self.params, name) for name in self.fields})

    @property
    def start(self) -> Float[np.ndarray, " element"]:
        """Where `params` lie; what is on a bound, where no scale reaches, starts a little inside.

        Raises:
            FittingError: a field without elements.
        """
        if not self.size:
            raise FittingError(
                f"fields {list(self.fields)} hold no elements; there is nothing to fit"
            )
        knobs = type(self.params).knobs()
        parts = [
            _locate(knobs[name], np.asarray(getattr(self.params, name))) for name in self.fields
        ]
        return np.concatenate([part.ravel() for part in parts])

    def constrain(self, z: Float[Array, " element"]) -> dict[str, Array]:
        """Fields by name at one point; can be traced."""
        found, first = {}, 0
        knobs = type(self.params).knobs()
        for name in self.fields:
            shape = np.shape(getattr(self.params, name))
            size = int(np.prod(shape))
            inside = knobs[name].constrain(jnp.reshape(z[first : first + size], shape))
            domain = knobs[name].domain
            # Rounding may put a far point just outside.
            found[name] = jnp.clip(inside, domain.lower, domain.upper).astype(jnp.float32)
            first += size
        return found

    def place(self, points: Points) -> dict[str, Float[np.ndarray, "point ..."]]:
        """Fields by name, [point, *field]."""
        found = jax.vmap(self.constrain)(jnp.asarray(points, jnp.float32))
        return {name: np.asarray(found[name]) for name in self.fields}

    def at(self, z: Float[np.ndarray, " element"]) -> Params:
        """The params at one point."""
        return self.params.replace(**{name: x[0] for name, x in self.place(z[None]).items()})

    def flat(self, points: Points) -> Float[np.ndarray, "point element"]:
        """Each element in its own units."""
        placed = self.place(points)
        return np.concatenate(
            [x.reshape(len(points), -1).astype(np.float64) for x in placed.values()], axis=1
        )

    def lengths(self, z: Float[np.ndarray, " element"]) -> Float[np.ndarray, " element"]:
        """How far each element moves, in its own units, for a unit of `z`."""

        def row(z: Array) -> Array:
            return jnp.concatenate([x.ravel() for x in self.constrain(z).values()])

        ones = jnp.ones(self.size, jnp.float32)
        return np.asarray(jax.jvp(row, (jnp.asarray(z, jnp.float32),), (ones,))[1], np.float64)

    def log_prior(self, z: Float[Array, " element"]) -> Float[Array, ""]:
        """Log-density of the priors on the unconstrained scale; can be traced.

        A field without a prior has a standard logistic there, which between two bounds is uniform.
        """
        knobs, placed = type(self.params).knobs(), self.constrain(z)
        total, first = jnp.zeros(()), 0
        for name, x in placed.items():
            size = int(np.prod(x.shape))
            part = z[first : first + size].reshape(x.shape)
            total = total + _log_prior(knobs[name], part, x)
            first += size
        return total

    def quantiles(
        self, u: Float[np.ndarray, "point element"]
    ) -> Float[np.ndarray, "point element"]:
        """Points `z` at levels `u` in (0, 1) of the priors, element by element."""
        columns, first = [], 0
        knobs = type(self.params).knobs()
        for name in self.fields:
            shape = np.shape(getattr(self.params, name))
            size = int(np.prod(shape))
            levels = u[:, first : first + size].reshape(len(u), *shape)
            columns.append(_quantiles(knobs[name], name, levels).reshape(len(u), size))
            first += size
        return np.concatenate(columns, axis=1)


def _locate(knob: Knob, value: np.ndarray) -> np.ndarray:
    lower, upper = knob.domain.lower, knob.domain.upper
    width = float(np.mean(knob.scale)) if lower is None or upper is None else upper - lower
    low = -np.inf if lower is None else lower
    high = np.inf if upper is None else upper
    inside = np.where(value < low + _TOUCHES * width, low + INSIDE * width, value)
    inside = np.where(value > high - _TOUCHES * width, high - INSIDE * width, inside)
    return np.asarray(knob.unconstrain(inside.astype(np.float32)), np.float64)


def _log_prior(knob: Knob, z: Array, x: Array) -> Array:
    if knob.prior is None:
        return jnp.sum(jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z))
    ones = jnp.ones_like(z)
    slope = jax.jvp(knob.constrain, (z,), (ones,))[1]
    return jnp.sum(knob.prior.log_prob(x)) + jnp.sum(jnp.log(jnp.abs(slope)))


def _quantiles(knob: Knob, name: str, levels: np.ndarray) -> np.ndarray:
    if knob.prior is None:
        return logit(levels)
    try:
        values = np.asarray(knob.prior.icdf(jnp.asarray(levels, jnp.float32)))
    except (AttributeError, NotImplementedError, ImportError):  # numpyro asks for more packages
        values = _empirical(knob.prior, name, levels)
    if knob.domain.bounded:
        values = np.clip(values, knob.domain.lower, knob.domain.upper)
    return _locate(knob, values.astype(np.float32))


def _empirical(prior: Any, name: str, levels: np.ndarray) -> np.ndarray:
    try:
        drawn = np.asarray(prior.sample(jax.random.key(0), (_DRAWS,)))
    except (AttributeError, NotImplementedError) as error:
        raise FittingError(
            f"the prior of {name} has neither icdf nor sample; give a numpyro distribution"
        ) from error
    if drawn.ndim == 1:
        return np.quantile(drawn, levels)
    flat, out = drawn.reshape(_DRAWS, -1), levels.reshape(len(levels), -1)
    columns = [np.quantile(flat[:, j], out[:, j]) for j in range(out.shape[1])]
    return np.stack(columns, axis=1).reshape(levels.shape)
