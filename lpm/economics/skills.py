"""Distributions of skill and income in closed form, in double precision, for the theory of taxes.

Nothing here is simulated: these are the references that simulated economies are held against.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy import special, stats

from ..errors import DataError

Points: TypeAlias = Float[np.ndarray, "*point"]
Number: TypeAlias = float | int
Values: TypeAlias = Points | np.floating | float | int


@runtime_checkable
class Skills(Protocol):
    """A continuous distribution on the positive numbers."""

    def density(self, n: Values) -> Points:
        """Density at `n`."""
        ...

    def above(self, n: Values) -> Points:
        """Share of people above `n`."""
        ...

    def quantile(self, share: Values) -> Points:
        """The value that a share of people do not exceed."""
        ...

    def moment(self, power: Number) -> float:
        """Mean of n**power; infinite or nan where it does not exist."""
        ...

    def moment_above(self, n: Values, power: Number) -> Points:
        """Integral of x**power over the people above `n`, not divided by their share."""
        ...


@dataclass(frozen=True)
class Lognormal:
    """exp(mu + sigma Z).

    Raises:
        DataError: sigma is not positive.
    """

    sigma: Number
    mu: Number = 0.0

    def __post_init__(self) -> None:
        _positive("Lognormal", sigma=self.sigma)

    def density(self, n: Values) -> Points:
        """Density at `n`."""
        return np.asarray(stats.norm.pdf(self._z(n)) / (self.sigma * np.asarray(n)))

    def above(self, n: Values) -> Points:
        """Share of people above `n`."""
        return np.asarray(stats.norm.sf(self._z(n)))

    def quantile(self, share: Values) -> Points:
        """The value that a share of people do not exceed."""
        return np.asarray(np.exp(self.mu + self.sigma * stats.norm.ppf(share)))

    def moment(self, power: Number) -> float:
        """Mean of n**power."""
        return float(np.exp(power * self.mu + 0.5 * (power * self.sigma) ** 2))

    def moment_above(self, n: Values, power: Number) -> Points:
        """Integral of x**power over the people above `n`."""
        return np.asarray(self.moment(power) * stats.norm.sf(self._z(n) - power * self.sigma))

    def gini(self) -> float:
        """2 Phi(sigma / sqrt 2) - 1."""
        return float(2 * stats.norm.cdf(self.sigma / np.sqrt(2)) - 1)

    def _z(self, n: Values) -> Points:
        return np.asarray((np.log(n) - self.mu) / self.sigma)


@dataclass(frozen=True)
class Pareto:
    """Share above n is (least / n)**alpha.

    Raises:
        DataError: alpha or least is not positive.
    """

    alpha: Number
    least: Number = 1.0

    def __post_init__(self) -> None:
        _positive("Pareto", alpha=self.alpha, least=self.least)

    def density(self, n: Values) -> Points:
        """Density at `n`."""
        n = np.asarray(n)
        return np.asarray(np.where(n >= self.least, self.alpha * self.above(n) / n, 0.0))

    def above(self, n: Values) -> Points:
        """Share of people above `n`."""
        return np.asarray((self.least / np.maximum(n, self.least)) ** self.alpha)

    def quantile(self, share: Values) -> Points:
        """The value that a share of people do not exceed."""
        return np.asarray(self.least * (1 - np.asarray(share)) ** (-1 / self.alpha))

    def moment(self, power: Number) -> float:
        """Mean of n**power; infinite from power alpha on."""
        return float(self.moment_above(np.asarray(self.least), power))

    def moment_above(self, n: Values, power: Number) -> Points:
        """Integral of x**power over the people above `n`."""
        if power >= self.alpha:
            return np.full(np.shape(n), np.inf)
        start = np.maximum(n, self.least)
        return np.asarray(self.alpha / (self.alpha - power) * start**power * self.above(start))

    def gini(self) -> float:
        """1 / (2 alpha - 1), for alpha above 1."""
        return 1 / (2 * self.alpha - 1) if self.alpha > 1 else 1.0


@dataclass(frozen=True)
class GeneralisedBeta:
    """Generalised beta of the second kind, GB2(a, b, p, q).

    b (X / (1 - X))**(1/a) with X a beta variate of shapes p and q. Upper tails fall with index
    a q, lower tails with a p. Source: McDonald (1984), Econometrica 52, 647.

    Raises:
        DataError: a parameter is not positive.
    """

    a: Number
    b: Number
    p: Number
    q: Number

    def __post_init__(self) -> None:
        _positive("GeneralisedBeta", a=self.a, b=self.b, p=self.p, q=self.q)

    def density(self, n: Values) -> Points:
        """Density at `n`."""
        y = (np.asarray(n) / self.b) ** self.a
        top = self.a * y**self.p / np.asarray(n)
        return np.asarray(top / special.beta(self.p, self.q) / (1 + y) ** (self.p + self.q))

    def above(self, n: Values) -> Points:
        """Share of people above `n`."""
        return np.asarray(special.betaincc(self.p, self.q, self._x(n)))

    def quantile(self, share: Values) -> Points:
        """The value that a share of people do not exceed."""
        x = special.betaincinv(self.p, self.q, share)
        rest = special.betainccinv(self.q, self.p, share)  # 1 - x, with all its digits
        return np.asarray(self.b * (x / rest) ** (1 / self.a))

    def moment(self, power: Number) -> float:
        """Mean of n**power, for -a p < power < a q."""
        h = power / self.a
        if not -self.p < h < self.q:
            return np.inf
        logs = special.betaln(self.p + h, self.q - h) - special.betaln(self.p, self.q)
        return float(self.b**power * np.exp(logs))

    def moment_above(self, n: Values, power: Number) -> Points:
        """Integral of x**power over the people above `n`."""
        h = power / self.a
        return np.asarray(self.moment(power) * special.betaincc(self.p + h, self.q - h, self._x(n)))

    def _x(self, n: Values) -> Points:
        y = (np.asarray(n) / self.b) ** self.a
        return np.asarray(y / (1 + y))


def _positive(kind: str, **values: Number) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise DataError(f"{kind}.{name} = {value}; it must be a positive number")
