"""The shipped scenarios as plain NumPy loops: the floor that the engine is measured against.

Written the way a careful user would without the library: vectorised, float32, one generator. They
follow the same transitions, so their observables agree within sampling error; the benchmark checks
that before it prints a time.
"""

from typing import Any

import numpy as np

Rng = np.random.Generator  # noqa: TID251 - a peer's own generator is part of what is measured


def generator(seed: int) -> Rng:
    return np.random.default_rng(seed)  # noqa: TID251 - as above


def group_sum(member: np.ndarray, groups: int, x: np.ndarray) -> np.ndarray:
    """Sum of `x` over the other members of each agent's group; 0 for -1."""
    totals = np.bincount(member + 1, weights=x, minlength=groups + 1).astype(np.float32)
    totals[0] = 0
    return totals[member + 1] - np.where(member >= 0, x, 0)


def sir(population: Any, params: Any, steps: int, seed: int) -> dict[str, float]:
    rng, n = generator(seed), population.size
    home, work = population.host("household_id"), population.host("workplace_id")
    homes, works = home.max() + 1, work.max() + 1
    infectious = (rng.random(n, np.float32) < params.seeded).astype(np.float32)
    susceptible = 1 - infectious
    beta_work = params.beta_work * (1 - params.closure)
    peak = 0.0
    for _ in range(steps):
        hazard = params.beta_home * group_sum(home, homes, infectious)
        hazard += beta_work * group_sum(work, works, infectious)
        chance = susceptible * -np.expm1(-hazard)
        infected = (rng.random(n, np.float32) < chance).astype(np.float32)
        recovered = (rng.random(n, np.float32) < infectious * params.recovery).astype(np.float32)
        susceptible -= infected
        infectious += infected - recovered
        peak = max(peak, float(infectious.mean()))
    return {"attack_rate": 1 - float(susceptible.mean()), "prevalence": peak}


def labour_tax(population: Any, params: Any, steps: int, seed: int) -> dict[str, float]:
    rng, room = generator(seed), population.capacity
    alive = np.array(population.alive)
    age, skill = np.array(population["age"]), np.array(population["income"])
    wealth, disposable = np.zeros(room, np.float32), np.zeros(room, np.float32)
    last = population.size
    for _ in range(steps):
        at_work = 1 / (1 + np.exp(18 - age)) / (1 + np.exp(age - 65))
        skill = skill * np.exp(params.skill_shock * rng.standard_normal(room, np.float32))
        income = skill * at_work * (1 - params.tax_rate) ** params.elasticity
        tax = params.tax_rate * np.maximum(income - params.allowance, 0)
        disposable = np.where(alive, income - tax + tax.sum() / alive.sum(), 0)
        wealth = wealth + params.saving * disposable
        age = np.where(alive, age + 1, 0)
        dying = alive & (
            rng.random(room, np.float32) < np.minimum(5e-5 * np.exp(0.09 * (age - 1)), 1)
        )
        alive = alive & ~dying
        for x in (age, skill, disposable, wealth):
            x[dying] = 0
        mothers = alive & (age >= 20) & (age < 40)
        mothers = np.flatnonzero(mothers & (rng.random(room, np.float32) < params.fertility))
        born = slice(last, last + len(mothers))
        alive[born], skill[born] = True, skill[mothers]
        last += len(mothers)
    welfare = np.log(1_000 + disposable[alive]).mean()
    return {"population": float(alive.sum()), "welfare": float(welfare)}


STANCE = (-0.46, 0.89, 0.10)  # What the rules answer while the town is evenly divided.


def opinion(population: Any, params: Any, steps: int, seed: int) -> dict[str, float]:
    rng, n = generator(seed), population.size
    ends = rng.integers(0, n, (2, n * 4), dtype=np.int32)
    source, target = np.concatenate([ends[0], ends[1]]), np.concatenate([ends[1], ends[0]])
    order = np.argsort(target, kind="stable")
    source, target = source[order], target[order]
    degree = np.maximum(np.bincount(target, minlength=n), 1).astype(np.float32)
    mind = (2 * rng.random(n, np.float32) - 1).astype(np.float32)
    stance = np.array(STANCE, np.float32)[population.host("persona")]
    for _ in range(steps):
        gap = mind[source] - mind[target]
        pull = gap * np.exp(-((gap / params.confidence) ** 2))
        pull = np.bincount(target, weights=pull, minlength=n) / degree
        mind = mind + params.conformity * pull.astype(np.float32)
        reached = rng.random(n, np.float32) < params.campaign
        mind = mind + params.persuasion * reached * (stance - mind)
    return {"support": float(mind.mean()), "polarisation": float(mind.std())}


