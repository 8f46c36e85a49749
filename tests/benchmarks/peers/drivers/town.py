"""Four layers of contacts that all sides are given: household, school, work and community.

Numbers are the defaults of Covasim 3.1.9 and of Starsim 3.7.2's `HybridNet`, which agree: people
of each age (Covasim's table, Seattle), ages at school and at work, mean contacts, and how much a
contact of a layer counts beside the chance of 0.008 a day, which is ours.
"""

import numpy as np

CHANCE, DURATION, SEEDED = 0.008, 10, 0.01
CONTACTS = {"home": 2, "school": 20, "work": 16, "community": 20}
WEIGHT = {"home": 3.0, "school": 0.6, "work": 0.6, "community": 0.3}
PUPILS, WORKERS = (6, 22), (22, 65)  # From the first age to below the second.
EDGES = np.array([*range(0, 95, 5), 100])  # of the bands of age below
_BELOW_50 = [0.0605, 0.0607, 0.0566, 0.0557, 0.0612, 0.0843, 0.0848, 0.0764, 0.0697, 0.0701]
_FROM_50 = [0.0681, 0.0653, 0.0591, 0.0453, 0.0312, 0.02016, 0.01344, 0.01008, 0.00672]
SHARES = np.array([*_BELOW_50, *_FROM_50])


def is_within(age, ages):
    return (age >= ages[0]) & (age < ages[1])


def draw_ages(size, rng):
    band = rng.choice(SHARES.size, size, p=SHARES / SHARES.sum())
    return EDGES[band] + np.diff(EDGES)[band] * rng.random(size)


def fill(there, mean, rng, *, shuffle):
    """A group for each of those `there`, -1 for others: sizes are Poisson but never 0.

    So one's fellow members are Poisson with that mean, as large groups hold more of the people. The
    last group holds who is left.
    """
    members = np.flatnonzero(there)
    if shuffle:
        rng.shuffle(members)
    sizes = rng.poisson(mean, members.size + 10)
    sizes = sizes[sizes > 0]
    group = np.full(there.size, -1, np.int32)
    group[members] = np.repeat(np.arange(sizes.size), sizes)[: members.size]
    return group


def draw(size, seed):
    """Ages; households in the order of agents; classes, then teams, of people from anywhere."""
    rng = np.random.default_rng(seed)  # noqa: TID251 - a peer's own generator
    age = draw_ages(size, rng)
    home = fill(np.ones(size, bool), CONTACTS["home"], rng, shuffle=False)
    school = fill(is_within(age, PUPILS), CONTACTS["school"], rng, shuffle=True)
    work = fill(is_within(age, WORKERS), CONTACTS["work"], rng, shuffle=True)
    day = np.where(work >= 0, work + school.max() + 1, school)
    return {"age": age.astype(np.int8), "home_id": home, "day_id": day}


def summaries(age, infected):
    """Share ever infected: of all, of those at school, of those at work."""
    pupils, workers = is_within(age, PUPILS), is_within(age, WORKERS)
    return {
        "attack_rate": float(infected.mean()),
        "attack_school": float(infected[pupils].mean()),
        "attack_work": float(infected[workers].mean()),
    }
