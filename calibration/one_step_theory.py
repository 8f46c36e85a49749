"""What theory says of the one-step economy, in double precision and by other code than learns it.

Formulas and their sources are in `one_step_economy.py`. Skills are a grid of quantiles with the
people at the cap as its last point; `Optimum` is the best of all schedules, so that no brackets
can beat it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from calibration.one_step_economy import AVERSION, CAP, Capped
from lpm.economics.optimal_tax import marginal_rates

Values: TypeAlias = np.ndarray
Weights: TypeAlias = Callable[[Values], Values]  # of incomes


@dataclass(frozen=True)
class Grid:
    """Skills with the share of people at each."""

    law: Capped
    n: Values
    share: Values

    @staticmethod
    def of(law: Capped, points: int = 20_000) -> "Grid":
        """Equal shares below the cap, and the people at it."""
        body = 1 - float(law.above(CAP * (1 - 1e-12)))
        share = np.append(np.full(points, body / points), 1 - body)
        middle = (np.arange(points) + 0.5) * body / points
        return Grid(law, np.append(law.quantile(middle), CAP), share)

    @property
    def above(self) -> Values:
        """Share of people above each point, half of its own not counted."""
        return np.append(self.law.above(self.n[:-1]), 0.0)

    def tail(self, values: Values) -> Values:
        """Integral of values over the people above each point."""
        held = self.share * values
        return held[::-1].cumsum()[::-1] - held / 2

    def along(self, slope: Values) -> Values:
        """Integral of a slope in skill from the first point on."""
        steps = np.diff(self.n) * (slope[1:] + slope[:-1]) / 2
        return np.append(0.0, steps.cumsum())


@dataclass(frozen=True)
class Optimum:
    """Marginal rates, incomes and utilities by skill, and welfare."""

    grid: Grid
    rates: Values
    income: Values
    utility: Values
    weights: Values

    @property
    def welfare(self) -> float:
        """Mean utility at the weights."""
        cared = self.grid.share * self.weights
        return float(cared @ self.utility / cared.sum())

    def by_bracket(self, edges: Values) -> Values:
        """Mean of the rates of those whose income is in each bracket; nan where there is nobody."""
        at = np.searchsorted(edges, self.income[:-1], side="right") - 1
        people = self.grid.share[:-1]
        held = np.bincount(at, people * self.rates[:-1], len(edges))
        count = np.bincount(at, people, len(edges))
        return np.where(count > 0, held / np.where(count > 0, count, 1), np.nan)


def linear_optimum(
    grid: Grid, *, power: float | None = None, weights: Weights | None = None, product: bool = False
) -> Optimum:
    """The best schedule where utility is coin less hours squared.

    Weights are skills**-power, or a function of income at the optimum itself, or of rank.
    """
    income, rates, cared = grid.n**2 / 2, np.zeros_like(grid.n), np.ones_like(grid.n)
    body = grid.n[:-1]
    for _ in range(200):
        before = rates
        if power is not None:
            cared = grid.n**-power
            odds = _odds(marginal_rates(grid.law, body, 1.0, power=power))
        else:
            rank = 2 * np.append(grid.above[:-1], grid.share[-1] / 2)
            cared = rank if product else weights(income)  # pyright: ignore[reportOptionalCall]
            cared = cared / (grid.share @ cared)
            hazard = grid.above[:-1] / (body * grid.law.density(body))
            left = 1 - grid.tail(cared)[:-1] / grid.above[:-1]
            odds = 2 * hazard * left - (cared[:-1] if product else 0)
        odds = np.maximum(odds, 0)
        rates = np.append(odds / (1 + odds), 0.0)
        income = grid.n**2 / 2 * (1 - rates)
        if np.abs(rates - before).max() < 1e-10:
            break
    effort = (income / grid.n) ** 2
    utility = grid.along(2 * effort / grid.n)
    utility = utility + grid.share @ (income - effort - utility)
    return Optimum(grid, rates, income, utility, cared)


def concave_optimum(grid: Grid, weights: Weights) -> Optimum:
    """The best schedule where utility is concave in coin and linear in hours."""
    n, eta = grid.n, AVERSION
    rates, income = np.zeros_like(n), n ** (1 / eta)
    cared, times, start = np.ones_like(n), np.zeros_like(n), 0.0
    for _ in range(500):
        before = rates
        cared = 0.5 * cared + 0.5 * weights(income)
        behind = grid.tail(cared / n) / (grid.share @ (cared / n))
        ahead = (grid.above - behind)[:-1] / (n[:-1] * grid.law.density(n[:-1]))
        rates = np.append(ahead, 0.0)
        coin = (n * (1 - rates)) ** (1 / eta)
        enjoyed = (coin ** (1 - eta) - 1) / (1 - eta)
        times = grid.along(enjoyed)  # n V less its value at the least skill
        start = grid.share @ (n * enjoyed - times - coin)
        income = n * enjoyed - times - start
        if np.abs(rates - before).max() < 1e-9:
            break
    return Optimum(grid, rates, income, (times + start) / n, cared)


def inverse_income(income: Values) -> Values:
    """1 / max(income, 1)."""
    return 1 / np.maximum(income, 1)


def laissez_faire(optimum: Optimum) -> float:
    """Welfare without taxes at the weights of the optimum, where utility is linear in coin."""
    cared = optimum.grid.share * optimum.weights
    return float(cared @ (optimum.grid.n**2 / 4) / cared.sum())


def _odds(rate: Values) -> Values:
    return rate / (1 - rate)