def epidemic(
    population: Any, params: Any, steps: int, seed: int, scale: float, profile: Any, mixing: Any
) -> dict[str, float]:
    """The rich epidemic: `scale`, `profile` and `mixing` as the scenario computes them once."""
    rng, n, p = generator(seed), population.size, params
    groups = [population.host(f"{name}_id") for name in ("household", "school", "workplace")]
    counts = [int(g.max()) + 1 for g in groups]
    per_day = (p.contacts_home, p.contacts_school, p.contacts_work)
    ones = np.ones(n, np.float32)
    rates = [
        (c / np.maximum(group_sum(g, k, ones), 1)).astype(np.float32)
        for c, g, k in zip(per_day, groups, counts, strict=True)
    ]
    band = population.host("age_band")
    people = np.maximum(np.bincount(band, minlength=9), 1)
    fatality = np.minimum(p.lethality * 10 ** (-3.27 + 0.0524 * _MIDDLE) / 100, 1)
    susceptible = (rng.random(n, np.float32) >= p.seeded).astype(np.float32)
    infected = 1 - susceptible
    susceptible *= rng.random(n, np.float32) >= p.prior_immunity
    dead, day = np.zeros(n, np.float32), infected.copy()
    first_dose, since = np.full(n, -1e9, np.float32), np.full(n, -1e9, np.float32)
    accepts = rng.random(n, np.float32) < p.willing
    rank = p.vaccine_order[band]
    for t in range(steps):
        waiting = accepts & (first_dose < 0) & (dead == 0)
        queue = np.bincount(rank[waiting], minlength=9)
        supply = p.doses * n * (t >= p.vaccine_start)
        share = np.clip((supply - (np.cumsum(queue) - queue)) / np.maximum(queue, 1), 0, 1)
        given = waiting & (rng.random(n, np.float32) < share[rank])
        first_dose[given] = t
        onset = infected * (day == p.latent + 1)
        well = 1 - infected - dead
        positive = onset * p.testing * p.sensitivity
        positive += well * p.screening * (1 - p.specificity)
        confirmed = rng.random(n, np.float32) < positive
        comply = (t >= since + p.isolation) & (dead == 0)
        comply &= rng.random(n, np.float32) < p.compliance
        since = np.where(comply & confirmed, np.float32(t + np.round(p.test_delay)), since)
        known = (since == t).astype(np.float32)
        missed = group_sum(groups[0], counts[0], known) + group_sum(groups[2], counts[2], known)
        reached = rng.random(n, np.float32) < 1 - (1 - min(p.tracing, 1 - 1e-6)) ** missed
        since = np.where(comply & ~confirmed & reached, np.float32(t + 0.5), since)
        infectivity = infected * profile[day.astype(np.int32)]
        outside = 1 - ((t >= since) & (t < since + p.isolation)).astype(np.float32)
        closed = p.school_closure * (p.closure_start <= t < p.closure_end)
        age = t - first_dose
        protected = np.where((first_dose >= 0) & (age >= p.dose_onset), p.efficacy_first, 0)
        second = (first_dose >= 0) & (age >= p.dose_interval + p.dose_onset)
        protected = np.where(second, p.efficacy_second, protected)
        catch = (scale * p.susceptibility[band] * (1 - protected)).astype(np.float32)
        met = infectivity * outside
        hazard = rates[0] * group_sum(groups[0], counts[0], infectivity)
        away = outside * rates[1] * (1 - closed) * group_sum(groups[1], counts[1], met)
        away += outside * rates[2] * group_sum(groups[2], counts[2], met)
        away += outside * (mixing @ (np.bincount(band, met, 9) / people))[band]
        chance = susceptible * -np.expm1(-catch * (hazard + away))
        new = rng.random(n, np.float32) < chance
        new |= rng.random(n, np.float32) < (susceptible - new) * -np.expm1(-p.importation)
        ending = infected * (day >= p.latent + p.infectious)
        dead += rng.random(n, np.float32) < ending * fatality[band]
        day = np.where(new, np.float32(1), (day + 1) * (infected - ending))
        susceptible -= new
        infected += new - ending
    recovered = n - susceptible.sum() - infected.sum() - dead.sum()
    return {
        "recovered": float(recovered),
        "dead": float(dead.sum()),
        "vaccinated": float((first_dose >= 0).sum()),
    }


_MIDDLE = np.array([5, 15, 25, 35, 45, 55, 65, 75, 86], np.float32)
