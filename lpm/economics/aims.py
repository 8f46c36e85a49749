"""What a planner raises: utilities of all added up to one number, per head, weights normalised.

Every aim answers to a rebate of one unit for everybody with one unit, so that the worth of public
money is 1 wherever it can be handed out.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Float

from ..axes import Array, Number, Scalar
from ..errors import DataError
from .response import Response
from .sums import total
from .welfare import inverse_income, rawlsian, worst_off


class Felt(NamedTuple):
    """What workers do and how they fare.

    Attributes:
        found: what they do.
        utility: of each, rebate included.
        heads: people each stands for.
    """

    found: Response
    utility: Float[Array, " agent"]
    heads: Float[Array, " agent"]


class Aim(eqx.Module):
    """A welfare function."""

    @abstractmethod
    def __call__(self, felt: Felt) -> Scalar:
        """Welfare per head."""

    @abstractmethod
    def weights(self, felt: Felt) -> Float[Array, " agent"]:
        """What a unit for each is worth, relative to a unit for everybody."""


class Utilitarian(Aim):
    """Mean utility."""

    def __call__(self, felt: Felt) -> Scalar:
        """Mean utility."""
        return total(felt.heads * felt.utility) / total(felt.heads)

    def weights(self, felt: Felt) -> Float[Array, " agent"]:
        """1 for everybody."""
        return jnp.ones_like(felt.utility)


class ParetoWeights(Aim):
    """Mean utility with a given weight on each worker, whatever policy does.

    Attributes:
        cared: not negative, of any scale, [agent].

    Raises:
        DataError: a negative weight, or none above 0.
    """

    cared: Float[Array, " agent"]

    def __check_init__(self) -> None:
        if isinstance(self.cared, Tracer) or not eqx.is_array(self.cared):
            return
        least, most = float(self.cared.min()), float(self.cared.max())
        if not (least >= 0 and 0 < most < jnp.inf):
            raise DataError(
                f"cared reaches from {least:g} to {most:g}; weights are 0 or more, and some above 0"
            )

    def __call__(self, felt: Felt) -> Scalar:
        """Weighted mean of utility."""
        # Not by shares of heads: rounding them first costs the gradient a digit.
        heads = felt.heads * self.cared
        return total(heads * felt.utility) / total(heads)

    def weights(self, felt: Felt) -> Float[Array, " agent"]:
        """As given, with mean 1."""
        return self.cared * total(felt.heads) / total(felt.heads * self.cared)


class InverseIncome(Aim):
    """Utility weighted with max(income, floor)**-power at the incomes that policy brings about.

    Normalised by the mean weight. A planner who may move his own weights raises welfare by making
    those earn less whom he likes little; to rule that out take `ParetoWeights` at given incomes.

    Attributes:
        floor: positive, in the unit of income; belongs in every figure that uses it.
        power: 1 is inverse income, 0 utilitarian.

    Raises:
        DataError: a floor that is not positive, a negative power.
    """

    floor: Number
    power: Number = 1.0

    def __check_init__(self) -> None:
        for name, value, right in (
            ("floor", self.floor, "positive"),
            ("power", self.power, "0 or more"),
        ):
            if isinstance(value, jax.Array):
                continue
            if not (value > 0 if name == "floor" else value >= 0):
                raise DataError(f"InverseIncome.{name} = {value}; it is {right}")

    def __call__(self, felt: Felt) -> Scalar:
        """Weighted mean of utility; jumps of weights are in its derivative."""
        cared = stays = self._cared(felt.found.income)
        jump = felt.found.crossing
        if jump is not None:
            cared = jump.apply(self._cared, felt.found.income)
            stays = self._cared(felt.found.income - jump.weight * (jump.upper - jump.lower))
        # Utility does not jump: whoever crosses is indifferent.
        there = jax.lax.stop_gradient(felt.utility)
        worth = stays * felt.utility + (cared - stays) * there
        return total(felt.heads * worth) / total(felt.heads * cared)

    def weights(self, felt: Felt) -> Float[Array, " agent"]:
        """At present incomes, with mean 1."""
        cared = self._cared(felt.found.income)
        return cared * total(felt.heads) / total(felt.heads * cared)

    def _cared(self, income: Any) -> Any:
        return inverse_income(income, self.floor, self.power)


class Rawlsian(Aim):
    """Mean utility of the worst-off share of people.

    Attributes:
        share: of people, above 0.

    Raises:
        DataError: a share outside (0, 1].
    """

    share: Number = 0.01

    def __check_init__(self) -> None:
        if not isinstance(self.share, jax.Array) and not 0 < self.share <= 1:
            raise DataError(f"Rawlsian.share = {self.share}; it lies in (0, 1]")

    def __call__(self, felt: Felt) -> Scalar:
        """Mean utility of the worst off; who they are is taken as given by a derivative."""
        return rawlsian(felt.utility, felt.heads, None, self.share)

    def weights(self, felt: Felt) -> Float[Array, " agent"]:
        """1 / share for the worst off, 0 for others."""
        heads = felt.heads
        counted = worst_off(felt.utility, heads, None, self.share)
        safe = jnp.where(heads > 0, heads, 1.0)
        return jnp.where(heads > 0, counted / safe, 0.0) * total(heads) / total(counted)
