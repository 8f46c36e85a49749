"""Design weights brought to the size of each zone."""

from dataclasses import replace

import numpy as np
import pytest

from lpm.errors import DataError
from lpm.population.weighting import (
    Level,
    Problem,
    choose_slack,
    fit_weights,
    reached_totals,
    zone_priors,
)

# Six homes and two people in quarters, of two areas with three homes and one resident each.
HOMES = np.array([1, 1, 1, 0, 1, 1, 1, 0], float)
SMALL = np.array([1, 0, 0, 0, 1, 1, 0, 0], float)
AREA = np.array([0, 0, 0, 0, 1, 1, 1, 1])
WEIGHT = np.array([1.0, 2.0, 5.0, 4.0, 8.0, 3.0, 2.0, 6.0])
OWN = AREA[None] == np.array([0, 0, 1])[:, None]


def problem(*names, error=1.0):
    columns = {
        "all": np.ones(8),
        "homes": HOMES,
        "residents": 1 - HOMES,
        "small": SMALL,
        "large": HOMES - SMALL,
        "rooms": HOMES * (2 + AREA),
    }
    published = {
        "all": [12.0, 24.0, 60.0],
        "homes": [10.0, 20.0, 40.0],
        "residents": [2.0, 4.0, 20.0],
        "small": [3.0, 15.0, 30.0],
        "large": [7.0, 5.0, 10.0],
        "rooms": [20.0, 40.0, 120.0],
    }
    target = np.array([published[name] for name in names]).T
    level = Level(
        "zone",
        ("a", "b", "c"),
        names,
        np.stack([columns[name] for name in names], axis=1),
        target,
        np.full(target.shape, error),
        np.arange(3),
        ("homes", "residents") if {"homes", "residents"} <= set(names) else (),
    )
    return Problem(WEIGHT, (level,))


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("all", "small"), [12, 24, 60]),
        (("homes", "residents", "rooms"), [12, 24, 60]),
        (("small", "large", "residents"), [12, 24, 60]),
    ],
)
@pytest.mark.parametrize("eligible", [None, OWN])
def test_a_zone_has_the_stated_size_in_the_proportions_of_the_survey(names, sizes, eligible):
    prior = zone_priors(problem(*names), eligible)
    np.testing.assert_allclose(prior.sum(axis=1), sizes)
    allowed = np.ones((3, 8), bool) if eligible is None else eligible
    assert (prior[~allowed] == 0).all()
    for zone in range(3):
        at_home = allowed[zone] & (HOMES > 0)
        ratio = prior[zone, at_home] / WEIGHT[at_home]
        np.testing.assert_allclose(ratio, ratio[0])


def test_homes_and_residents_each_have_their_own_size():
    prior = zone_priors(problem("homes", "residents"), OWN)
    np.testing.assert_allclose(prior @ HOMES, [10, 20, 40])
    np.testing.assert_allclose(prior @ (1 - HOMES), [2, 4, 20])


def test_where_no_size_is_stated_the_totals_scale_what_a_zone_may_have():
    prior = zone_priors(problem("rooms"), OWN)
    np.testing.assert_allclose(prior @ (HOMES * (2 + AREA)), [20, 40, 120])


def test_zones_of_several_areas_are_fitted_together_as_they_are_alone():
    # Nothing ties the zones, so those of one area have the weights they would have without others.
    whole = problem("small", "large", "residents")
    fitted = fit_weights(whole, prior=zone_priors(whole, OWN))
    for zones, area in (([0, 1], 0), ([2], 1)):
        rows, level = np.arange(8)[area == AREA], whole.levels[0]
        alone = replace(
            level,
            zones=tuple(level.zones[z] for z in zones),
            incidence=level.incidence[rows],
            target=level.target[zones],
            error=level.error[zones],
            zone_of=np.arange(len(zones)),
        )
        expected = fit_weights(Problem(WEIGHT[rows], (alone,))).weights
        np.testing.assert_allclose(fitted.weights[zones][:, rows], expected, rtol=1e-7)


def test_the_slack_is_chosen_for_the_prior_that_is_fitted():
    whole = problem("small", "large", "residents", error=0.4)
    prior = zone_priors(whole, OWN)
    slack = choose_slack(whole, prior=prior)
    fitted = fit_weights(whole, prior=prior, slack=slack)
    level = whole.levels[0]
    miss = (reached_totals(level, fitted.weights) - level.target) / level.error
    assert 0.01 < slack < 10
    assert np.mean(miss**2) == pytest.approx(1, rel=0.05)
    assert slack != pytest.approx(choose_slack(whole), rel=0.05)


def test_two_parts_of_a_partition_say_nothing_of_the_sizes_unless_told():
    whole = problem("small", "large", "residents")
    assert not whole.levels[0].sizes
    prior = zone_priors(whole, OWN)
    # The sum of all three is 60 in the last zone; its two homes and resident keep their weights.
    np.testing.assert_allclose(prior[2, 4:], 60 * WEIGHT[4:] / WEIGHT[4:].sum())


@pytest.mark.parametrize(
    ("sizes", "message"),
    [(("homes", "guests"), r"\['guests'\]"), (("homes", "rooms"), "each record in one of them")],
)
def test_sizes_that_split_nothing_are_refused(sizes, message):
    given = problem("homes", "residents", "rooms")
    wrong = replace(given, levels=(replace(given.levels[0], sizes=sizes),))
    with pytest.raises(DataError, match=message):
        fit_weights(wrong)
