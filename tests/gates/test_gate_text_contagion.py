"""A million readers against closed forms: thresholds, the logistic, many, and a gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

import lpm
from scenarios import text_contagion as model
from scenarios.text_contagion import BELIEVING, DOUBTING, NAMES, READ, answered_by

pytestmark = pytest.mark.gate

MILLION = 1_000_000
RATIOS = np.array([0.96, 0.98, 1.02, 1.04])
# Few enough to leave the growth as it is from nobody: READ a_1 times as many, 0.001 of 0.01 a day;
# many enough for their luck: 2,000 people over 150 days.
FEW, DAYS = 0.002, 150
STILL = {"reach": [0.0], "seeded": FEW}


def people(agents):
    """Everybody of one age, or of three in equal parts, in the order of storage."""
    return lpm.Population({"age": np.arange(agents) % 3 * 30.0 + 10})


def linear(once, back=0.0):
    """k texts mislead k times as often as one; one correction turns `back`. By archetype or not."""

    def panel(cells):
        a = np.broadcast_to(once, len(cells))
        chance = np.zeros((len(cells), 2, len(NAMES), READ + 1))
        chance[:, DOUBTING] = a[:, None, None] * np.arange(READ + 1)
        chance[:, BELIEVING, :, 1:] = back
        return model.table(chance)

    return panel


def growth(scenario, days=DAYS, **changes):
    """Growth a day of a few believers among a million, for each variant."""
    params = scenario.params.replace(**{**STILL, **changes})
    run = lpm.ensemble(
        scenario, people(MILLION), keys=[0], params=params, steps=days, every=10, devices=1
    )
    seen = np.asarray(run.observed["believers"], float)[:, 0]
    return np.log(seen[:, -1] / seen[:, 0]) / (days - 10)


def flip(ratios, growth):
    """Where a line through growth crosses nothing."""
    slope, level = np.polyfit(ratios, growth, 1)
    return -level / slope


def forget(drop):
    """Hazard that drops so many a day."""
    return -np.log1p(-np.asarray(drop))


def check_flip(ratios, found, report, what):
    report(what, float(flip(ratios, found)), 1.0)
    assert (found[ratios <= 0.98] < 0).all(), found
    assert (found[ratios >= 1.02] > 0).all(), found
    assert abs(flip(ratios, found) - 1) < 0.02


def test_a_falsehood_spreads_where_c_a1_passes_r0(report):
    scenario = answered_by(linear(0.16))
    found = growth(scenario, forgetting=forget(READ * 0.16 / RATIOS))
    check_flip(RATIOS, found, report, "READ a_1 over r_0 at the flip")
    theory = READ * 0.16 * (1 - 1 / RATIOS)
    report("growth a day at 4 % above", float(found[-1]), float(theory[-1]))


def test_texts_that_convince_in_pairs_alone_never_invade(report):
    """The control: as convincing in the mean of one and two, but a_1 = 0."""

    def panel(cells):
        chance = np.zeros((len(cells), 2, len(NAMES), READ + 1))
        chance[:, DOUBTING, :, 2:] = 0.6
        return model.table(chance)

    scenario = answered_by(panel)
    found = growth(scenario, days=20, forgetting=forget([0.1, 0.15]))
    report("growth a day without a_1", float(found[0]), float(np.log(0.9)))
    assert (found < -0.09).all()
    with pytest.raises(AssertionError):
        check_flip(np.array([0.98, 1.02]), found, lambda *_: None, "control")


def test_corrections_end_it_where_they_come_often_enough(report):
    """Spacing below -ln(1 - e) / ln g, which is no whole number of days."""
    back, reach, drop, once = 0.8, 0.875, 0.3, 0.8 / READ
    most = -np.log(1 - back * reach) / np.log(1 + READ * once - drop)
    report("critical spacing, days", float(most))
    scenario = answered_by(linear(once, back))
    found = growth(scenario, forgetting=float(forget(drop)), spacing=most * RATIOS, reach=[reach])
    check_flip(RATIOS, found, report, "spacing over the critical one at the flip")


@pytest.mark.parametrize("once", [0.1, 0.0])
def test_stores_keep_a_falsehood_alive_where_both_roads_together_pass_one(once, report):
    """(READ a_1 + retrieval storing / curation) / r_0; nobody passes it on where a_1 = 0."""
    drop, storing, curation = 0.5, 0.3, 0.5
    retrieval = (RATIOS * drop - READ * once) * curation / storing
    scenario = answered_by(linear(once))
    found = growth(
        scenario, forgetting=float(forget(drop)), storing=storing, curation=curation,
        retrieval=retrieval,
    )  # fmt: skip
    check_flip(RATIOS, found, report, f"R0 of texts and stores at the flip, a_1 = {once}")


def test_archetypes_who_read_their_own_kind_flip_at_the_spectral_radius(report):
    once = np.array([0.05, 0.15, 0.25])
    read = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])

    def feed(population, draw):
        kind = (population["age"] // 30).astype(jnp.int32)
        return lpm.Mixing(jnp.where(population.alive, kind, -1), read)

    radius = np.abs(np.linalg.eigvals(READ * once[:, None] * read)).max()
    scenario = answered_by(linear(once), feed=feed)
    found = growth(scenario, forgetting=forget(radius / RATIOS))
    check_flip(RATIOS, found, report, "spectral radius over r_0 at the flip")
    mean = READ * once.mean()
    report("the mean of archetypes would say", float(mean / radius))
    assert mean / radius < 0.9


@pytest.mark.parametrize(("accept", "wrong"), [(0.05, 0.03), (0.35, 0.33)])
def test_debates_follow_the_logistic_of_the_difference(accept, wrong, report):
    """Whoever resists everything is slower and ends alike; the levels leave no trace."""
    days = 200
    scenario = answered_by(model.balanced(accept, 1 - wrong))
    params = model.debate.params.replace(seeded=0.7)
    run = lpm.simulate(
        scenario, people(MILLION), key=1, params=params, steps=days, devices=1, progress=False
    )
    right = 1 - np.asarray(run.observed["believers"], float)
    theory = expit(np.log(0.3 / 0.7) + (accept - wrong) * np.arange(1, days + 1))
    off = np.abs(right - theory).max()
    report("sup distance from the logistic", float(off))
    # A day is a step of 0.02 of the logistic's own time: the map is off by at most 0.002.
    assert off < 0.01
    swapped = expit(np.log(0.3 / 0.7) + 1.1 * (accept - wrong) * np.arange(1, days + 1))
    assert np.abs(right - swapped).max() > 0.01  # the control: a tenth more


def mapped(days, once=0.16, drop=0.2, first=0.05, wrong=1.0):
    """The mean of the same days without luck, in float64."""
    x, found = first, []
    for _ in range(days):
        seen = READ * once * wrong * x  # a_k is linear, so its mean is that of k
        x = x + (1 - x) * seen - x * drop
        found.append(x)
    return np.array(found)


def test_luck_falls_as_one_over_the_root_of_the_people(report):
    days, sizes, runs = 30, np.array([10_000, 100_000, MILLION]), (48, 24, 12)
    scenario = answered_by(linear(0.16))
    params = scenario.params.replace(forgetting=float(forget(0.2)), reach=[0.0], seeded=0.05)
    medians, control = [], []
    for size, count in zip(sizes, runs, strict=True):
        run = lpm.ensemble(
            scenario, people(size), keys=list(range(count)), params=params, steps=days, devices=1
        )
        seen = np.asarray(run.observed["believers"], float)
        medians.append(np.median(np.abs(seen - mapped(days)).max(axis=1)))
        control.append(np.median(np.abs(seen - mapped(days, wrong=1.05)).max(axis=1)))
    slope, wrong = (np.polyfit(np.log(sizes), np.log(x), 1)[0] for x in (medians, control))
    report("slope of the median sup distance", float(slope), -0.5)
    report("against a map that is 5 % off", float(wrong))
    assert abs(slope + 0.5) < 0.1
    assert wrong > -0.2


def final(reach, agents=3_000, key=0, estimator="mean_field"):
    scenario = answered_by(linear(0.16, 0.5))
    params = scenario.params.replace(forgetting=0.1, spacing=4.0, reach=reach, seeded=0.05)
    run = lpm.simulate(
        scenario, people(agents), key=key, params=params, steps=26, estimator=estimator,
        devices=1, progress=False,
    )  # fmt: skip
    return run.observed["believers"][-1]


def test_the_gradient_by_each_correction_is_that_of_the_map(report):
    reach = np.array([0.1, 0.3, 0.2, 0.5, 0.4, 0.1])
    slopes = np.asarray(jax.jit(jax.grad(final))(jnp.asarray(reach, jnp.float32)), float)

    def at(x):
        share, back, number = 0.05, 0.5, 0
        for day in range(26):
            share = share + (1 - share) * READ * 0.16 * share - share * -np.expm1(-0.1)
            if (day + 1) % 4 == 0:
                share *= 1 - back * x[min(number, 5)]
                number += 1
        return share

    steps = 1e-5 * np.eye(6)
    theory = np.array([(at(reach + h) - at(reach - h)) / 2e-5 for h in steps])
    for one, other in zip(slopes, theory, strict=True):
        report("slope by a correction", float(one), float(other))
    assert (theory < 0).all()
    # Sums of 3,000 in float32, over 26 days.
    np.testing.assert_allclose(slopes, theory, rtol=5e-3)


def test_the_gradient_is_that_of_coin_tosses_as_well(report):
    """All corrections moved together, a fifth of a million people, common random numbers."""
    keys, h = range(6), 0.1
    reach = jnp.full(6, 0.3)
    slope = float(jnp.sum(jax.jit(jax.grad(final))(reach)))
    moved = [[float(final(reach + d, 200_000, key, "stop")) for key in keys] for d in (h, -h)]
    found = (np.array(moved[0]) - np.array(moved[1])) / (2 * h)
    report("by coin tosses", float(found.mean()), slope)
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert abs(found.mean() - slope) < 0.05 * abs(slope) + 3 * error
    assert error < 0.05 * abs(slope)


def test_corrections_that_cost_something_are_best_neither_daily_nor_never(report):
    """At a price of 0.2 days of everybody for each, near the spacing that just ends it."""
    spacing = np.array([1.0, 2, 3, 4, 6, 8, 12, 16, 24, 60])
    back, reach = 0.9, 0.9
    scenario = answered_by(linear(0.16, back))
    params = scenario.params.replace(forgetting=0.1, reach=[reach], spacing=spacing, seeded=0.05)
    run = lpm.ensemble(
        scenario, people(3_000), keys=[0], params=params, steps=60, estimator="mean_field",
        devices=1,
    )  # fmt: skip
    believed = np.asarray(run.observed["believers"], float)[:, 0].sum(axis=-1)
    total = believed + 0.2 * np.floor(60 / spacing)
    best = float(spacing[total.argmin()])
    critical = -np.log(1 - back * reach) / np.log(1 + READ * 0.16 + np.expm1(-0.1))
    report("best spacing, beside the critical one", best, float(critical))
    assert spacing[0] < best < critical
