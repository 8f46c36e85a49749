"""What the theory of optimal taxation says, in closed form and in double precision.

The economy is quasi-linear with a constant elasticity e: a person of skill n who consumes c and
earns z in z/n hours has the utility c - (z/n)**(1 + 1/e) / (1 + 1/e), and so earns
z = n**(1+e) (1 - T'(z))**e. Weights on people have mean 1. A simulated economy must agree with
these formulas; none of them is used to simulate one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy import optimize, stats

from ..errors import DataError
from .skills import Lognormal, Number, Pareto, Points, Skills, Values

People: TypeAlias = Float[np.ndarray, " person"]
_NEARLY_ALL = 1 - 1e-9


@dataclass(frozen=True)
class Rate:
    """A tax rate and its standard error from sampling people.

    Attributes:
        value: share of income.
        standard_error: of the value, by the delta method.
        weight_on_income: g, the weight on an average unit of income.
    """

    value: float
    standard_error: float
    weight_on_income: float


def linear_rate(g: Number, elasticity: Number) -> float:
    """The best flat rate with an equal rebate: (1 - g) / (1 - g + e).

    `g` is E[w z] / (E[w] E[z]): what society gains by a unit spread over people as income is. With
    `g` = 0, the rate of the highest revenue. Source: Piketty & Saez (2013), eq. 3.

    Raises:
        DataError: a negative g or elasticity.
    """
    _check_elasticity(elasticity)
    if not g >= 0:
        raise DataError(f"g = {g}; a mean weight on income is 0 or more")
    return float((1 - g) / (1 - g + elasticity)) if g < 1 else 0.0


def weight_on_income(incomes: Skills, power: Number) -> float:
    """The g that belongs to weights z**-power: E[z**(1-power)] / (E[z**-power] E[z])."""
    return incomes.moment(1 - power) / (incomes.moment(-power) * incomes.moment(1))


def sample_linear_rate(
    income: People, elasticity: Number, *, power: Number = 1, weight: People | None = None
) -> Rate:
    """The best flat rate for these very people, with weights z**-power, and its standard error.

    Args:
        income: positive, at any flat rate; g does not depend on which.
        elasticity: of income with respect to 1 minus the rate.
        power: of the weights; 0 is utilitarian, 1 inverse income.
        weight: how many people each stands for; 1 if not given.

    Raises:
        DataError: an income that is not positive, or weights that do not sum to more than 0.
    """
    _check_elasticity(elasticity)
    share = shares(income, weight)
    if not np.all(income > 0):
        at = int(np.argmin(income))
        raise DataError(f"income of person {at} is {income[at]}; incomes must be positive")
    cared = income ** -float(power)
    mean_z, mean_w = share @ income, share @ cared
    both = share @ (cared * income)
    g = both / (mean_z * mean_w)
    # d log g of one person more, times how rate moves with g.
    influence = cared * income / both - income / mean_z - cared / mean_w + 1
    slope = elasticity / (1 - g + elasticity) ** 2
    error = slope * g * np.sqrt(share**2 @ influence**2)
    return Rate(linear_rate(float(g), elasticity), float(error), float(g))


def median_voter_rate(income: People, elasticity: Number, weight: People | None = None) -> float:
    """The flat rate that the median voter prefers: g is median over mean income."""
    share = shares(income, weight)
    order = np.argsort(income)
    middle = order[np.searchsorted(np.cumsum(share[order]), 0.5)]
    return linear_rate(float(income[middle] / (share @ income)), elasticity)


def top_rate(
    tail: Number, elasticity: Number, *, g: Number = 0, income_effect: Number = 0
) -> float:
    """The best rate above a high threshold: (1 - g) / (1 - g + zu + zc (a - 1)).

    `tail` is a, mean income above the threshold over its excess; `elasticity` zc is compensated,
    and zu = zc - income_effect. Exact at any threshold in the support of a Pareto tail, bunching
    included, where the rate below it is fixed. Source: Saez (2001), eq. 9.
    """
    _check_elasticity(elasticity)
    if not tail > 1:
        raise DataError(f"tail = {tail}; a Pareto index of incomes with a mean is above 1")
    response = elasticity - income_effect + elasticity * (tail - 1)
    return float((1 - g) / (1 - g + response))


def marginal_rates(
    skills: Skills, n: Values, elasticity: Number, *, power: Number | None = None
) -> Points:
    """The best schedule of marginal rates by skill; weights are n**-power, or Rawlsian if None.

    T'/(1-T') = (1 + 1/e) (1 - F(n)) / (n f(n)) (1 - G(n)), G the mean weight above n.
    Source: Diamond (1998), eq. 10.
    """
    _check_elasticity(elasticity)
    n = np.asarray(n, np.float64)
    if isinstance(skills, Lognormal):
        inverse_hazard = skills.sigma * _mills(skills, n)
    elif isinstance(skills, Pareto):
        inverse_hazard = np.full(n.shape, 1 / skills.alpha)
    else:
        inverse_hazard = skills.above(n) / (n * skills.density(n))
    left = 1.0 if power is None else 1 - _mean_weight_above(skills, n, power)
    odds = (1 + 1 / elasticity) * inverse_hazard * left
    return odds / (1 + odds)


def incomes_of(n: Values, rates: Values, elasticity: Number) -> Points:
    """What people of skill `n` earn at these marginal rates: n**(1+e) (1-T')**e.

    Raises:
        DataError: incomes do not rise with skill, so that nobody could be told apart by them.
    """
    incomes = np.asarray(n) ** (1 + elasticity) * (1 - np.asarray(rates)) ** elasticity
    fall = np.flatnonzero(np.diff(incomes) <= 0)
    if fall.size:
        raise DataError(
            f"income does not rise with skill at n = {np.asarray(n)[fall[0]]:g}; no schedule "
            "of income gives these rates"
        )
    return incomes


def welfare_weights(
    skills: Skills, rate: Callable[[Points], Points], n: Values, elasticity: Number
) -> Points:
    """The weights under which marginal rates by skill would be the best there are.

    g(n) = 1 + (1/f) d/dn [n f e/(1+e) T'/(1-T')], by central differences of relative step 1e-4.
    The inverse of `marginal_rates`. Source: Bourguignon & Spadaro (2012), and Diamond (1998).
    """
    _check_elasticity(elasticity)
    n = np.asarray(n, np.float64)

    def inner(at: Points) -> Points:
        t = np.asarray(rate(at))
        return at * skills.density(at) * elasticity / (1 + elasticity) * t / (1 - t)

    step = 1e-4 * n
    return 1 + (inner(n + step) - inner(n - step)) / (2 * step * skills.density(n))


def weights_from_incomes(
    income: People,
    rate: People,
    elasticity: Number,
    *,
    weight: People | None = None,
    points: int = 200,
) -> tuple[Points, Points]:
    """Incomes, and the weights that a schedule on observed incomes reveals.

    g(z) = 1 + (1/h) d/dz [e z h T'/(1-T')], h the density of incomes under the linearised schedule,
    from a Gaussian kernel in log income (Silverman's width). Rates are taken as smooth in income.

    Raises:
        DataError: an income that is not positive, or a rate outside [0, 1).
    """
    _check_elasticity(elasticity)
    share = shares(income, weight)
    if not np.all(income > 0):
        raise DataError(f"the lowest income is {income.min()}; weights need positive incomes")
    if not np.all((rate >= 0) & (rate < 1)):
        raise DataError(f"rates reach from {rate.min()} to {rate.max()}; they must lie in [0, 1)")
    logs = np.log(income)
    kernel = stats.gaussian_kde(logs, "silverman", weights=share)
    order = np.argsort(logs)
    low, high = np.interp([0.005, 0.995], np.cumsum(share[order]), logs[order])
    grid = np.linspace(low, high, points)
    # h z is the density of log income, so that d/dz of it is d/dlog over z.
    dense = kernel(grid)
    tax = np.interp(grid, logs[order], rate[order])
    slope = np.gradient(dense * tax / (1 - tax), grid)
    return np.exp(grid), 1 + elasticity * slope / dense


def solve_linear_rate(
    weight_at: Callable[[float], float], elasticity: Number, *, tolerance: float = 1e-12
) -> float:
    """The flat rate at which t = (1-g(t)) / (1-g(t)+e), for weights that move with the rate.

    Raises:
        DataError: there is none in [0, 1).
    """
    _check_elasticity(elasticity)

    def gap(t: float) -> float:
        return t - linear_rate(weight_at(t), elasticity)

    if gap(0.0) * gap(_NEARLY_ALL) > 0:
        raise DataError("no flat rate in [0, 1) meets its own formula; check the weights")
    return optimize.root_scalar(gap, bracket=(0.0, _NEARLY_ALL), xtol=tolerance).root


def shares(values: People, weight: People | None) -> People:
    """Weights that sum to 1.

    Raises:
        DataError: no people, a negative weight, or weights that sum to 0.
    """
    share = np.ones(len(values)) if weight is None else np.asarray(weight, np.float64)
    if share.shape != values.shape or not len(values):
        raise DataError(f"there are {share.size} weights for {values.size} people")
    if not np.all(share >= 0) or not share.sum() > 0:
        raise DataError("weights must be 0 or more and sum to more than 0")
    return share / share.sum()


def _mean_weight_above(skills: Skills, n: Points, power: Number) -> Points:
    return skills.moment_above(n, -power) / (skills.moment(-power) * skills.above(n))


def _mills(skills: Lognormal, n: Points) -> Points:
    """(1 - Phi) / phi at log n, also far out in the tail."""
    z = (np.log(n) - skills.mu) / skills.sigma
    return np.exp(stats.norm.logsf(z) - stats.norm.logpdf(z))


def _check_elasticity(elasticity: Number) -> None:
    if not (np.isfinite(elasticity) and elasticity > 0):
        raise DataError(f"elasticity = {elasticity}; it must be a positive number")
