"""What a planner looks at: welfare, the budget, and their gradients by the rates."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from ..axes import Scalar
from ..errors import DataError
from .aims import Aim, Felt
from .ascent import Look, Slopes, Values
from .design import Design
from .workforce import Workforce, picked


class Problem(eqx.Module):
    """A planner's problem as one value.

    Attributes:
        workers: who answers.
        aim: what is raised.
        design: what may be chosen.
        spending: per head, of what is raised.
        bound: whether just so much is to be raised, and nothing handed back.
        bandwidth: of the correction for jumps.

    Raises:
        DataError: the aim has weights of another number of workers.
    """

    workers: Workforce
    aim: Aim
    design: Design
    spending: Any
    bound: bool = eqx.field(static=True)
    bandwidth: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        size = self.workers.size
        rows = {x.shape[0] for x in jax.tree.leaves(self.aim) if eqx.is_array(x) and x.ndim}
        if rows - {size}:
            raise DataError(f"the aim has weights of {sorted(rows)} workers; there are {size}")

    def among(self, most: int) -> "Problem":
        """The same with at most so many workers, evenly spaced in order of potential income."""
        if self.workers.size <= most:
            return self
        return self.of(self.workers.spaced(most))

    def of(self, at: Int[np.ndarray, " some"]) -> "Problem":
        """The same with some of the workers."""
        some, its = picked((self.workers, self.aim), at, self.workers.size)
        return Problem(some, its, self.design, self.spending, self.bound, self.bandwidth)

    def measures(self, values: Any, heads: Any) -> tuple[Scalar, Scalar]:
        """Welfare, and revenue per head beyond spending."""
        workers = eqx.tree_at(lambda w: w.weight, self.workers, heads)
        found = workers.answer(self.design.schedule(values), "corrected", self.bandwidth)
        left = workers.mean(found.tax) - self.spending
        utility = found.utility if self.bound else found.utility + left
        return self.aim(Felt(found, utility, heads)), left


def look_at(problem: Problem) -> Look:
    """Welfare, budget and their gradients at given values; what was asked before is remembered.

    Raises:
        DataError: when asked, if one of them is not finite.
    """
    seen: dict[bytes, Slopes] = {}

    def look(values: Values) -> Slopes:
        key = values.tobytes()
        if key not in seen:
            parts = _slopes(jnp.asarray(values, jnp.float32), problem)
            welfare, slope, left, by = (np.asarray(part, np.float64) for part in parts)
            if not (np.isfinite(welfare) and np.isfinite(slope).all()):
                raise DataError(
                    f"welfare is {float(welfare):g} and its gradient {slope.tolist()} at rates "
                    f"{values.tolist()}; both must be finite"
                )
            seen[key] = float(welfare), slope, float(left), by
        return seen[key]

    return look


@jax.jit
def _slopes(values: Any, problem: Problem) -> tuple[Any, Any, Any, Any]:
    heads = problem.workers.weight
    (welfare, left), pull = jax.vjp(lambda x: problem.measures(x, heads), values)
    one, none = jnp.ones_like(welfare), jnp.zeros_like(welfare)
    slope = pull((one, none))[0]
    by = pull((none, one))[0] if problem.bound else jnp.zeros_like(slope)
    return welfare, slope, left, by
