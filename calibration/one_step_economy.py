"""The one-step economy of The AI Economist: skills, responses, what theory says, what is learned.

A planner sets seven marginal rates and pays the revenue back in equal parts; then each worker
chooses hours l in [0, 100] and earns skill times hours (Zheng et al. 2022; facts from the authors'
code at github salesforce/ai-economist, commits 063b30e, 11ed122 and 6db1d84).

Skills. That code draws n = min(3, 2 P) with P classical Pareto of index 4, in [2, 3] with a fifth
of the people at 3; the skill of a rank is its mean over 1,000 draws of everybody. The builders of
its larger game have n = min(3, 2 P - 1), in [1, 3]. Both are `Capped`.

Utilities. `linear`: coin - l**2; elasticity 1, no income effect. `concave`: coin of relative
aversion 0.23 less l, so that income effects are large. Objectives of the planner: `weighted`, mean
utility weighted by 1 / max(income, 1); `product`, equality times mean coin.

Theory, with weights w of mean 1, F and f of skills, and G(n) the mean weight above n:
linear, weighted    T'/(1-T') = 2 (1-F)/(n f) (1-G)                      Diamond (1998)
linear, product     T'/(1-T') = that with w = 2 (1-F), less w, not below 0
concave, weighted   T' = ((1-F) - W(n)/W(n0)) / (n f), W(n) = int_n w f/x dx
The second: 1 - Gini times the mean is a mean with rank weights, 2 (1-F), but hours do not count for
this planner: in V + l**2 the second part is worth w to him and 1 to the budget. The third: utility
is linear in hours, so that V = utility obeys (n V)' = U(c) with c consumption, and the best c(n)
follows point by point, whatever U is. Both are derived here, and held by tests to the best
that plain optimisation finds for skills in steps. Concave with `product` has no inner optimum: this
planner would have people work to the limit of their hours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize

from lpm.analysis import gini
from lpm.economics import (
    Schedule,
    between,
    equal_rebate,
    potential_income,
    respond,
    total,
)

Rates: TypeAlias = np.ndarray
EDGES = np.array([0, 9.7, 39.475, 84.2, 160.725, 204.1, 510.3])  # thousand dollars of 2019
HOURS = 100.0
AVERSION = 0.23
ALPHA, CAP = 4.0, 3.0
MOST = 0.99  # the highest rate that is tried


@dataclass(frozen=True)
class Capped:
    """min(cap, shift + 2 P), P Pareto of index 4 above 1: a distribution with people at its top.

    Fulfils `lpm.economics.skills.Skills` up to the cap; the density leaves out those at the cap.
    """

    shift: float = 0.0

    @property
    def least(self) -> float:
        """The lowest skill."""
        return self.shift + 2

    def density(self, n: Any) -> np.ndarray:
        """Density at `n` below the cap."""
        inside = (np.asarray(n) >= self.least) & (np.asarray(n) < CAP)
        return np.where(inside, ALPHA * self.above(n) / (np.asarray(n) - self.shift), 0.0)

    def above(self, n: Any) -> np.ndarray:
        """Share of people above `n`, those at the cap included."""
        n = np.asarray(n, np.float64)
        tail = (2 / np.maximum(n - self.shift, 2)) ** ALPHA
        return np.where(n < CAP, tail, 0.0)

    def quantile(self, share: Any) -> np.ndarray:
        """The skill that a share of people do not exceed."""
        return np.minimum(CAP, self.shift + 2 * (1 - np.asarray(share)) ** (-1 / ALPHA))

    def moment(self, power: float) -> float:
        """Mean of n**power."""
        return float(self.moment_above(np.asarray(self.least), power))

    def moment_above(self, n: Any, power: float) -> np.ndarray:
        """Integral of x**power over the people above `n`, by Gauss-Legendre in the quantile."""
        n = np.asarray(n, np.float64)
        top = self.above(CAP * (1 - 1e-15))
        at, weight = np.polynomial.legendre.leggauss(80)
        low = 1 - self.above(n)
        half = (1 - top - low)[..., None] / 2
        share = low[..., None] + half * (1 + at)
        return (half * weight * self.quantile(share) ** power).sum(-1) + top * CAP**power


SKILLS = {"one step": Capped(), "builders": Capped(-1.0)}


def skills_of(law: Capped, people: int, draws: int = 1_000) -> np.ndarray:
    """Means of ordered skills over draws, as in the authors' code; for many people, quantiles."""
    if people > 10_000:
        return law.quantile((np.arange(people) + 0.5) / people)
    key = jax.random.key(0)
    share = np.asarray(jax.random.uniform(key, (draws, people)), np.float64)
    return np.sort(law.quantile(share), axis=1).mean(axis=0)


@dataclass(frozen=True)
class Outcome:
    """What everybody does under a schedule, by person in the order of skill."""

    income: Any
    coin: Any
    utility: Any


def linear(skill: jax.Array, tax: Schedule) -> Outcome:
    """Workers of utility coin - l**2."""
    able = potential_income(skill, 1.0, 1.0)
    found = respond(tax, able, 1.0, cap=HOURS * skill, jumps="corrected")
    rebate = equal_rebate(found.tax)
    return Outcome(found.income, found.income - found.tax + rebate, found.utility + rebate)


