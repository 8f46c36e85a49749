"""By how much data miss a fitted model: size, shape and order of the misses, and their p-values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.polynomial.legendre import legvander
from scipy.stats import rankdata

from .losses import Series

BEND = 30.0  # Below it roots have even scatter, as counts by luck have; above it logarithms.
ORDERS = 5  # Of the polynomials in time by which a shape may be off: level, tilt, bend, ...
FEW = ORDERS + 2  # Known data of a series below which its shape and order say nothing.
ALL = "all series"

Cases = Float[np.ndarray, "case datum"]


def scale(data: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Where scatter is even: like the root of small numbers, and the logarithm of large ones."""
    return 2 * np.sqrt(BEND) * np.arcsinh(np.sqrt(np.maximum(data, 0.0) / BEND))


def unscale(scaled: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The inverse of `scale`."""
    return BEND * np.sinh(np.maximum(scaled, 0.0) / (2 * np.sqrt(BEND))) ** 2


def stretch(expected: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Change of `scale` with the logarithm of the number."""
    return np.sqrt(expected / (1 + expected / BEND))


@dataclass(frozen=True)
class Places:
    """Where each known datum stands.

    Attributes:
        names: of the series.
        series, period, label: number of the series, period in it, and class, by datum.
    """

    names: tuple[str, ...]
    series: Int[np.ndarray, " datum"]
    period: Int[np.ndarray, " datum"]
    label: Int[np.ndarray, " datum"]

    @classmethod
    def of(cls, series: Sequence[Series]) -> "Places":
        """Places of all known data."""
        owner, period, label = [], [], []
        for number, one in enumerate(series):
            target = np.asarray(one.target, float)
            known = ~np.isnan(target)
            at = np.argwhere(known)
            owner.append(np.full(len(at), number))
            period.append(at[:, 0])
            label.append(at[:, 1] if target.ndim > 1 else np.zeros(len(at), int))
        names = tuple(one.observable for one in series)
        return cls(names, np.concatenate(owner), np.concatenate(period), np.concatenate(label))


@dataclass(frozen=True)
class Setting:
    """Data near a fit: normal about a centre, which parameters move along slopes.

    Attributes:
        places: of the data.
        centre: on the scale.
        scatter: covariance on the scale: luck of the run, and noise.
        slope: change of the centre with each element.
    """

    places: Places
    centre: Float[np.ndarray, " datum"]
    scatter: Float[np.ndarray, "datum datum"]
    slope: Float[np.ndarray, "element datum"]

    @property
    def expected(self) -> Float[np.ndarray, " datum"]:
        """The centre in the units of the data; a thousandth of the series' largest at least."""
        found = unscale(self.centre)
        for number in range(len(self.places.names)):
            own = self.places.series == number
            found[own] = np.maximum(found[own], max(1e-3 * found[own].max(), 1e-12))
        return found

    @property
    def told(self) -> Float[np.ndarray, " datum"]:
        """How much each datum tells of the logarithm of what is expected.

        A scatter counts for as much as that of most of its series, at least: days on which
        nothing happens in any run tell nothing.
        """
        scatter = np.diag(self.scatter).copy()
        for number in range(len(self.places.names)):
            own = self.places.series == number
            scatter[own] += np.median(scatter[own])
        return stretch(self.expected) ** 2 / scatter

    def only(self, mine: np.ndarray) -> "_Whitener":
        """Misses of some of the data, less what parameters can explain."""
        return _Whitener(self.scatter[np.ix_(mine, mine)], self.slope[:, mine])

    def smooth(self, mine: np.ndarray) -> Float[np.ndarray, "datum direction"]:
        """Ways in which the expected course of some of the data may be off, smoothly in time.

        A polynomial in time times what is expected, where time runs as fast as data tell: slowly
        through the wave, fast through the quiet weeks before and after. Of several classes, each
        may besides be off by a constant and a tilt.
        """
        expected, told = self.expected, self.told
        columns = []
        for number in np.unique(self.places.series[mine]):
            own = mine & (self.places.series == number)
            by_period = np.bincount(self.places.period[own], told[own])
            passed = (np.cumsum(by_period) - by_period / 2) / by_period.sum()
            time = np.zeros(len(own))
            time[own] = 2 * passed[self.places.period[own]] - 1
            terms = legvander(time, ORDERS - 1) * (stretch(expected) * own)[:, None]
            columns.append(terms)
            labels = np.unique(self.places.label[own])
            columns += [terms[:, :2] * (self.places.label == one)[:, None] for one in labels[1:]]
        return np.concatenate(columns, axis=1)[mine]


class _Whitener:
    """Misses in units of their scatter and unrelated, less what parameters can explain."""

    def __init__(
        self,
        scatter: Float[np.ndarray, "datum datum"],
        slope: Float[np.ndarray, "element datum"],
    ) -> None:
        self.root = np.linalg.cholesky(scatter)
        told = np.linalg.solve(self.root, slope.T)
        self._told = _span(told / np.maximum(np.linalg.norm(told, axis=0).max(), 1e-30))

    def __call__(self, misses: Cases) -> Cases:
        white = np.linalg.solve(self.root, misses.T)
        return (white - self._told @ (self._told.T @ white)).T

    def score(self, white: Cases, directions: Float[np.ndarray, "datum direction"]) -> np.ndarray:
        """Squared length of the misses along directions, by case."""
        whole = np.linalg.solve(self.root, directions)
        whole = whole / np.maximum(np.linalg.norm(whole, axis=0), 1e-30)
        left = whole - self._told @ (self._told.T @ whole)
        return ((white @ _span(left)) ** 2).sum(axis=1)


def _span(columns: Float[np.ndarray, "datum column"]) -> Float[np.ndarray, "datum direction"]:
    """Orthonormal directions of columns of about unit length; none of those that all but vanish."""
    directions, values, _ = np.linalg.svd(columns, full_matrices=False)
    return directions[:, values > 1e-3]


@dataclass(frozen=True)
class Discrepancy:
    """One number by which a case may be unlike the others.

    Attributes:
        series: whose, or `ALL`.
        what: size, shape or order.
        values: of each case; the first is of the data, the others are of replicates.
        two_sided: whether too small is wrong as well.
    """

    series: str
    what: str
    values: Float[np.ndarray, " case"]
    two_sided: bool = False

    @property
    def p_values(self) -> Float[np.ndarray, " case"]:
        """Share of cases at least as far out, by case; it counts among them."""
        count = len(self.values)
        above = rankdata(-self.values, "max") / count
        if not self.two_sided:
            return above
        below = rankdata(self.values, "max") / count
        return np.minimum(1.0, 2 * np.minimum(above, below))


def measure(setting: Setting, misses: Cases) -> list[Discrepancy]:
    """Discrepancies of each series, and of several together, by case.

    Size: the sum of squared misses. Shape: of that the part along smooth courses in time, a few
    directions, so that a course that is a little off everywhere stands out from the noise of
    single data. Order: the correlation of misses with those of the period before.

    Source: Neyman (1937), Skandinavisk Aktuarietidskrift 20, for the smooth test; Rayner & Best
    (1989), Smooth Tests of Goodness of Fit, for its form where parameters are estimated.
    """
    found, places = [], setting.places
    groups = [(name, places.series == number) for number, name in enumerate(places.names)]
    if len(groups) > 1:
        groups.append((ALL, np.ones(len(places.series), bool)))
    for name, mine in groups:
        whitener = setting.only(mine)
        white = whitener(misses[:, mine])
        squares = (white**2).sum(axis=1)
        found.append(Discrepancy(name, "size", squares))
        if mine.sum() >= FEW:
            shape = whitener.score(white, setting.smooth(mine))
            found.append(Discrepancy(name, "shape", shape))
            follow = (white[:, 1:] * white[:, :-1]).sum(axis=1) / np.maximum(squares, 1e-12)
            if name != ALL:
                found.append(Discrepancy(name, "order", follow, two_sided=True))
    return found


def combine(discrepancies: Sequence[Discrepancy]) -> float:
    """P-value of the smallest p-value, whatever the discrepancies have in common.

    Source: Westfall & Young (1993), Resampling-Based Multiple Testing, section 2.3.
    """
    smallest = np.min([one.p_values for one in discrepancies], axis=0)
    return float((smallest <= smallest[0] * (1 + 1e-9)).mean())
