"""Declared variables and knobs, Params and State: bounds, units, shapes, and what they refuse."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

import lpm
from lpm import Array, Bool, Float, Int, Scalar
from lpm.errors import DataError, LpmError, ScenarioError, SimulationError, listing
from lpm.fields import Domain, Knob


class Rates(lpm.Params):
    beta_home: Scalar = lpm.parameter(0.2, within=(0, 1), unit="1/contact/day")
    allowance: Scalar = lpm.policy(10_000, within=(0, None), unit="EUR/year")
    offset: Scalar = lpm.constant(-3.0)
    closure: Float[Array, " week"] = lpm.policy([0.1, 0.2], within=(0, 1))


class Town(lpm.State):
    home: lpm.Groups
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    persona: Int[Array, " agent"]
    price: Float[Array, " firm"]
    treasury: Scalar


def make(population, **changes):
    columns = {
        "home": population.groups("household_id"),
        "infectious": 0.5,
        "persona": population["persona"],
        "price": jnp.ones(3),
        "treasury": 7,
    }
    return Town.of(population, **(columns | changes))


@given(st.floats(-6, 9))
def test_the_bijection_returns_what_it_was_given_from_1e_6_to_1e9(exponent):
    x = np.float32(10.0**exponent)
    for knob in (
        Knob("parameter", 2.0, Domain(0, None)),
        Knob("parameter", -2.0, Domain(None, 0)),
        Knob("parameter", 2.0),
        Knob("parameter", 1.0, Domain(0, 1e10)),
    ):
        value = -x if knob.domain.upper == 0 else x
        back = knob.constrain(knob.unconstrain(value))
        assert np.isclose(back, value, rtol=2e-4), (knob, value)


def test_defaults_have_unit_scale_where_the_domain_does_not_fix_it():
    knob = Knob("policy", 10_000.0, Domain(0, None))
    step = knob.constrain(knob.unconstrain(10_000.0) + 1) - 10_000
    assert 1_000 < step < 20_000


def test_a_value_outside_its_bounds_is_named_with_its_unit():
    message = r"Rates.beta_home = 1.4 is outside \[0, 1\] \(1/contact/day\)"
    with pytest.raises(ScenarioError, match=message):
        Rates().replace(beta_home=1.4)
    with pytest.raises(ValueError, match="nan is outside"):
        Rates().replace(beta_home=float("nan"))
    with pytest.raises(ScenarioError, match="-1 is outside"):
        Rates().replace(closure=[0.1, -1])


def test_an_unknown_parameter_is_named_with_the_nearest_spelling():
    with pytest.raises(
        ScenarioError, match=r"no parameter \[beta_hom\].*did you mean \[beta_home\]"
    ):
        Rates().replace(beta_hom=0.1)
    with pytest.raises(ScenarioError, match="is not a number"):
        Rates().replace(beta_home="much")


def test_roles_select_their_fields():
    assert set(Rates().select("policy")) == {"allowance", "closure"}
    assert Rates().select("constant")["offset"] == -3
    with pytest.raises(ScenarioError, match="role"):
        Rates().select("policies")


def test_a_field_without_a_role_is_refused():
    class Bare(lpm.Params):
        x: Scalar = 1.0

    with pytest.raises(ScenarioError, match=r"Bare\.x has no role"):
        Bare()


def test_an_extra_leading_axis_means_variants():
    many = Rates().replace(beta_home=[0.1, 0.2, 0.3], closure=[[0, 1], [1, 0], [0, 0]])
    assert many.variants() == 3
    assert Rates().variants() is None
    with pytest.raises(ScenarioError, match="disagree in length"):
        Rates().replace(beta_home=[0.1, 0.2], closure=[[0, 1], [1, 0], [0, 0]]).variants()


def test_an_empty_domain_is_refused():
    with pytest.raises(ScenarioError, match=r"within=\(1, 0\) is empty"):
        lpm.variable(within=(1, 0))


def test_params_render_as_a_table():
    html = Rates()._repr_html_()
    assert "1/contact/day" in html
    assert "<table>" in html


def test_numbers_spread_and_columns_are_padded_with_zeros(roomy_town):
    state = make(roomy_town, infectious=1, persona=np.ones(roomy_town.size, np.int8))
    assert state.infectious.shape == (96,)
    assert float(state.infectious.sum()) == 64
    assert not state.infectious[64:].any()
    assert state.persona.shape == (96,)
    assert state.treasury.dtype == jnp.float32


def test_a_wrong_dtype_or_length_is_named(town):
    state = make(town)
    with pytest.raises(
        ScenarioError, match=r"Town.infectious is declared Float\[agent\] but is bool"
    ):
        state.replace(infectious=state.alive)
    with pytest.raises(ScenarioError, match=r"Town.infectious has 5 along axis 'agent', but Town"):
        state.replace(infectious=jnp.zeros(5))
    with pytest.raises(ScenarioError, match=r"Town has no variable \[infected\]; it has"):
        state.replace(infected=state.infectious)
    with pytest.raises(ScenarioError, match="needs a value for"):
        Town.of(town, infectious=1)
    with pytest.raises(ScenarioError, match="nothing says how long axis 'firm' is"):
        make(town, price=1.0)


def test_replace_keeps_what_it_does_not_touch(town):
    state = make(town)
    new = state.replace(treasury=1)
    assert new.infectious is state.infectious
    assert new.home is state.home


def test_taking_a_state_apart_never_trips_the_check(town):
    state = make(town)
    shapes = jax.eval_shape(lambda s: s, state)
    assert jax.tree.map(lambda x: None, shapes) is not None
    assert jax.vmap(lambda s: s.infectious.sum(), in_axes=None, axis_size=2)(state).shape == (2,)


def test_sizes_list_every_named_axis(town):
    assert make(town).sizes() == {"agent": 64, "firm": 3}


@pytest.mark.parametrize(
    ("domain", "default"),
    [
        (Domain(0, 1e10), 1.0),
        (Domain(0, None), 10_000.0),
        (Domain(0, None), 0.0),
        (Domain(None, 0), -1e-3),
        (Domain(None, None), 5e5),
        (Domain(None, None), 0.0),
    ],
    ids=str,
)
@given(exponent=st.floats(-6, 9))
def test_constraining_undoes_unconstraining(domain, default, exponent):
    knob = Knob("parameter", default, domain)
    x = np.float32(10.0**exponent) * (-1 if domain.upper == 0 else 1)
    z = knob.unconstrain(x)
    assert np.isfinite(z)
    assert float(knob.constrain(z)) == pytest.approx(float(x), rel=1e-5)


def test_a_domain_away_from_zero_is_exact_to_the_rounding_of_its_bound():
    for domain in (Domain(100, None), Domain(None, 100), Domain(100, 101)):
        x = np.float32(99.5 if domain.lower is None else 100.5)
        knob = Knob("parameter", float(x), domain)
        assert float(knob.constrain(knob.unconstrain(x))) == pytest.approx(float(x), rel=1e-6)
        drawn = knob.constrain(jnp.linspace(-30, 30, 100))
        assert not np.any(domain.violated(drawn)), "no value of z leaves the domain"
        assert np.isfinite(jax.grad(knob.constrain)(0.0))


class Ages(lpm.Params):
    contacts: Float[Array, " age"] = lpm.constant([1.0, 2.0, 3.0])
    order: Int[Array, " age"] = lpm.policy([0, 1, 2], within=(0, 2))
    open: Bool[Array, ""] = lpm.constant(True)


def test_an_integer_parameter_is_never_rounded_in_silence():
    with pytest.raises(ScenarioError, match="is not a whole number of 32 bits"):
        Ages().replace(order=[0, 1, 1.5])
    with pytest.raises(ScenarioError, match="is not a whole number of 32 bits"):
        Ages().replace(order=[0, 1, 2**40])
    with pytest.raises(ScenarioError, match="is not true or false"):
        Ages().replace(open=0.5)
    assert Ages().replace(order=[2.0, 1.0, 0.0]).order.dtype == np.int32


def test_parameters_along_one_axis_agree_in_length():
    with pytest.raises(ScenarioError, match=r"has 2 along axis 'age', but Ages.contacts has 3"):
        Ages().replace(order=[0, 1])
    both = Ages().replace(order=[0, 1], contacts=[1.0, 2.0])
    assert both.variants() is None
    assert Ages().replace(contacts=[[1.0, 2.0, 3.0]] * 4).variants() == 4
    with pytest.raises(ScenarioError, match=r"is declared \[age\] but is float32\[1,1,1\]"):
        Ages().replace(contacts=[[[1.0]]])


def test_traced_params_pass_unchecked_and_keep_their_place_in_the_tree():
    params = Rates()
    moved = jax.jit(lambda p: p.replace(beta_home=p.beta_home * 100))(params)
    assert float(moved.beta_home) == pytest.approx(20)
    leaves = jax.tree.leaves(jax.tree.map(lambda _: None, params))
    assert leaves == []


def test_string_annotations_are_read():
    source = (
        "from __future__ import annotations\nimport lpm\nfrom lpm import Array, Float, Scalar\n"
        "class P(lpm.Params):\n    a: Float[Array, ' week'] = lpm.policy([0.1, 0.2])\n"
        "class S(lpm.State):\n    x: Float[Array, ' agent'] = lpm.variable(within=(0, 1))\n"
    )
    module = types.ModuleType("written")
    sys.modules["written"] = module
    try:
        exec(source, module.__dict__)
        assert module.P().replace(a=[[1.0, 2.0]] * 3).variants() == 3
        state = module.S.of(lpm.Population.toy(8, capacity=10), x=1)
        assert state.x.tolist() == [1.0] * 8 + [0.0] * 2
    finally:
        del sys.modules["written"]


def test_a_narrow_integer_stays_narrow_and_a_variable_keeps_its_dtype(town):
    state = make(town, persona=np.arange(64, dtype=np.int8))
    assert state.persona.dtype == jnp.int8
    assert make(town, persona=np.arange(64.0)).persona.dtype == jnp.int32
    assert state.replace(persona=jnp.arange(64)).persona.dtype == jnp.int8
    assert (
        state.replace(infectious=state.infectious.astype(jnp.float16)).infectious.dtype == "float32"
    )
    assert state.replace(treasury=np.float64(3)).treasury.dtype == jnp.float32
    assert state.replace(t=5).t.dtype == jnp.int32
    with pytest.raises(ScenarioError, match=r"Town.t is declared Int\[\] but is float\[\]"):
        state.replace(t=2.7)


def test_a_state_refuses_what_does_not_fit_when_it_is_built(town):
    with pytest.raises(ScenarioError, match=r"Town has no variable \[infectius\].*did you mean"):
        make(town, infectius=1)
    with pytest.raises(ScenarioError, match=r"Town.infectious has 5 along axis 'agent', but Town"):
        make(town, infectious=jnp.zeros(5))
    with pytest.raises(ScenarioError, match=r"Town.infectious is declared Float\[agent\] but is f"):
        make(town, infectious=jnp.zeros((64, 2)))


class Shapes(lpm.State):
    event: Int[Array, "event 3"]
    pair: Float[Array, "agent choice"]


def test_fixed_and_second_axes_are_checked(roomy_town):
    state = Shapes.of(roomy_town, event=jnp.zeros((4, 3)), pair=jnp.ones((64, 2)))
    assert state.pair.shape == (96, 2)
    assert not state.pair[64:].any()
    assert state.sizes() == {"agent": 96, "event": 4, "choice": 2}
    with pytest.raises(ScenarioError, match=r"Shapes.event is declared Int\[event, 3\] but is"):
        state.replace(event=jnp.zeros((4, 2), jnp.int32))


def test_long_lists_in_messages_are_cut_short():
    assert listing(map(str, range(20))) == "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... 8 more]"
    for error in (DataError, ScenarioError, SimulationError):
        assert issubclass(error, LpmError)