def concave(skill: jax.Array, tax: Schedule) -> Outcome:
    """Workers of utility (coin**(1-a) - 1)/(1-a) - l; the rebate is a fixed point."""

    def mean_tax(rebate: jax.Array) -> jax.Array:
        return equal_rebate(tax.liability(_concave_income(skill, tax, rebate)))

    # More of it makes people work less, so that there is one root, and not above untaxed output.
    none = Schedule(jnp.zeros(1), jnp.zeros(1))
    most = total(_concave_income(skill, none, jnp.zeros(()))) / skill.shape[0]
    rebate = between(lambda r: mean_tax(r) / most - r / most, 0.0, most)
    income = _concave_income(skill, tax, rebate)
    coin = income - tax.liability(income) + rebate
    return Outcome(income, coin, _enjoyed(coin) - income / skill)


def _enjoyed(coin: jax.Array) -> jax.Array:
    return (jnp.maximum(coin, 1e-6) ** (1 - AVERSION) - 1) / (1 - AVERSION)


def _concave_income(skill: jax.Array, tax: Schedule, rebate: jax.Array) -> jax.Array:
    """The best income: of each bracket where the last coin pays its hour, and of those the best."""
    most = HOURS * skill
    best, value = jnp.zeros_like(skill), jnp.full_like(skill, -jnp.inf)
    tops = [*(tax.thresholds[j] for j in range(1, tax.brackets)), jnp.inf]
    for j in range(tax.brackets):
        low, kept = tax.thresholds[j], jnp.maximum(1 - tax.rates[j], 1e-3)
        wanted = (skill * kept) ** (1 / AVERSION)
        extra = rebate + low - tax.bases[j] - kept * low  # coin at no income on this line
        top = jnp.minimum(most, tops[j])
        income = jnp.clip((wanted - extra) / kept, jnp.minimum(low, top), top)
        found = _enjoyed(income - tax.bases[j] - tax.rates[j] * (income - low) + rebate)
        better = found - income / skill > value
        best = jnp.where(better, income, best)
        value = jnp.where(better, found - income / skill, value)
    return best


UTILITIES = {"linear": linear, "concave": concave}


def product(found: Outcome) -> jax.Array:
    """1 less Gini's coefficient times n/(n-1), times mean coin."""
    n = found.coin.shape[0]
    return (1 - gini(found.coin) * n / (n - 1)) * total(found.coin) / n


def weighted(found: Outcome, cared: jax.Array) -> jax.Array:
    """Mean utility with the weights `cared`, divided by their mean."""
    return total(found.utility * cared) / total(cared)


def cares(found: Outcome) -> jax.Array:
    """1 / max(income, 1)."""
    return 1 / jnp.maximum(found.income, 1.0)


@dataclass(frozen=True)
class Learned:
    """Rates that were learned, and what everybody does under them."""

    edges: np.ndarray
    rates: np.ndarray
    welfare: float
    outcome: Outcome


def learn(
    skill: np.ndarray,
    utility: str,
    objective: str,
    edges: np.ndarray = EDGES,
    *,
    weights: jax.Array | None = None,
    moving: bool = False,
    start: np.ndarray | None = None,
    rounds: int = 12,
    steps: int = 60,
) -> Learned:
    """Raise welfare along its gradient, by L-BFGS within [0, 0.99].

    Weights by income are a judgement: they are `weights`, or are held at the incomes of the last
    round and taken anew until rates stay. With `moving`, they respond to the policy as in the
    authors' code, so that a planner gains by moving weight to the happy; the gradient then passes
    through them.
    """
    people = jnp.asarray(skill, jnp.float32)
    choose, knots = UTILITIES[utility], jnp.asarray(edges, jnp.float32)

    def outcome(rates: jax.Array) -> Outcome:
        return choose(people, Schedule(knots, rates))

    def welfare(rates: jax.Array, cared: jax.Array) -> jax.Array:
        found = outcome(rates)
        if objective == "product":
            return product(found)
        return weighted(found, cares(found) if moving else cared)

    slope = jax.jit(jax.value_and_grad(welfare))
    care = jax.jit(lambda rates: cares(outcome(rates)))
    starts = [np.full(len(edges), x) for x in (0.02, 0.3)] if start is None else [start]
    fixed = objective == "product" or moving

    def settle(rates: Rates) -> tuple[float, Rates]:
        value = -np.inf
        for _ in range(1 if fixed else rounds):
            cared = care(jnp.asarray(rates, jnp.float32)) if weights is None else weights
            before, (value, rates) = rates, climb(slope, rates, cared, steps)
            if np.abs(rates - before).max() < 1e-3:
                break
        return value, rates

    # Where nobody earns, welfare is flat in a rate, and a start that puts nobody there stays.
    value, rates = max((settle(x) for x in starts), key=lambda pair: pair[0])
    return Learned(edges, rates, value, outcome(jnp.asarray(rates, jnp.float32)))


def climb(
    slope: Callable[..., Any], rates: Rates, cared: jax.Array, steps: int, most: float = MOST
) -> tuple[float, Rates]:
    """The highest welfare on the way, and where."""
    best, at = -np.inf, rates

    def down(x: Rates) -> tuple[float, Rates]:
        nonlocal best, at
        value, gradient = slope(jnp.asarray(x, jnp.float32), cared)
        if not np.isfinite(value):
            # All at the cap jump at once, and no rebate balances: beyond a cliff.
            return 1e3, np.zeros_like(x)
        if float(value) > best:
            best, at = float(value), x.copy()
        return -float(value), -np.nan_to_num(np.asarray(gradient, np.float64))

    optimize.minimize(
        down,
        rates,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, most)] * len(rates),
        options={"maxiter": steps, "ftol": 1e-9, "gtol": 1e-7},
    )
    return best, at
