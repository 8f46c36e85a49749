"""Our side, by the public API: python -m tests.benchmarks.peers.ours WORK size steps seed ..."""

import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

import lpm
from scenarios import boids, network_sir, schelling, sugarscape

from . import contagion, layers, turnover
from .drivers import edges, meter, town

RUNS = 1000  # of the ensemble


def people(size: int, seed: int, *, ties: bool = False) -> lpm.Population:
    patch = np.arange(size, dtype=np.int32) % contagion.NUM_PATCHES
    town = lpm.Population({"patch": patch.astype(np.int8)})
    if not ties:
        return town
    return town.connect("ties", lpm.Graph(*edges.draw_edges(size, seed), num_agents=size))


def last(scenario: lpm.Scenario, population: lpm.Population, steps: int, seed: int) -> dict:
    run = lpm.simulate(scenario, population, key=seed, steps=steps, progress=False)
    return {name: float(x[-1]) for name, x in run.observed.items()}


def by_age(scenario: lpm.Scenario, population: lpm.Population, steps: int, seed: int) -> dict:
    run = lpm.simulate(scenario, population, key=seed, steps=steps, progress=False)
    assert isinstance(run.state, layers.State)
    return town.summaries(population.host("age"), np.asarray(run.state.left) != 0)


def gatherers(scenario: lpm.Scenario, population: lpm.Population, steps: int, seed: int) -> dict:
    end = last(scenario, population, steps, seed)
    return {
        "survivors": end["population"] / population.size,
        "wealth": end["sugar"],
        "metabolism": end["metabolism"],
        "standing": end["standing"],
    }


def many(scenario: lpm.Scenario, population: lpm.Population, steps: int, seed: int) -> dict:
    keys = jax.random.split(jax.random.key(seed), RUNS)
    runs = lpm.ensemble(
        scenario, population, keys=keys, steps=steps, progress=False, keep_state=False
    )
    return {name: float(x[:, -1].mean()) for name, x in runs.observed.items()}


def gradient(scenario: lpm.Scenario, population: lpm.Population, steps: int, seed: int) -> dict:
    def attack(params: lpm.Params) -> jax.Array:
        run = lpm.simulate(
            scenario,
            population,
            key=seed,
            params=params,
            steps=steps,
            every=steps,
            estimator="straight_through",
        )
        return run.observed["attack_rate"][-1]

    params = jax.tree.map(jnp.asarray, scenario.params)
    value, slope = jax.value_and_grad(attack)(params)
    return {"attack_rate": float(value), "transmission_slope": float(slope.rate)}


COINS = network_sir.connected.replace(
    params=network_sir.connected.params.replace(
        rate=-np.log1p(-edges.CHANCE), recovery=-np.log1p(-0.1), seeded=edges.SEEDED
    )
)
WORK = {
    "fixed": (contagion.fixed, last, lambda n, seed: people(n, seed, ties=True)),
    "fresh": (contagion.fresh, last, people),
    "patches": (contagion.patches, last, people),
    "layers": (layers.scenario, by_age, layers.people),
    "ensemble": (contagion.fixed, many, lambda n, seed: people(n, seed, ties=True)),
    "gradient": (COINS, gradient, lambda n, seed: people(n, seed, ties=True)),
    "schelling": (
        schelling.wide.replace(params=schelling.Params().replace(wanted=8 / 24)),
        last,
        people,
    ),
    "boids": (boids.scenario, last, people),
    "sugarscape": (sugarscape.scenario, gatherers, people),
    "turnover": (turnover.scenario, last, turnover.herd),
}


def main() -> None:
    scenario, verb, populate = WORK[sys.argv.pop(1)]
    towns: dict[int, lpm.Population] = {}  # one network of a size; seeds differ in their luck

    def build(size: int, seed: int) -> SimpleNamespace:
        if size not in towns:
            towns[size] = populate(size, seed=seed)
        return SimpleNamespace(town=towns[size], seed=seed, summary={})

    def run(model: SimpleNamespace, steps: int) -> None:
        model.summary = verb(scenario, model.town, steps, model.seed)

    meter.main(build, run, lambda model: model.summary)


if __name__ == "__main__":
    main()
