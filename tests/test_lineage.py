"""The lineage adjoint against closed forms, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Population, Scalar
from lpm.fitting import Lineage
from lpm.fitting.gradients import choose_estimator
from lpm.fitting.lineage import estimator
from lpm.fitting.lineage.run import segment_length
from lpm.fitting.reverse import straight_through
from scenarios.labour_tax import scenario as labour

from .outbreak import (
    Params,
    by_differences,
    epidemic,
    init,
    last_attack,
    observe,
    spread,
    town_of,
    words,
)


class Pair(lpm.Params):
    rate: Scalar = lpm.parameter(0.9, within=(0, 5))
    recovery: Scalar = lpm.parameter(0.6, within=(0, 1))


def total_wealth(run):
    return run.observed[next(iter(run.observed))][-1]


def couples(number):
    """Pairs, one of each infectious at the start."""
    ill = np.tile([1.0, 0.0], number)
    return Population({"pair_id": np.repeat(np.arange(number), 2), "ill": ill})


def groups(population):
    return population.groups("pair_id")


def graph(population):
    first = np.arange(0, population.size, 2)
    return lpm.Graph(first, first + 1, num_agents=population.capacity)


def lattice(population):
    return lpm.Lattice((np.arange(population.capacity) ^ 1)[:, None])


def scenario_of_pairs(connect, kind):
    class State(lpm.State):
        tie: kind
        susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
        infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))

    def begin(population, params, draw):
        ill = jnp.asarray(population["ill"], jnp.float32)
        return State.of(population, tie=connect(population), susceptible=1 - ill, infectious=ill)

    def meet(state, params, draw):
        contacts = [(state.tie, params.rate, state.infectious)]
        infected = lpm.infections(draw, state.susceptible, contacts)
        recovered = draw.bernoulli(state.infectious * params.recovery)
        return state.replace(
            susceptible=state.susceptible - infected,
            infectious=state.infectious + infected - recovered,
        )

    return lpm.Scenario(begin, (meet,), observe, Pair(), steps=6, unit="day")


def attack_of_pairs(rate, recovery):
    """The well one escapes n days with f(n) = exp(-rate) (recovery + (1 - recovery) f(n - 1))."""
    escape = 1.0
    for _ in range(6):
        escape = np.exp(-rate) * (recovery + (1 - recovery) * escape)
    return 0.5 + 0.5 * (1 - escape)


@pytest.mark.parametrize(
    ("connect", "kind"),
    [
        (groups, lpm.Groups),
        pytest.param(graph, lpm.Graph, marks=pytest.mark.gate),
        pytest.param(lattice, lpm.Lattice, marks=pytest.mark.gate),
    ],
)
def test_pairs_meet_the_closed_form_over_every_network(connect, kind):
    """Fails by chance once in 2,000 runs for each of two fields."""
    h, at = 1e-4, (0.9, 0.6)
    exact = {
        "rate": (attack_of_pairs(at[0] + h, at[1]) - attack_of_pairs(at[0] - h, at[1])) / (2 * h),
        "recovery": (attack_of_pairs(at[0], at[1] + h) - attack_of_pairs(at[0], at[1] - h))
        / (2 * h),
    }
    model = scenario_of_pairs(connect, kind)
    found = Lineage(rate=0.2)(
        model, couples(500), last_attack, words(1, 24), model.params, tuple(exact), 6, 6
    )
    for name, value in exact.items():
        error = found.gradients[name].std() / 24**0.5
        assert error < 0.06 * abs(value)
        assert abs(found.gradients[name].mean() - value) < 3.5 * error + 0.04 * abs(value)


class Media(lpm.Params):
    push: Scalar = lpm.parameter(0.1, within=(0, 1))
    awake: Scalar = lpm.parameter(0.4, within=(0, 1))


class Voters(lpm.State):
    ring: lpm.Lattice
    opinion: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init_voters(population, params, draw):
    opinion = jnp.asarray(population["opinion"], jnp.float32)
    return Voters.of(population, ring=lpm.Lattice.ring(population.capacity, 2), opinion=opinion)


def copy(state, params, draw):
    near = state.ring.sum(state.opinion) / 2
    awake = draw.bernoulli(params.awake, "agent")
    said = draw.bernoulli((1 - params.push) * near + params.push)
    return state.replace(opinion=state.opinion + awake * (said - state.opinion))


def see_voters(state, params):
    return {"attack": lpm.share(state.opinion, state.alive)}


@pytest.mark.gate
def test_voters_on_a_ring_meet_the_closed_form():
    """Copying keeps the mean, so that 1 - mean shrinks by 1 - awake * push a step (Liggett 1985).

    Fails by chance once in 1,000 runs.
    """
    people = Population({"opinion": np.tile([1.0, 0.0, 0.0, 1.0, 0.0], 80)})
    model = lpm.Scenario(init_voters, (copy,), see_voters, Media(), steps=8, unit="day")
    shrink = 0.6 * 8 * (1 - 0.1 * 0.4) ** 7
    exact = {"push": 0.4 * shrink, "awake": 0.1 * shrink}
    found = Lineage(rate=0.3)(
        model, people, last_attack, words(8, 100), model.params, tuple(exact), 8, 8
    )
    for name, value in exact.items():
        error = found.gradients[name].std() / 100**0.5
        assert error < 0.12 * value
        assert abs(found.gradients[name].mean() - value) < 3.5 * error + 0.04 * value


@pytest.mark.gate
def test_households_meet_differences_where_straight_through_does_not():
    """Four to a household, one of them ill at first; the others meet again day after day."""
    person = np.arange(1200)
    people = Population({"pair_id": person // 4, "ill": (person % 4 == 0).astype(float)})
    model = scenario_of_pairs(groups, lpm.Groups)
    model = model.replace(steps=12, params=model.params.replace(rate=0.1, recovery=0.2))
    value, wide = by_differences(model, people, "rate", 300, 12)
    task = (model, people, last_attack, words(9, 24), model.params, ("rate",), 12, 12)
    found = Lineage(rate=0.05)(*task).gradients["rate"]
    error = np.hypot(found.std() / 24**0.5, wide)
    assert error < 0.08 * value
    assert abs(found.mean() - value) < 3.5 * error + 0.05 * value
    # The negative control misses by more than that, though its own runs hardly differ.
    straight = straight_through(*task).gradients["rate"]
    assert abs(straight.mean() - value) > 3.5 * error + 0.05 * value


def test_values_are_those_of_plain_runs_and_the_name_is_known():
    people = town_of(200)
    found = Lineage(twins=2)(
        epidemic, people, last_attack, words(3, 3), epidemic.params, ("home",), 6, 3
    )
    assert choose_estimator("lineage", 0.05) == (Lineage(), "lineage")
    plain = lpm.ensemble(epidemic, people, keys=words(3, 3), steps=6, every=3)
    assert found.values.tolist() == plain.observed["attack"][:, -1].tolist()
    assert found.gradients["home"].shape == (3,)
    assert found.cost == 3 * 6 * 200 * (4 + 4 * 2)


def run_once(model, fields=("home",), steps=6):
    return Lineage(rate=0.1, twins=2)(
        model, town_of(300), last_attack, words(2, 2), model.params, fields, steps, steps
    )


def with_process(process):
    return lpm.Scenario(init, (spread, process), observe, Params(), steps=6, unit="day")


def test_categories_are_refused():
    def choose(state, params, draw):
        draw.categorical(probs=jnp.ones((state.alive.shape[0], 2)), one_hot=True)
        return state

    with pytest.raises(lpm.ScenarioError, match="counts or categories"):
        run_once(with_process(choose))


def test_a_coin_of_no_agent_is_refused():
    def close(state, params, draw):
        return state.replace(exposed=state.exposed * draw.bernoulli(params.home, ()))

    with pytest.raises(lpm.ScenarioError, match="`agent` must come first"):
        run_once(with_process(close))


def test_a_coin_in_an_inner_loop_is_refused():
    def repeat(state, params, draw):
        def body(x, i):
            return x * (1 - draw.at(i).bernoulli(0.1 * x)), None

        return state.replace(exposed=jax.lax.scan(body, state.exposed, jnp.arange(2))[0])

    with pytest.raises(lpm.ScenarioError, match="inner scan"):
        run_once(with_process(repeat))


def test_a_field_that_sets_a_variable_is_refused():
    def fade(state, params, draw):
        return state.replace(exposed=state.exposed * params.home)

    with pytest.raises(lpm.FittingError, match=r"State\.exposed is set from a field in a process"):
        run_once(with_process(fade))


def test_a_field_under_a_uniform_is_refused():
    """A coin that is tossed by hand would have no derivative at all."""

    def toss(state, params, draw):
        lost = (draw.uniform("agent") < params.home).astype(jnp.float32)
        return state.replace(exposed=state.exposed * lost)

    with pytest.raises(lpm.FittingError, match="set from a field in a process, by more"):
        run_once(with_process(toss))


def test_deaths_by_coin_are_refused():
    def die(state, params, draw):
        return lpm.death(state, draw.bernoulli(0.01 * state.infectious))

    with pytest.raises(lpm.FittingError, match="is changed by a process, but no floats"):
        run_once(with_process(die))


def test_names_that_are_no_float_fields_are_refused():
    with pytest.raises(lpm.FittingError, match=r"no float field.*did you mean"):
        run_once(epidemic, ("hoem",))


def test_a_rate_that_flips_nothing_is_refused():
    with pytest.raises(lpm.FittingError, match="give a rate in"):
        Lineage(rate=0.0)


def test_twins_come_in_pairs():
    with pytest.raises(lpm.FittingError, match="twins = 3; give an even number"):
        Lineage(twins=3)


def test_births_are_refused_before_any_run():
    """`labour_tax` has newborns in new slots."""
    with pytest.raises(lpm.FittingError, match=r"State.alive, State.next_slot.* births and deaths"):
        lpm.gradient(labour, lpm.Population.toy(64), total_wealth, keys=[0, 1], estimator="lineage")


def test_segments_change_nothing_but_memory(monkeypatch):
    """6 steps kept whole, and in segments of 4 and 2; sums differ in the last digits."""
    people, model = couples(60), scenario_of_pairs(groups, lpm.Groups)
    task = (model, people, last_attack, words(3, 2), model.params, ("rate", "recovery"), 6, 3)
    whole = Lineage(rate=0.4, twins=2)(*task)
    people.compiled.clear()
    monkeypatch.setattr(estimator, "segment_length", lambda *_: 4)
    parts = Lineage(rate=0.4, twins=2)(*task)
    for name, x in whole.gradients.items():
        assert np.abs(x).max() > 0
        assert np.allclose(parts.gradients[name], x, rtol=1e-4, atol=1e-5)
    # Four of six steps are computed again: a base, its direction and the twins.
    assert parts.cost - whole.cost == pytest.approx(2 * 6 * 120 * 4 / 6 * 4)


def test_segments_are_as_long_as_memory_allows():
    assert segment_length(100, 10, 100) == 100
    assert segment_length(100, 2**20, 2**24) == 2**28 // 2**24
    assert segment_length(100, 2**28, 2**30) == 5
