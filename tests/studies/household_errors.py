"""How far the lineage adjoint is from differences along random directions, at a stated cost."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

import lpm
from lpm.fitting import Lineage
from lpm.fitting.chance import generator_for
from lpm.fitting.journal import Journal
from lpm.fitting.objective import Objective, read_loss
from lpm.fitting.space import Space
from lpm.launch import key_words

from . import household_epidemic as household

SEED = 20


def _objective(scenario: Any, people: lpm.Population, words: Any) -> Objective:
    names = tuple(scenario.params.select("parameter"))
    space, journal = Space(scenario.params, names), Journal(None, {})
    readings = read_loss(household.attack_rate)
    return Objective(
        scenario, (people,), readings, words, space, scenario.steps, scenario.steps, journal
    )


@dataclass(frozen=True)
class Directions:
    """Random directions of unit length on the unconstrained scale, and how to measure along them.

    Attributes:
        rows: [direction, element].
        keys: pairs of runs along each.
        step: of the differences. Signed changes of many elements nearly cancel, and take a longer
            one to be seen.
    """

    rows: Float[np.ndarray, "direction element"]
    keys: int
    step: float


def directions_of(size: int, count: int, keys: int, step: float, positive: bool) -> Directions:
    rng = generator_for(key_words([SEED]), f"directions {positive}")
    drawn = rng.standard_normal((count, size))
    drawn = np.abs(drawn) if positive else drawn
    return Directions(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), keys, step)


def household_errors(
    scenario: Any,
    lineage: Lineage,
    directions: Mapping[str, Directions],
    *,
    agents: int,
    keys: int,
    sets: int,
) -> dict[str, Any]:
    """Norm of the lineage adjoint's misses along directions, over that of differences.

    Differences are taken over keys of their own, and each of the `sets` of keys gives one error.
    """
    people = household.town_of(agents)
    found, cost, seconds = [], 0.0, []
    for number in range(sets):
        began = time.perf_counter()
        ours = key_words(jax.random.split(jax.random.key(SEED + 100 + number), keys))
        probe = _objective(scenario, people, ours)
        found.append(probe.reverse(probe.space.start[None], lineage, "lineage")[1][0].mean(axis=0))
        cost = probe.runs
        seconds.append(round(time.perf_counter() - began, 1))
    result: dict[str, Any] = {
        "agents": agents,
        "steps": scenario.steps,
        "fields": found[0].size,
        "lineage": {"rate": lineage.rate, "twins": lineage.twins, "keys": keys},
        "cost_in_crn_pairs": cost / 2,
        "seconds": seconds,
    }
    for name, along in directions.items():
        began = time.perf_counter()
        words = key_words(jax.random.split(jax.random.key(SEED + 1), along.keys))
        objective = _objective(scenario, people, words)
        slopes = objective.slopes(objective.space.start[None], along.rows, along.step)[0, :, 0]
        truth, error = slopes.mean(axis=0), slopes.std(axis=0, ddof=1) / along.keys**0.5
        size = np.linalg.norm(truth)
        result[name] = {
            "directions": len(along.rows),
            "pairs_per_direction": along.keys,
            "step": along.step,
            "reference_standard_error": float(np.linalg.norm(error) / size),
            "errors": [float(np.linalg.norm(along.rows @ x - truth) / size) for x in found],
            "seconds": round(time.perf_counter() - began, 1),
        }
    return result
