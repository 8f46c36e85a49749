"""What theory says of rates and incomes side by side, in double precision.

Where nobody jumps, the best rate of a bracket meets its first-order condition: what the rate takes
from people, less what it is worth to them, equals what they earn less because of it,

    sum (1 - g_i) part_i = e t / (1 - t) sum of z_i over those inside,

with g social weights of mean 1, and `part` the income that lies in the bracket. Read one way it
gives the rate, the other way the weights that would make a rate the best. Source: Saez (2001).
"""

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .aims import Aim, Felt
from .design import Design
from .response import Response
from .schedule import Schedule
from .workforce import Workforce

Values = Float[np.ndarray, " number"]


def revealed_weights(schedule: Schedule, workers: Workforce) -> Values:
    """The social weight on income in each bracket under which its rate would be the best.

    g_j = sum g_i part_i / sum part_i, relative to a unit for everybody. Falling weights favour
    those with low incomes; a negative one means that a lower rate would raise more revenue. nan
    where nobody has income in a bracket, or people jump across it.
    """
    parts, acts, clean = _sides(schedule, workers)
    rates = np.asarray(schedule.rates, np.float64)
    some = (parts.sum(axis=1) > 0) & clean
    mass = np.where(some, parts.sum(axis=1), 1.0)
    return np.where(some, 1 - acts * rates / (1 - rates) / mass, np.nan)


def implied_rates(
    workers: Workforce, aim: Aim, design: Design, values: Any, price: float, rebate: Any
) -> Values | None:
    """The rate that the condition gives for each bracket, at incomes as they are.

    None where weights move with incomes or numbers are no rates; nan where people jump across.
    `price` is that of public money.
    """
    if not design.bracketed:
        return None
    here, there = (
        _cared(workers, aim, design.schedule(x), rebate) for x in (values, _apart(values))
    )
    if np.abs(here - there).max() > 1e-3:
        return None
    cared, schedule = here, design.schedule(values)
    parts, acts, clean = _sides(schedule, workers)
    takes = parts @ (price - cared)
    some = clean & (acts > 0)
    odds = takes / np.where(some, price * acts, 1.0)
    return np.where(some, np.where(odds > 0, odds / (1 + odds), 0.0), np.nan)


def _cared(workers: Workforce, aim: Aim, schedule: Schedule, rebate: Any) -> np.ndarray:
    return np.asarray(_weights(workers, aim, schedule, rebate), np.float64)


@jax.jit
def _weights(workers: Workforce, aim: Aim, schedule: Schedule, rebate: Any) -> Any:
    found = workers.answer(schedule)
    return aim.weights(Felt(found, found.utility + rebate, workers.weight))


@jax.jit
def _answer(workers: Workforce, schedule: Schedule) -> Response:
    return workers.answer(schedule, "corrected")


def _apart(values: Any) -> Any:
    """Rates a few points away, by bracket."""
    return values * jnp.linspace(0.95, 0.9, values.size)


def _sides(schedule: Schedule, workers: Workforce) -> tuple[np.ndarray, Values, np.ndarray]:
    """Heads times income in each bracket, answers in each, and whether nobody jumps across."""
    found = _answer(workers, schedule)
    assert found.crossing is not None
    z, heads = (np.asarray(x, np.float64) for x in (found.income, workers.weight))
    share = heads / heads.sum()
    lower, upper = (np.asarray(x, np.float64) for x in (found.crossing.lower, found.crossing.upper))
    near = np.asarray(found.crossing.near)
    cap = np.inf if workers.cap is None else np.asarray(workers.cap, np.float64)
    e = np.asarray(workers.elasticity, np.float64)
    # In the precision of incomes, so that who is on a threshold is found there.
    edges = np.append(np.asarray(schedule.thresholds, np.float32).astype(np.float64), np.inf)
    parts, acts, clean = [], [], []
    for low, high in pairwise(edges):
        width = high - low
        parts.append(share * np.clip(z - low, 0, width))
        inside = (z > low) & (z < high) & (z < cap)
        acts.append(np.sum(np.where(inside, share * e * z, 0.0)))
        moved = np.clip(upper - low, 0, width) - np.clip(lower - low, 0, width)
        clean.append(not np.any(near & (moved != 0)))
    return np.stack(parts), np.array(acts), np.array(clean)
