"""Weekly reproduction numbers recovered: python -m tests.studies.weekly_reproduction --json FILE

An epidemic with waning immunity among N people who mix fully; the reproduction number changes every
week as it likes (a wave and jumps of up to a third). Immunity of 15 days keeps thousands infected
in most weeks; with `--waning 60` the epidemic comes and goes, and weeks of a few hundred infections
cannot be known to 5 %, whatever the method: the luck of 500 infections alone is 4.5 %. The data are
the infections of each day of one run; `lpm.calibrate` fits all weeks at once, over keys that the
data's run does not have, with no smoothing. The error of a week is |estimate / truth - 1|, reported
for weeks in which more than 500 were infected. The naive rival reads each week off its growth,
exp(log(infections of its last day / of its first) / 6 * infectious days), as if nobody were immune.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lpm
from lpm import Array, Draw, Float, Population, Scalar
from lpm.fitting import Poisson, Series

PERIOD = 4.0  # Days infectious.
ENOUGH = 500  # Infections a week.


class Params(lpm.Params):
    reproduction: Float[Array, " week"] = lpm.parameter(np.full(26, 2.0), within=(0.2, 6))
    waning: Scalar = lpm.constant(1 / 60, unit="1/day")
    seeded: Scalar = lpm.constant(0.02, unit="share of agents")


class State(lpm.State):
    everyone: lpm.Mixing
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infected: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population: Population, params: Params, draw: Draw) -> State:
    infectious = draw.bernoulli(params.seeded, "agent")
    everyone = lpm.Mixing(jnp.where(population.alive, 0, -1), [[1.0]])
    return State.of(
        population,
        everyone=everyone,
        susceptible=1 - infectious,
        infectious=infectious,
        infected=0,
    )


def spread(state: State, params: Params, draw: Draw) -> State:
    rate = params.reproduction[state.t // 7] / PERIOD
    infected = lpm.infections(draw, state.susceptible, [(state.everyone, rate, state.infectious)])
    recovered = draw.bernoulli(state.infectious / PERIOD)
    immune = state.alive - state.susceptible - state.infectious
    again = draw.bernoulli(immune * -jnp.expm1(-params.waning))
    return state.replace(
        susceptible=state.susceptible - infected + again,
        infectious=state.infectious + infected - recovered,
        infected=infected,
    )


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return {"infected": lpm.count(state.infected)}


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=182, unit="day")


def truth(weeks: int) -> np.ndarray:
    """Reproduction numbers by week: a wave of nine weeks, a third less from week 9 to 12."""
    week = np.arange(weeks)
    wave = 2.0 * np.exp(0.25 * np.sin(2 * np.pi * week / 9))
    return np.where((week >= 9) & (week < 13), 0.67 * wave, wave).astype(np.float32)


def recover(
    agents: int, weeks: int, keys: int, budget: int, seed: int, waning: float | int = 15
) -> dict[str, Any]:
    """Truth, estimates and errors by week; immunity lasts `waning` days on average."""
    town, real = lpm.Population.toy(agents), truth(weeks)
    steps = 7 * weeks
    default = scenario.params.replace(waning=1 / waning)
    known = default.replace(reproduction=real)
    run = lpm.simulate(scenario, town, key=10_000 + seed, params=known, steps=steps, progress=False)
    counts = np.asarray(run.observed["infected"], float)
    began = time.monotonic()
    fit = lpm.calibrate(
        scenario,
        town,
        Series("infected", counts, noise=Poisson()),
        keys=jax.random.split(jax.random.key(seed), keys),
        params=default.replace(reproduction=np.full(weeks, 2.0)),
        steps=steps,
        budget=budget,
        starts=1,
        combine="mean",
        progress=False,
    )
    found = fit.table["estimate"].to_numpy()
    enough = counts.reshape(weeks, 7).sum(axis=1) > ENOUGH
    error = np.abs(found / real - 1)
    days = np.maximum(counts.reshape(weeks, 7), 1)
    naive = np.exp(np.log(days[:, -1] / days[:, 0]) / 6 * PERIOD)
    return {
        "agents": agents, "weeks": weeks, "keys": keys, "budget": budget, "seed": seed,
        "waning": waning,
        "truth": real.tolist(), "found": found.tolist(),
        "infections": counts.reshape(weeks, 7).sum(axis=1).tolist(),
        "weeks_with_enough": int(enough.sum()), "runs": fit.runs, "settled": fit.finished,
        "median_error": float(np.median(error[enough])), "max_error": float(error[enough].max()),
        "naive_median_error": float(np.median(np.abs(naive / real - 1)[enough])),
        "seconds": time.monotonic() - began,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, default=100_000)
    parser.add_argument("--weeks", type=int, default=26)
    parser.add_argument("--keys", type=int, default=2)
    parser.add_argument("--budget", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--waning", type=float, default=15, help="days that immunity lasts")
    parser.add_argument("--json", type=Path)
    arguments = vars(parser.parse_args())
    path = arguments.pop("json")
    found = recover(**arguments)
    print(json.dumps({k: v for k, v in found.items() if not isinstance(v, list)}, indent=1))
    if path is not None:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
