"""A made-up survey of households, and levels of zones whose totals its weights can meet."""

import numpy as np

from lpm.population.weighting import Level, reached_totals


def generator(seed):
    return np.random.default_rng(seed)  # noqa: TID251 - made-up surveys are made on the host


CONTROLS = ("households", "one", "two", "more", "young", "old", "persons", "income")


def households(seed=0, count=24):
    """Size, age of head, persons and income of made-up households; every cell is there."""
    rng = generator(seed)
    size = np.tile([1, 2, 3, 5], -(-count // 4))[:count]
    old = np.tile(np.repeat([0, 1], 4), -(-count // 8))[:count]
    income = rng.gamma(3, 20_000, count)
    return np.stack(
        [
            np.ones(count), size == 1, size == 2, size > 2, old == 0, old == 1,
            size, income,
        ],
        axis=1,
    ).astype(float)  # fmt: skip


def level(incidence, weights, name="tract", parent=None, error=0.0):
    """A level whose totals are those of some true weights."""
    zone_of = np.arange(len(weights)) if parent is None else parent
    target = np.zeros((zone_of.max() + 1, incidence.shape[1]))
    np.add.at(target, zone_of, weights @ incidence)
    return Level(
        name,
        tuple(f"{name} {i}" for i in range(len(target))),
        CONTROLS[: incidence.shape[1]],
        incidence,
        target,
        np.full(target.shape, error),
        zone_of,
    )


def true_weights(zones=3, count=24, seed=1):
    return generator(seed).gamma(2.0, 10.0, (zones, count))


def misses(fitted):
    return [
        np.abs(reached_totals(x, fitted.weights) / x.target - 1).max()
        for x in fitted.problem.levels
    ]
