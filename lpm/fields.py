"""Declarations: what a variable or a parameter is, where it may lie, in which unit.

A bounded quantity also has an unconstrained scale on which a fit moves freely: a logistic between
two bounds, a softplus above or below one, a scaled identity without any.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .errors import ScenarioError

ROLES = ("constant", "parameter", "policy")
Bounds = tuple[float | int | None, float | int | None]
_KEY = "lpm"


@dataclass(frozen=True)
class Domain:
    """A closed interval; `None` leaves a side open."""

    lower: float | int | None = None
    upper: float | int | None = None

    def __post_init__(self) -> None:
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            raise ScenarioError(f"within=({self.lower}, {self.upper}) is empty; give lower < upper")

    @property
    def bounded(self) -> bool:
        """Whether at least one side is closed."""
        return self.lower is not None or self.upper is not None

    def violated(self, x: Any, slack: float = 0.0) -> Any:
        """Elementwise: `x` lies outside or is not a number; `slack` is relative to each bound."""
        inside = jnp.isfinite(x) if isinstance(x, jax.Array) else np.isfinite(x)
        if self.lower is not None:
            inside = inside & (x >= self.lower - slack * max(1.0, abs(self.lower)))
        if self.upper is not None:
            inside = inside & (x <= self.upper + slack * max(1.0, abs(self.upper)))
        return ~inside

    def __str__(self) -> str:
        lower = "(-inf" if self.lower is None else f"[{self.lower:g}"
        upper = "inf)" if self.upper is None else f"{self.upper:g}]"
        return f"{lower}, {upper}"


@dataclass(frozen=True)
class Variable:
    """Declaration of a state variable: its domain and unit."""

    domain: Domain = Domain()
    unit: str = ""


@dataclass(frozen=True)
class Knob:
    """Declaration of one field of Params: role, default, domain, unit and prior.

    `prior` is any object with a `log_prob` of the constrained value; `None` means a standard
    logistic on the unconstrained scale.
    """

    role: str
    default: Any
    domain: Domain = Domain()
    unit: str = ""
    prior: Any = None

    def __hash__(self) -> int:
        return hash((self.role, str(self.default), self.domain, self.unit))

    @property
    def scale(self) -> Any:
        """Size of one unconstrained unit where the domain does not fix it."""
        default = np.asarray(self.default, dtype=np.float64)
        bound = self.domain.lower if self.domain.lower is not None else self.domain.upper
        distance = np.abs(default - (0.0 if bound is None else bound))
        return np.where(distance > 0, distance, 1.0).astype(np.float32)

    def constrain(self, z: Any) -> jax.Array:
        """Map an unconstrained value into the domain."""
        z, (lower, upper) = jnp.asarray(z), (self.domain.lower, self.domain.upper)
        if lower is not None and upper is not None:
            return lower + (upper - lower) * jax.nn.sigmoid(z)
        scale = self._scale_for(z)
        if lower is not None:
            return lower + scale * jax.nn.softplus(z)
        if upper is not None:
            return upper - scale * jax.nn.softplus(-z)
        return scale * z

    def unconstrain(self, x: Any) -> jax.Array:
        """Inverse of `constrain`; infinite on a bound."""
        x, (lower, upper) = jnp.asarray(x), (self.domain.lower, self.domain.upper)
        if lower is not None and upper is not None:
            return jnp.log(x - lower) - jnp.log(upper - x)
        scale = self._scale_for(x)
        if lower is not None:
            return _softplus_inverse((x - lower) / scale)
        if upper is not None:
            return -_softplus_inverse((upper - x) / scale)
        return x / scale

    def _scale_for(self, x: Any) -> Any:
        """The scale of each element; one for all where the value has another shape."""
        scale = self.scale
        behind = np.shape(x)[np.ndim(x) - scale.ndim :] if np.ndim(x) >= scale.ndim else None
        return scale if scale.ndim == 0 or behind == scale.shape else scale.mean()


def _softplus_inverse(y: jax.Array) -> jax.Array:
    return y + jnp.log(-jnp.expm1(-y))


def variable(*, within: Bounds = (None, None), unit: str = "") -> Any:
    """Declare a state variable with the bounds it never leaves and its unit.

    A run records the first step at which the variable was not finite or left `within`.
    """
    return eqx.field(metadata={_KEY: Variable(Domain(*within), unit)})


def constant(value: Any, *, unit: str = "") -> Any:
    """Declare a known number: neither fitted nor chosen."""
    return _knob("constant", value, (None, None), unit, None)


def parameter(
    value: Any,
    *,
    within: Bounds = (None, None),
    unit: str = "",
    prior: Any = None,
) -> Any:
    """Declare a number to be estimated from data; `within` is the check and the bijection."""
    return _knob("parameter", value, within, unit, prior)


def policy(value: Any, *, within: Bounds = (None, None), unit: str = "") -> Any:
    """Declare a number that the planner chooses; `within` is the check and the bijection."""
    return _knob("policy", value, within, unit, None)


def _knob(role: str, value: Any, within: Bounds, unit: str, prior: Any) -> Any:
    knob = Knob(role, value, Domain(*within), unit, prior)
    return eqx.field(default_factory=lambda: value, metadata={_KEY: knob})


def declaration(field: Any) -> Any:
    """The Variable or Knob behind a dataclass field, or `None`."""
    return field.metadata.get(_KEY)
