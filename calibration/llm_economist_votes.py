"""Rows R6 to R8 of `calibration.llm_economist`: slow answers, votes, and measured elasticities."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize, stats

from calibration.llm_economy import (
    COST,
    MOST,
    E,
    flat,
    recalibrated,
    skills,
)
from lpm.economics import Schedule, majority, plurality, potential_income, respond, total, utilities
from lpm.economics.optimal_tax import median_voter_rate
from lpm.fitting.chance import generator_for

SPEED = 0.2  # share of the gap to the best hours that is closed in a step; an assumption
LENGTHS = (1, 5, 25, 128)  # steps of a tax year; 25 is the code's default, 128 the longest tried
STEP, TRIALS = 0.05, 400


@jax.jit
def _after(potential: Any, cared: Any, hours: Any, rate: Any, left: Any) -> tuple[Any, Any]:
    """Welfare at the end of a year under a flat rate, and hours, as shares of those at no tax."""
    best = (1 - rate) ** E
    now = best + left * (hours - best)
    income = potential * now
    effort = E / (1 + E) * potential * now ** (1 + 1 / E)
    rebate = rate * total(income) / income.size
    utility = (1 - rate) * income - effort + rebate
    return total(cared * utility) / total(cared), now


def tax_year(workers: int, draws: int) -> dict[str, Any]:
    """R6: the flat rate of a planner who looks at welfare at the end of each tax year.

    Hours close a share `SPEED` of the gap in each step. Welfare of a year of K steps misses the
    share (1 - SPEED)**K of the answer, so that its best rate is that of an elasticity which is
    smaller by as much.
    """
    people, aim = recalibrated(workers)
    m, w = people.potential, aim.cared
    g = float(total(w * m) / total(w) / (total(m) / workers))
    told = {}
    for length in LENGTHS:
        left, rate, hours = (1 - SPEED) ** length, 0.5, jnp.full(workers, 0.5**E)
        for _ in range(12):
            found: Any = optimize.minimize_scalar(
                lambda t, h=hours, k=left: -float(_after(m, w, h, t, k)[0]),
                bounds=(0.01, 0.99),
                method="bounded",
                options={"xatol": 1e-4},
            )
            rate = float(found.x)
            hours = _after(m, w, hours, rate, left)[1]
        theory = (1 - g) / (1 - g + E * (1 - left))
        told[str(length)] = {"rate": rate, "theory": theory, "long": length > 5 / SPEED - 1}
    return {"speed": SPEED, "best": (1 - g) / (1 - g + E), "years_of": told}


def votes(workers: int, draws: int) -> dict[str, Any]:
    """R7: flat rates put to the vote: duels, first choices, and a winner who pleases himself."""
    people, _ = recalibrated(workers)
    income = np.asarray(people.potential, np.float64)
    theory = median_voter_rate(income, E)
    rates = np.concatenate([np.arange(0, 0.95, 0.1), theory + 0.0015 * np.arange(-6, 7)])
    number = len(rates)
    platforms = Schedule(
        jnp.zeros((number, 1)), jnp.asarray(rates, jnp.float32)[:, None], jnp.zeros(number)
    )
    utility = utilities(people, platforms)
    lots = jnp.linspace(0, 1, number)
    duels = majority(utility, people.weight, lots)
    first = plurality(utility, people.weight, lots)
    # Whoever wins may choose for himself: anybody, where promises do not bind.
    ratio = income / income.mean()
    own = np.maximum(0, (1 - ratio) / np.where(ratio < 1, 1 - ratio + E, 1.0))
    return {
        "median_voter": theory,
        "wins_all_duels": float(rates[int(duels.winner)]),
        "decided": bool(duels.decided),
        "most_first_choices": float(rates[int(first.winner)]),
        "not_binding": {
            "mean": float(own.mean()),
            "sd": float(own.std()),
            "share_at_no_tax": float((own == 0).mean()),
        },
    }


@jax.jit
def _moved(potential: Any, elasticity: Any, cap: Any = None) -> Any:
    """Log income at the lower rate less that at the higher."""
    low, high = (
        respond(flat(0.5 + d), potential, elasticity, cap=cap).income for d in (-STEP, STEP)
    )
    return jnp.log(low / high)


def elasticity(workers: int, draws: int) -> dict[str, Any]:
    """R8: the elasticity from rates 5 points up and down, errors by worker.

    Elasticities of workers have mean 0.4 and standard deviation 0.1, and income is seen with a
    noise of 10 % that is the same under both rates, or is not. In the economy of the paper those at
    the limit of hours do not move.
    """
    sizes = min(workers, 2_000)
    luck = generator_for(jnp.zeros((1, 2), jnp.uint32), "elasticities")
    width = np.log((1 - 0.5 + STEP) / (1 - 0.5 - STEP))
    critical = stats.t.ppf(0.975, sizes - 1)
    covered, values, other = 0, [], []
    people = jnp.ones(sizes)
    for _ in range(TRIALS):
        own = jnp.asarray(E + 0.1 * luck.standard_normal(sizes), jnp.float32)
        noise = 0.1 * luck.standard_normal((2, sizes))
        gaps = np.asarray(_moved(people, own), np.float64)
        # A noise that is the same under both rates cancels.
        same, apart = gaps / width, (gaps + noise[1] - noise[0]) / width
        error = same.std(ddof=1) / np.sqrt(sizes)
        covered += bool(abs(same.mean() - E) < critical * error)
        values.append(same.mean())
        other.append(apart.mean())
    skill = skills(workers)
    m = potential_income(skill, E, COST)
    measured = np.asarray(_moved(m, jnp.asarray(E), MOST * skill), np.float64) / width
    return {
        "trials": TRIALS,
        "workers_each": sizes,
        "coverage": covered / TRIALS,
        "sd_same_luck": float(np.std(values)),
        "sd_other_luck": float(np.std(other)),
        "in_their_economy": float(measured.mean()),
        "share_that_moves": float((np.abs(measured) > 1e-6).mean()),
    }
