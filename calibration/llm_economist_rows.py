"""Rows R1 to R4 of `calibration.llm_economist`: what workers do, and what planners make of it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from calibration.llm_economy import (
    COST,
    FLOOR,
    INCOMES,
    MOST,
    POWER,
    THREE_EDGES,
    US_EDGES,
    E,
    Raw,
    best_hours,
    flat,
    incomes,
    raw_welfare,
    recalibrated,
    skills,
    us_law,
    walk,
    welfare,
    worth,
)
from lpm.economics import (
    InverseIncome,
    ParetoWeights,
    Workforce,
    brackets,
    plan,
    potential_income,
    respond,
)
from lpm.economics.optimal_tax import sample_linear_rate

YEARS = 15  # 2,000 steps of 128
LAWS = {"US 2024": us_law(), "flat 0.5": flat(0.5), "flat 0.9": flat(0.9), "flat 0.99": flat(0.99)}
REPORTED = {"US 2024": 19_209.0, "flat 0.30": 23_617.0, "best flat": 30_661.0, "seven": 31_843.0}


def spread(values: Any) -> dict[str, float]:
    """Of a figure over random populations."""
    x = np.asarray(values, np.float64)
    quarter, middle, upper = np.quantile(x, [0.25, 0.5, 0.75])
    return {
        "mean": float(x.mean()),
        "sd": float(x.std(ddof=1)),
        "median": float(middle),
        "quarter": float(quarter),
        "three_quarters": float(upper),
    }


@jax.jit
def _freely(skill: Any, law: Any) -> Any:
    """Hours of workers who may choose any number up to the limit."""
    potential = potential_income(skill, E, COST)
    return respond(law, potential, E, cap=MOST * skill).income / skill


def hours(workers: int, draws: int) -> dict[str, Any]:
    """R1: hours by closed form against the best of every hundredth of an hour, US law."""
    skill = skills(workers)
    law = us_law()
    asked = np.unique(np.linspace(0, workers - 1, min(workers, 2_000)).astype(int))
    s, grid = np.asarray(skill, np.float64)[asked], np.arange(10_001) / 100
    exact, best = law.exact(), np.empty(len(asked))
    for i, each in enumerate(s):
        income = each * grid
        best[i] = grid[np.argmax(income - exact(income) - COST * grid**POWER)]
    gap = np.abs(np.asarray(_freely(skill, law), np.float64)[asked] - best)
    return {
        "asked": len(asked),
        "largest_gap": float(gap.max()),
        "beyond": float((gap > 0.0102).mean()),
    }


def corner(workers: int, draws: int) -> dict[str, Any]:
    """R2: share at the limit of 100 hours under flat taxes, in their units."""
    told = {}
    for rate in (0.0, 0.5, 0.9):
        # (1 - t) s = c d l**(d-1) at l = 100.
        least = COST * POWER * MOST ** (POWER - 1) / (1 - rate)

        def share(draw: int | None, rate: float = rate) -> float:
            skill = skills(workers, draw)
            return float(jnp.mean(_freely(skill, flat(rate)) >= MOST * (1 - 1e-6)))

        told[f"{rate:g}"] = {
            "share": share(None),
            "theory": float(INCOMES.above(40 * least)),
            "over_draws": spread([share(i) for i in range(min(draws, 100))]),
        }
    return told


def paper_welfare(workers: int, draws: int) -> dict[str, Any]:
    """R3: their welfare of four laws, summed, per head, and with weights divided by their sum."""
    told = {}
    for name, law in LAWS.items():
        _, income, utility = best_hours(skills(workers), law)
        raw = []
        for i in range(draws):
            _, z, u = best_hours(skills(workers, i), law)
            raw.append(float(raw_welfare(z, u)))
        told[name] = {
            "per_head": float(raw_welfare(income, utility)),
            "sum": workers * float(raw_welfare(income, utility)),
            "normalised": float(welfare(income, utility)),
            "idle": float(jnp.mean(income == 0)),
            "per_head_over_draws": spread(raw),
        }
    return told


def paper_planner(workers: int, draws: int) -> dict[str, Any]:
    """R3: where planners end in their economy: by steps and by gradient, raw and normalised."""
    skill = skills(workers)

    def score(measure: Any) -> Any:
        return lambda law: measure(*best_hours(skill, law)[1:])

    told: dict[str, Any] = {}
    for name, measure in (("raw", raw_welfare), ("normalised", welfare)):
        rates, by_year = walk(score(measure), US_EDGES, YEARS)
        told[f"steps, {name}"] = {"rates": rates, "welfare": by_year[-1], "years": len(by_year)}
    people = Workforce.of(potential_income(skill, E, COST), E, cap=MOST * skill)
    for name, aim in (("raw", Raw()), ("normalised", InverseIncome(FLOOR))):
        found = plan(people, aim, brackets([0.0]), starts=2, errors=False)
        told[f"gradient, flat, {name}"] = {
            "rates": found.values.tolist(),
            "welfare": found.welfare,
            "at_limit": bool(found.held[0] == 1),
        }
    return told


def recalibrated_welfare(workers: int, draws: int) -> dict[str, Any]:
    """R4: the economy whose units fit: welfare of laws, best rates, and their errors."""
    people, cared = recalibrated(workers)
    told: dict[str, Any] = {
        name: {"welfare": float(worth(people, cared, law))}
        for name, law in (("US 2024", us_law()), ("flat 0.30", flat(0.3)))
    }
    for name, edges in (("best flat", (0.0,)), ("three", THREE_EDGES), ("seven", US_EDGES)):
        found = plan(people, cared, brackets(edges))
        told[name] = {
            "rates": found.values.tolist(),
            "standard_errors": [float(x) if np.isfinite(x) else None for x in found.standard_error],
            "welfare": found.welfare,
            "gradient": found.gradient,
            "peak": found.is_peak,
            "starts_apart": found.welfare_spread,
        }
    rates, by_year = walk(lambda law: worth(people, cared, law), US_EDGES, YEARS)
    told["seven by steps"] = {"rates": rates, "welfare": by_year[-1], "years": len(by_year)}
    moving = plan(people, InverseIncome(FLOOR), brackets(US_EDGES), errors=False)
    told["seven, weights that move"] = {
        "rates": moving.values.tolist(),
        "welfare": moving.welfare,
        "US 2024": float(worth(people, InverseIncome(FLOOR), us_law())),
    }
    told["closed_form"] = closed_form_rate(workers)
    told["gain_over_US"] = told["seven"]["welfare"] / told["US 2024"]["welfare"] - 1
    told["from_reported"] = {k: told[k]["welfare"] / v - 1 for k, v in REPORTED.items()}
    told["over_draws"] = over_draws(workers, min(draws, 40))
    return told


def closed_form_rate(
    workers: int, draw: int | None = None, floor: float = FLOOR
) -> dict[str, float]:
    """The best flat rate by formula and its standard error, from the incomes of these people."""
    income = np.maximum(incomes(workers, draw), floor)
    people, aim = at_floor(income)
    m, w = (np.asarray(x, np.float64) for x in (people.potential, aim.cared))
    g = np.mean(w * m) / (w.mean() * m.mean())
    # Weights are of incomes and not of m, which moves the error in its third digit.
    error = sample_linear_rate(m, E).standard_error
    return {"rate": (1 - g) / (1 - g + E), "standard_error": error}


def at_floor(income: Any) -> tuple[Workforce, ParetoWeights]:
    """Workers who earn these incomes under the US law, weights their inverse."""
    rates = np.asarray(us_law().rates)
    marginal = rates[np.searchsorted(US_EDGES, income, side="right") - 1]
    people = Workforce.of(income / (1 - marginal) ** E, E)
    return people, ParetoWeights(jnp.asarray(income.min() / income, jnp.float32))


def over_draws(workers: int, draws: int) -> dict[str, Any]:
    """What other draws of as many workers say."""
    us, best = [], []
    for i in range(draws):
        people, cared = recalibrated(workers, i)
        us.append(float(worth(people, cared, us_law())))
        best.append(closed_form_rate(workers, i)["rate"])
    return {"US 2024": spread(us), "best flat rate": spread(best)}


def floors(workers: int, draws: int) -> dict[str, Any]:
    """R4: how much of it hangs on the lowest income, to which others are raised or left out."""
    told = {}
    income = incomes(workers)
    for floor in (1.0, 100.0, 1_000.0, 5_000.0, 10_000.0):
        people, cared = at_floor(np.maximum(income, floor))
        closed = closed_form_rate(workers, floor=floor)["rate"]
        told[f"{floor:g}"] = {
            "US 2024": float(worth(people, cared, us_law())),
            "US 2024, others left out": float(worth(*at_floor(income[income > floor]), us_law())),
            "best flat rate": closed,
            "best flat": float(worth(people, cared, flat(closed))),
        }
    return told
