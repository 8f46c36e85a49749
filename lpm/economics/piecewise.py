"""Piecewise-linear functions of income in double precision: tax law is added up here, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

Points: TypeAlias = Float[np.ndarray, "*point"]
Number: TypeAlias = float | int
Values: TypeAlias = Points | Int[np.ndarray, "*point"] | np.floating | Number


@dataclass(frozen=True, eq=False)
class Piecewise:
    """A continuous function of income from 0 on, linear between knots.

    Slopes and knots are kept, not values, so that a rate of 22 per cent stays 0.22 through sums and
    minima.

    Attributes:
        knots: where pieces begin, rising, the first at 0.
        slopes: of the piece that begins at each knot; the last one goes on for ever.
        start: value at 0.
    """

    knots: Float[np.ndarray, " piece"]
    slopes: Float[np.ndarray, " piece"]
    start: float = 0.0

    @staticmethod
    def of(knots: Sequence[Number], slopes: Sequence[Number], start: Number = 0.0) -> "Piecewise":
        """The same from plain lists; knots must start at 0 and rise."""
        return Piecewise(
            np.asarray(knots, np.float64), np.asarray(slopes, np.float64), float(start)
        )

    @staticmethod
    def above(threshold: Number, rate: Number) -> "Piecewise":
        """`rate` times what income exceeds `threshold` by."""
        if threshold <= 0:
            return Piecewise.of([0.0], [rate], -rate * threshold)
        return Piecewise.of([0.0, threshold], [0.0, rate])

    @staticmethod
    def constant(value: Number) -> "Piecewise":
        """The same at all incomes."""
        return Piecewise.of([0.0], [0.0], value)

    def __call__(self, income: Values) -> Points:
        """Values at incomes of 0 or more."""
        part = np.asarray(income, np.float64)[..., None] - self.knots
        widths = np.append(np.diff(self.knots), np.inf)
        return np.asarray(self.start + np.sum(self.slopes * np.clip(part, 0, widths), axis=-1))

    def __neg__(self) -> "Piecewise":
        return Piecewise(self.knots, -self.slopes, -self.start)

    def __add__(self, other: "Piecewise") -> "Piecewise":
        knots = np.union1d(self.knots, other.knots)
        slopes = self._slopes_on(knots) + other._slopes_on(knots)
        return Piecewise(knots, slopes, self.start + other.start)._joined()

    def __sub__(self, other: "Piecewise") -> "Piecewise":
        return self + -other

    def after_deduction(self, amount: Number) -> "Piecewise":
        """The function of max(income - amount, 0), for an amount of 0 or more."""
        if amount == 0:
            return self
        knots = np.concatenate([[0.0], self.knots + amount])
        return Piecewise(knots, np.concatenate([[0.0], self.slopes]), self.start)._joined()

    def at_most(self, other: "Piecewise") -> "Piecewise":
        """The lower of two functions at each income."""
        knots = np.union1d(self.knots, other.knots)
        gap = self(knots) - other(knots)
        slope = self._slopes_on(knots) - other._slopes_on(knots)
        ends = np.append(gap[1:], slope[-1])  # the last piece ends far away
        cross = np.flatnonzero(np.sign(gap) * np.sign(ends) < 0)
        knots = np.union1d(knots, knots[cross] - gap[cross] / slope[cross])
        # Halfway between knots the two do not meet unless they are one.
        middle = np.append((knots[:-1] + knots[1:]) / 2, knots[-1] + 1)
        mine = self(middle) <= other(middle)
        slopes = np.where(mine, self._slopes_on(knots), other._slopes_on(knots))
        return Piecewise(knots, slopes, min(self.start, other.start))._joined()

    def at_least(self, other: "Piecewise") -> "Piecewise":
        """The higher of two functions at each income."""
        return -(-self).at_most(-other)

    def _slopes_on(self, knots: Float[np.ndarray, " piece"]) -> Float[np.ndarray, " piece"]:
        return self.slopes[np.searchsorted(self.knots, knots, side="right") - 1]

    def _joined(self) -> "Piecewise":
        """Without knots at which nothing changes; sums of rates carry rounding of 1e-16."""
        kept = np.append(True, np.abs(np.diff(self.slopes)) > 1e-12)
        return Piecewise(self.knots[kept], self.slopes[kept], self.start)


def phased(
    amount: Number,
    *,
    rate_in: Number = np.inf,
    start_in: Number = 0.0,
    rate_out: Number = 0.0,
    start_out: Number = 0.0,
) -> Piecewise:
    """A credit that grows with income up to `amount` and is withdrawn again.

    max(0, min(amount, rate_in (income - start_in)) - rate_out (income - start_out)), each bracket
    not below 0; without `rate_in`, the whole amount from the first dollar.
    """
    credit = Piecewise.constant(amount)
    if np.isfinite(rate_in):
        credit = credit.at_most(Piecewise.above(start_in, rate_in))
    if rate_out:
        credit = (credit - Piecewise.above(start_out, rate_out)).at_least(Piecewise.constant(0))
    return credit
