"""Gradients on shipped scenarios and on the epidemic of the study, at a size for every day.

The study at full size: python -m tests.studies.gradient_table.
"""

import jax
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.fitting import Lineage
from lpm.fitting.averaging import Mean
from lpm.fitting.choosing import choose
from lpm.fitting.journal import Journal
from lpm.fitting.objective import Objective, read_loss
from lpm.fitting.space import Space
from lpm.launch import key_words
from scenarios import kermack_mckendrick, network_sir, sir

from ..studies import household_epidemic as household
from ..studies.gradient_table import Case, attack_rate, rows_of, verdict
from ..studies.household_errors import directions_of, household_errors

pytestmark = pytest.mark.gate

SEEDED = (("seeded", 0.05),)


def small(name, scenario):
    return Case(name, scenario, attack_rate, 300, 30, 64, None, SEEDED)


@pytest.fixture(scope="module")
def rows():
    chosen = [
        small("kermack_mckendrick", kermack_mckendrick.scenario),
        small("sir", sir.scenario),
        small("network_sir", network_sir.scenario),
    ]
    return [row for case in chosen for row in rows_of(case)]


def test_what_is_declared_unbiased_is(rows, report):
    """Fails by chance once in 500."""
    found = verdict(rows, ("score",))
    report("p over all cells of the score", found["p"])
    assert found["p"] > 0.001
    assert found["largest_z"] < 4


def test_the_lineage_adjoint_is_as_near_as_noise_lets_us_see(rows, report):
    """Its bias, of the order of the rate squared, drowns in the noise of 64 keys."""
    found = verdict(rows, ("lineage",))
    report("p over all cells of the lineage adjoint", found["p"])
    assert found["p"] > 0.001
    assert found["largest_z"] < 4


@pytest.mark.parametrize("estimator", ["straight_through", "mean_field"])
def test_what_is_wrong_on_households_is_told_apart(estimator, report):
    """The negative control of the two tests above, with enough keys to see it."""
    case = Case("sir", sir.scenario, attack_rate, 1000, 30, 200, None, (("seeded", 0.02),))
    found = verdict(rows_of(case, (estimator,)), (estimator,))
    report(f"largest z of {estimator}", found["largest_z"])
    assert found["p"] < 0.001
    assert found["largest_z"] > 4


def test_five_fields_of_the_household_epidemic_are_met(report):
    """2,000 people; noise of 24 keys and of the reference allow twice the 10 % of the study."""
    directions = {"signed": directions_of(5, 20, 200, 0.1, positive=False)}
    found = household_errors(
        household.scenario, Lineage(), directions, agents=2000, keys=24, sets=1
    )
    report("error along 20 directions", found["signed"]["errors"][0])
    assert found["cost_in_crn_pairs"] <= 5 * 64
    assert found["signed"]["errors"][0] < 0.2


@pytest.mark.parametrize(
    ("estimator", "keys"), [("crn", 64), (Lineage(rate=0.05, twins=8), 48)], ids=["crn", "lineage"]
)
def test_the_final_size_moves_with_R0_as_the_closed_form_says(estimator, keys, report):
    """dz/dR0 = z (1 - z) / (1 - R0 (1 - z)) = 0.2727 at R0 = 2, with seeds of 0.1 %."""
    town = lpm.Population.toy(20_000)
    mixed = kermack_mckendrick.scenario
    found = lpm.gradient(
        mixed,
        town,
        attack_rate,
        keys=jax.random.split(jax.random.key(0), keys),
        params=mixed.params.replace(seeded=0.001),
        estimator=estimator,
        every=mixed.steps,
    )
    report("dz/dR0", float(found.estimate["R0"]), 0.2727)
    # 5 % is then 2.5 standard errors or more.
    assert found.standard_error["R0"] < 0.02 * 0.2727
    assert found.estimate["R0"] == pytest.approx(0.2727, rel=0.05)


class Weekly(household.Params):
    home: Scalar = lpm.constant(0.4)
    work: Scalar = lpm.constant(0.002)
    town: Scalar = lpm.constant(0.1)
    onset: Scalar = lpm.constant(0.2)
    recovery: Scalar = lpm.constant(0.2)
    times: Float[Array, " week"] = lpm.parameter(np.ones(12, np.float32), within=(0, None))


def spread(state, params, draw):
    return household.advance(state, params, draw, params.times[state.t // 4])


weekly = lpm.Scenario(
    household.init, (spread,), household.observe, Weekly(seeded=0.03), steps=48, unit="day"
)


def test_a_fit_of_many_elements_follows_the_lineage_adjoint_by_itself():
    """Twelve elements are more than differences are taken for; straight through fails here."""
    words = key_words(jax.random.split(jax.random.key(3), 24))
    town = household.town_of(1500)
    space = Space(weekly.params, ("times",))
    objective = Objective(
        weekly, (town,), read_loss(attack_rate), words, space, 48, 48, Journal(None, {})
    )
    chosen = choose(objective, space.start, Mean(), step=0.1)
    assert chosen.label == "lineage"
    assert any(said.startswith("straight_through fails") for said in chosen.sentences)
    assert any(said.startswith("lineage passes") for said in chosen.sentences)
    assert chosen.price > 24 * 20
    value, slope = chosen.slope(space.start[None])
    # More contacts, more people infected, in the weeks of growth most of all.
    assert (slope[0, :6] > 0).all()
    assert value[0] == pytest.approx(objective.evaluate(space.start[None])[0, :, 0].mean())


def test_calibrate_takes_it_for_a_loss_of_many_elements():
    town = household.town_of(1500)

    def near(run):
        return 10 * (attack_rate(run) - 0.25) ** 2

    fit = lpm.calibrate(
        weekly,
        town,
        near,
        keys=jax.random.split(jax.random.key(3), 16),
        budget=16 * 30 * 12,
        estimator="lineage",
        starts=1,
    )
    assert fit.estimator == "lineage"
    # Some ten steps of at most 0.1 an element: they go down, they need not arrive.
    assert fit.loss < 0.67 * fit.start_loss
