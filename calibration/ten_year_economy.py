"""Four tax schedules in ten years of `scenarios/labour_market.py`, wages clearing in each.

No tax; the federal rates of 2019 for one person; Saez's formula at the incomes that it leads to;
and the schedule that gradients through all ten years, and through the wages that clear in them,
find for equality times productivity. Brackets are those of 2019, a coin being 1000 dollars.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import lpm
from calibration.one_step_economy import EDGES, climb
from calibration.one_step_theory import inverse_income
from lpm.economics.optimal_tax import top_rate
from scenarios.labour_market import State, scenario

FEDERAL = np.array([0.10, 0.12, 0.22, 0.24, 0.32, 0.35, 0.37])
ELASTICITY = float(scenario.params.elasticity)
MOST = 0.95  # the highest rate of the scenario


def years(rates: np.ndarray, agents: int, key: int = 0) -> lpm.Trajectory:
    """Ten years of the labour market under the brackets of 2019."""
    params = scenario.params.replace(rates=rates, thresholds=EDGES)
    return lpm.simulate(scenario, lpm.Population.toy(agents), key=key, params=params)


def saez(agents: int, rounds: int = 8) -> np.ndarray:
    """Saez's rates for weights 1/income, at the incomes that they themselves lead to."""
    rates = FEDERAL
    for _ in range(rounds):
        state = years(rates, agents).state
        assert isinstance(state, State)
        before, rates = rates, saez_rates(np.asarray(state.income, np.float64))
        if np.abs(rates - before).max() < 2e-3:
            break
    return rates


def saez_rates(income: np.ndarray) -> np.ndarray:
    """(1-G) / (1-G + a e) of each bracket, its mean over those in it, weights 1/income.

    `a` is income times density over the share above, from a kernel in log income; of the last
    bracket with people in it the Pareto index of means. Those above have the rate of it.
    """
    order = np.sort(income)
    logs = np.log(order)
    cared = inverse_income(order) / inverse_income(order).mean()
    above = 1 - (np.arange(len(order)) + 0.5) / len(order)
    mean_above = cared[::-1].cumsum()[::-1] / np.arange(len(order), 0, -1)
    at = np.linspace(logs[0], logs[-1], 400)
    dense = np.interp(logs, at, stats.gaussian_kde(logs[:: max(1, len(logs) // 5_000)])(at))
    rates = (1 - mean_above) / (1 - mean_above + dense / above * ELASTICITY)
    bracket = np.searchsorted(EDGES, order, "right") - 1
    found = np.zeros(len(EDGES))
    for j, edge in enumerate(EDGES):
        mine = bracket == j
        if mine.sum() < 30:
            found[j] = found[j - 1]
        elif (bracket > j).sum() < 30:
            higher = order[mine | (bracket > j)]
            tail = higher.mean() / (higher.mean() - edge)
            found[j] = top_rate(tail, ELASTICITY, g=float(cared[mine].mean()))
        else:
            found[j] = rates[mine].mean()
    return found


def optimised(agents: int, steps: int) -> np.ndarray:
    """Rates of the most equality times productivity after ten years, by gradients through them."""
    town = lpm.Population.toy(agents)

    def value(rates: jax.Array, _: Any) -> jax.Array:
        params = scenario.params.replace(rates=rates, thresholds=EDGES)
        run = lpm.simulate(scenario, town, key=0, params=params, devices=1)
        return run.observed["equality_x_productivity"][-1]

    slope = jax.jit(jax.value_and_grad(value))
    return climb(slope, np.full(len(EDGES), 0.3), jnp.zeros(()), steps, MOST)[1]


def measured(rates: np.ndarray, agents: int) -> dict[str, Any]:
    """The ten years, for everybody, and as four at a time would have it."""
    run = years(rates, agents, key=1)
    last = {name: np.asarray(values)[-1] for name, values in run.observed.items()}
    assert isinstance(run.state, State)
    coin = np.asarray(run.state.coin, np.float64)
    four = coin[: agents // 4 * 4].reshape(-1, 4)
    apart = np.abs(four[:, :, None] - four[:, None]).sum((1, 2)) / 12
    equal = 1 - apart / (2 * four.mean(axis=1))
    keep = ("productivity", "equality", "equality_x_productivity", "wages", "welfare")
    return {
        "rates": rates,
        **{name: last[name] for name in keep},
        "of_four": {
            "productivity": four.sum(axis=1).mean(),
            "equality": equal.mean(),
            "equality_spread": equal.std(),
            "equality_x_productivity": (equal * four.mean(axis=1)).mean(),
        },
    }


def ten_years(agents: int, searched: int, steps: int) -> dict[str, Any]:
    """All four schedules."""
    schedules = {
        "free market": np.zeros(len(EDGES)),
        "US federal": FEDERAL,
        "Saez": saez(agents),
        "optimised": optimised(searched, steps),
    }
    return {name: measured(rates, agents) for name, rates in schedules.items()}
