"""The economy of LLM Economist (Karten et al. 2025), with workers who choose what is best for them.

A worker of skill s who works l hours earns z = s l and has the utility z - tax + rebate - c l**d.
Skill is a draw of annual income over 40 hours; incomes follow the generalised beta distribution
that the authors fit to the American Community Survey of 2023. Hours are 0, 10, ..., 100. The
elasticity of income is 1 / (d - 1). Two ways to add people up, theirs and the textbook's:

- per head of u / max(z, 1), as their code has it: weights that fall with an income which the tax
  itself lowers, and no division by their sum;
- the same weights, at a stated floor, divided by their sum.

`recalibrated` sets tastes such that every worker earns under the American tax of 2024 what the
distribution says, so that units fit; there the elasticity is the same and nobody is at the limit.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lpm import Scalar
from lpm.economics import Aim, Felt, ParetoWeights, Schedule, Workforce, total
from lpm.economics.skills import GeneralisedBeta
from lpm.errors import DataError
from lpm.fitting.chance import generator_for

COST, POWER, MOST = 0.0005, 3.5, 100.0  # c, d and the largest number of hours
E = 1 / (POWER - 1)
INCOMES = GeneralisedBeta(2.07211, 72_402.78, 0.486519, 1.141040)
US_EDGES = (0.0, 11_600, 47_150, 100_525, 191_950, 243_725, 609_350)  # single, 2024
US_RATES = (0.10, 0.12, 0.22, 0.24, 0.32, 0.35, 0.37)
THREE_EDGES = (0.0, 90_000, 159_100)
HOURS = tuple(float(h) for h in range(0, 101, 10))
DELTAS = (-0.2, -0.1, 0.0, 0.1, 0.2)
FLOOR = 1_000.0  # of income, in weights and in the re-calibrated economy; see `recalibrated`
Vector = Float[Array, " agent"]


def us_law() -> Schedule:
    """Rates and brackets as the paper has them: no deduction, no credit, no payroll tax."""
    return Schedule(US_EDGES, US_RATES)


def flat(rate: float) -> Schedule:
    """One rate on all income."""
    return Schedule([0.0], [rate])


def incomes(workers: int, draw: int | None = None) -> Float[np.ndarray, " agent"]:
    """Annual incomes: the middles of equal shares of people, or the n-th random draw.

    Raises:
        DataError: fewer than two workers.
    """
    if workers < 2:
        raise DataError(f"workers = {workers}; give two at least")
    if draw is None:
        return INCOMES.quantile((np.arange(workers) + 0.5) / workers)
    luck = generator_for(jnp.zeros((1, 2), jnp.uint32), f"incomes {draw}")
    return INCOMES.quantile(luck.uniform(0, 1, workers))


def skills(workers: int, draw: int | None = None) -> Vector:
    """What an hour pays."""
    return jnp.asarray(incomes(workers, draw) / 40, jnp.float32)


@jax.jit
def best_hours(skill: Vector, schedule: Schedule) -> tuple[Vector, Vector, Vector]:
    """Hours of those offered, income, and utility with the rebate."""

    def consider(best: Any, hours: Any) -> Any:
        income = skill * hours
        value = income - schedule.liability(income) - COST * hours**POWER
        better = value > best[1]
        return (jnp.where(better, hours, best[0]), jnp.where(better, value, best[1])), None

    start = jnp.zeros_like(skill), jnp.full_like(skill, -jnp.inf)
    (hours, value), _ = jax.lax.scan(consider, start, jnp.asarray(HOURS))
    income = skill * hours
    return hours, income, value + total(schedule.liability(income)) / skill.size


def raw_welfare(income: Vector, utility: Vector) -> Scalar:
    """Theirs, per head: u / max(z, 1). Their code sums over workers instead."""
    return total(utility / jnp.maximum(income, 1.0)) / income.size


def welfare(income: Vector, utility: Vector) -> Scalar:
    """Mean utility with weights 1 / max(z, floor), divided by the mean weight."""
    cared = FLOOR / jnp.maximum(income, FLOOR)
    return total(cared * utility) / total(cared)


class Raw(Aim):
    """Their welfare per head as an aim, to show where its gradient leads."""

    def __call__(self, felt: Felt) -> Scalar:
        """Mean of u / max(z, 1)."""
        raw = felt.utility / jnp.maximum(felt.found.income, 1.0)
        return total(felt.heads * raw) / total(felt.heads)

    def weights(self, felt: Felt) -> Vector:
        """1 / max(z, 1) over its mean, as if it stood still."""
        cared = 1 / jnp.maximum(felt.found.income, 1.0)
        return cared * total(felt.heads) / total(felt.heads * cared)


def recalibrated(workers: int, draw: int | None = None) -> tuple[Workforce, ParetoWeights]:
    """Workers who earn under the American law of 2024 what the distribution says, and weights.

    Incomes below the floor are raised to it, which concerns 1.4 % of people. Weights are the
    inverse of these incomes, and no policy moves them. Somebody on a threshold would have any of a
    range of tastes; incomes of a continuous distribution are nowhere on one.
    """
    income = np.maximum(incomes(workers, draw), FLOOR)
    marginal = np.asarray(US_RATES)[np.searchsorted(US_EDGES, income, side="right") - 1]
    people = Workforce.of(income / (1 - marginal) ** E, E)
    return people, ParetoWeights(jnp.asarray(FLOOR / income, jnp.float32))


@jax.jit
def worth(people: Workforce, aim: Aim, schedule: Schedule) -> Scalar:
    """Welfare of a schedule, with an equal rebate."""
    found = people.answer(schedule)
    utility = found.utility + people.mean(found.tax)
    return aim(Felt(found, utility, people.weight))


def walk(
    score: Callable[[Schedule], Any], edges: Sequence[float], years: int, start: float = 0.5
) -> tuple[list[float], list[float]]:
    """The paper's planner, if he judged every change rightly: rates at the end, welfare by year.

    Once a tax year every bracket's rate moves by one of five steps, the best one given the others,
    and stays in [0, 1].
    """
    rates, told = np.full(len(edges), start), []
    for _ in range(years):
        before = rates.copy()
        for j in range(len(edges)):
            moves = np.unique(np.clip(np.round(rates[j] + np.asarray(DELTAS), 10), 0, 1))
            tried = [np.where(np.arange(len(edges)) == j, move, rates) for move in moves]
            values = [float(score(Schedule(edges, one))) for one in tried]
            rates = tried[int(np.argmax(values))]
        told.append(float(score(Schedule(edges, rates))))
        if np.array_equal(before, rates):
            break
    return rates.tolist(), told
