"""The workers a planner or a candidate reckons with: what they could earn, and how they answer."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..axes import Array, Scalar
from ..errors import DataError
from .response import PerAgent, Response, respond
from .schedule import Schedule
from .sums import total


class Workforce(eqx.Module):
    """Workers of quasi-linear utility, as `respond` takes them, with the people they stand for.

    Attributes:
        potential: m, income at no tax, 0 or more.
        elasticity: e, positive; one or by agent.
        weight: how many people each stands for.
        cap: largest income there is time for.
        fixed_cost: of any work, in units of consumption.

    Raises:
        DataError: a value of the wrong sign or not finite, another length, or nobody.

    Example:
        >>> Workforce.of(jnp.array([1.0, 2.0]), 0.4).potential.shape
        (2,)
    """

    potential: Float[Array, " agent"]
    elasticity: PerAgent
    weight: Float[Array, " agent"]
    cap: PerAgent | None = None
    fixed_cost: PerAgent | None = None

    @staticmethod
    def of(
        potential: Any,
        elasticity: Any,
        *,
        weight: Any = None,
        cap: Any = None,
        fixed_cost: Any = None,
    ) -> "Workforce":
        """Checked, from arrays or numbers; a weight of 1 if not given."""
        able = np.asarray(potential)
        if able.ndim != 1 or not able.size:
            raise DataError(f"potential is {list(able.shape)}; give one income for each worker")
        heads = np.ones(able.shape) if weight is None else np.asarray(weight)
        if heads.shape != able.shape:
            raise DataError(f"there are {heads.size} weights for {able.size} workers")
        _all("potential", able, able >= 0, "0 or more")
        _all("weight", heads, heads >= 0, "0 or more")
        if not heads.sum() > 0:
            raise DataError("weights sum to 0; somebody must count")
        rest = {"elasticity": elasticity, "cap": cap, "fixed_cost": fixed_cost}
        for name, given in rest.items():
            value = np.asarray(0.0 if given is None else given)
            if value.shape not in ((), able.shape):
                raise DataError(f"{name} is {list(value.shape)}; give one or {able.size} of them")
            strict = name != "fixed_cost" and given is not None
            _all(
                name,
                value,
                (value > 0) if strict else (value >= 0),
                "above 0" if strict else "0 or more",
            )
        able, heads, e = (jnp.asarray(x, jnp.float32) for x in (able, heads, elasticity))
        last = (None if x is None else jnp.asarray(x, jnp.float32) for x in (cap, fixed_cost))
        return Workforce(able, e, heads, *last)

    @property
    def size(self) -> int:
        """How many there are."""
        return self.potential.shape[0]

    def spaced(self, most: int) -> Int[np.ndarray, " some"]:
        """Indices of at most so many of them, evenly spaced in order of potential income."""
        order = np.argsort(np.asarray(self.potential), kind="stable")
        if self.size <= most:
            return order
        return order[((np.arange(most) + 0.5) * self.size / most).astype(int)]

    def answer(
        self, schedule: Schedule, jumps: str = "pathwise", bandwidth: float = 0.05
    ) -> Response:
        """What they earn under a schedule; see `respond`."""
        return respond(
            schedule,
            self.potential,
            self.elasticity,
            cap=self.cap,
            fixed_cost=self.fixed_cost,
            jumps=jumps,
            bandwidth=bandwidth,
        )

    def mean(self, x: Float[Array, " agent"]) -> Scalar:
        """Per head."""
        return total(self.weight * x) / total(self.weight)


def picked(tree: Any, at: Int[np.ndarray, " some"], size: int) -> Any:
    """The same of some workers: whatever has a row for each of `size` of them loses the others."""

    def rows(x: Any) -> Any:
        return x[at] if eqx.is_array(x) and x.shape[:1] == (size,) else x

    return jax.tree.map(rows, tree)


def _all(name: str, value: np.ndarray, right: Any, what: str) -> None:
    wrong = np.flatnonzero(~(right & np.isfinite(value)))
    if wrong.size:
        at = f" of worker {wrong[0]}" if value.ndim else ""
        raise DataError(f"{name}{at} is {value.reshape(-1)[wrong[0]]:g}; it must be {what}")
