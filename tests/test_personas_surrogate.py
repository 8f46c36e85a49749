"""Networks in place of a panel: held against ridge on personas left out, and read inside a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm import Array, Float, Int, Scalar, personas
from lpm.errors import PersonaError
from lpm.personas import Band, attributes, cells_of, choose_anchors, learn, make_surface
from lpm.personas.learning import _foretell, _standard, _table
from lpm.personas.net import Net
from lpm.population.seeds import generator

NAMES = ("a", "b", "c", "d")
WORDS = ("Low.", "Middling.", "High.")
KNOTS = {"cases": (0.0, 0.01, 0.1, 1.0)}
PLACE = np.linspace(-1, 1, 4)  # of the knots, evenly whatever their distance
ACTIONS = ("go out", "stay")
SIZE = {"members": 3, "width": 16}
Z90 = 1.6449


@pytest.fixture(scope="module")
def cells():
    rng = generator(2)
    columns = {name: rng.integers(0, 3, 4_000).astype(float) for name in NAMES}
    bands = [Band(name, name, (1.0, 2.0), tuple(f"{name} {w}" for w in WORDS)) for name in NAMES]
    return cells_of(lpm.Population(columns), bands)


@pytest.fixture(scope="module")
def anchors(cells):
    return choose_anchors(cells, 36, seed=1)


def threshold(cells):
    """All four attributes together pass a threshold, later where there are few cases."""
    total = sum(cells.value(name) for name in NAMES) - 4.0
    return 2.5 * np.tanh(1.2 * total[:, None] + 0.8 * PLACE)


def additive(cells):
    """Each attribute for itself, and more so with cases."""
    return 0.7 * (cells.value("a") - cells.value("c"))[:, None] * (1 + 0.5 * PLACE)


def panel_of(cells, anchors, truth, noise=0.0):
    odds = truth(cells)[anchors.cell] if callable(truth) else truth[anchors.cell]
    odds = odds + noise * generator(4).standard_normal(odds.shape)
    return make_surface(odds[..., None], 0.1, KNOTS, ACTIONS)


@pytest.fixture(scope="module")
def learnt(cells, anchors):
    return learn(panel_of(cells, anchors, threshold), anchors, cells, jax.random.key(0), **SIZE)


def test_networks_win_where_all_attributes_act_together(learnt, cells, anchors):
    assert learnt.chosen == "net"
    assert isinstance(learnt.panel, personas.Surrogate)
    assert learnt.scores["net"] < 0.8 * min(v for k, v in learnt.scores.items() if k != "net")
    assert {"level", "attributes", "net"} <= set(learnt.scores)
    assert "Used: net (networks)" in str(learnt)
    rest = np.setdiff1d(np.arange(len(cells)), anchors.cell)
    truth = threshold(cells)[rest]
    errors = [
        np.sqrt(np.mean((np.asarray(each.mean)[rest, :, 0] - truth) ** 2))
        for each in (learnt.net.tabulated(), learnt.ridge.surface)
    ]
    assert errors[0] < 0.8 * errors[1]  # of cells that nobody was asked about


def test_the_error_left_out_is_in_the_spread_of_cells_that_were_not_asked(learnt, cells, anchors):
    table = learnt.net.tabulated()
    spread = np.asarray(table.spread)[..., 0]
    rest = np.setdiff1d(np.arange(len(cells)), anchors.cell)
    error = np.sqrt(np.mean(learnt.left_out[..., 0] ** 2, axis=0))
    assert np.all(spread[rest] >= np.hypot(error, 0.1) * (1 - 1e-5))
    assert np.allclose(spread[anchors.cell], 0.1, rtol=1e-5)
    missed = np.abs(np.asarray(table.mean)[..., 0] - threshold(cells))[rest]
    assert np.mean(missed < Z90 * spread[rest]) > 0.85


def test_a_cell_that_was_asked_says_what_it_said(learnt, cells, anchors):
    mean = np.asarray(learnt.net.tabulated().mean)[anchors.cell, :, 0]
    assert np.allclose(mean, threshold(cells)[anchors.cell], atol=1e-4)


def test_ridge_is_used_where_it_foretells_better(cells, anchors):
    found = learn(panel_of(cells, anchors, additive), anchors, cells, jax.random.key(0), **SIZE)
    assert found.chosen != "net"
    assert found.panel is found.ridge.surface
    assert found.scores["net"] > 2 * found.scores[found.chosen]


def test_noise_is_foretold_by_no_network(cells, anchors):
    """The control: the level does as well, and the spread says that nothing is known."""
    noise = generator(5).standard_normal((len(cells), 4))
    found = learn(panel_of(cells, anchors, noise), anchors, cells, jax.random.key(0), **SIZE)
    assert found.scores["net"] > 0.9 * found.scores["level"]
    rest = np.setdiff1d(np.arange(len(cells)), anchors.cell)
    assert 0.8 < np.mean(np.asarray(found.net.tabulated().spread)[rest]) < 1.6


def test_a_persona_left_out_was_not_looked_at(cells, anchors):
    """Whatever it says, it is foretold the same, at every look; the others are not."""
    moved = threshold(cells)
    moved[anchors.cell[7]] += 5.0
    known = _standard(attributes(cells), anchors, len(cells))[anchors.cell]
    keys, net = jax.random.split(jax.random.key(0), SIZE["members"]), Net(1, SIZE["width"])
    one, other = (
        np.asarray(_foretell(net, _table(panel_of(cells, anchors, truth), known), keys))
        for truth in (threshold, moved)
    )
    assert np.allclose(one[7], other[7], atol=1e-5)
    assert np.abs(one - other)[8].max() > 0.05


def say(surrogate, place):
    """The mean of the networks at one coordinate, in NumPy and float64."""
    weights = surrogate.weights["params"]
    features = np.asarray(surrogate.features, float)
    said = []
    for member in range(SIZE["members"]):
        x = np.column_stack([features, np.full(len(features), place)])
        for layer in ("Dense_0", "Dense_1", "Dense_2"):
            kernel, bias = (
                np.asarray(weights[layer][w][member], float) for w in ("kernel", "bias")
            )
            x = x @ kernel + bias
            x = np.tanh(x) if layer != "Dense_2" else x
        said.append(x[:, 0])
    return float(surrogate.size) * np.mean(said, axis=0)


def test_log_odds_are_those_of_the_networks_and_the_base(learnt):
    net = learnt.net
    for knot, cases in enumerate(KNOTS["cases"]):
        expected = np.asarray(net.base.mean, float)[:, knot, 0] + say(net, PLACE[knot])
        assert np.allclose(net.odds(cases=cases)[:, 0], expected, atol=1e-4)
        share = 1 / (1 + np.exp(-expected))
        assert np.allclose(net.shares(cases=cases)[:, 1], share, atol=1e-5)


def test_derivatives_by_the_situation_are_those_of_differences(learnt):
    cell = jnp.asarray(np.arange(300) % learnt.net.personas)

    @jax.jit
    def total(cases):
        return jnp.sum(learnt.net.share("stay", cell, cases=cases))

    for cases, h in ((0.004, 2e-3), (0.03, 1e-2), (0.5, 0.1)):
        far, near = (float(total(cases + d) - total(cases - d)) / (2 * d) for d in (h, h / 2))
        # Richardson leaves the fourth order of a step, 1e-3 of the slope.
        expected = (4 * near - far) / 3
        assert float(jax.grad(total)(cases)) == pytest.approx(expected, rel=5e-3, abs=0.02)
    assert float(jax.grad(total)(2.0)) == 0.0
    assert float(learnt.net.outside(cases=2.0)) == 1.0


def test_temperature_and_shift_move_it_as_they_move_a_table_of_it(learnt):
    moved = learnt.net.shifted(temperature=2.0, shift=0.3)
    table = np.asarray(learnt.net.tabulated().mean, float)
    expected = table.mean() + (table - table.mean()) / 2 + 0.3
    for knot, cases in enumerate(KNOTS["cases"]):
        assert np.allclose(moved.odds(cases=cases)[:, 0], expected[:, knot, 0], atol=1e-4)


class Params(lpm.Params):
    pay: Scalar = lpm.policy(0.02, within=(0, 1))


class State(lpm.State):
    panel: personas.Surrogate
    cell: Int[Array, " agent"]
    home: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def stay(state, params, draw):
    now = jnp.mean(state.home) * params.pay + params.pay
    share = state.panel.share("stay", state.cell, cases=now)
    return state.replace(home=0.5 * (state.home + share))


def test_a_run_reads_it_and_its_gradient_comes_back(learnt):
    cell = np.arange(64) % learnt.net.personas

    def init(population, params, draw):
        return State.of(population, panel=learnt.net, cell=cell, home=0)

    def observe(state, params):
        return {"home": jnp.mean(state.home)}

    model = lpm.Scenario(init, (stay,), observe, Params(), steps=5)
    town = lpm.Population.toy(64)

    def outcome(pay):
        run = lpm.simulate(model, town, key=0, params=Params(pay=pay), devices=1, progress=False)
        return run.observed["home"][-1]

    def plain(pay):
        home = np.zeros(64)
        for _ in range(5):
            odds = np.asarray(learnt.net.odds(cases=home.mean() * pay + pay), float)[:, 0]
            home = 0.5 * (home + 1 / (1 + np.exp(-odds[cell])))
        return home.mean()

    many = lpm.simulate(model, town, key=0, params=Params(pay=0.02), devices=4)
    assert float(many.observed["home"][-1]) == pytest.approx(plain(0.02), rel=1e-5)
    value, slope = jax.value_and_grad(outcome)(jnp.float32(0.02))
    assert float(value) == pytest.approx(plain(0.02), rel=1e-5)
    expected = (plain(0.022) - plain(0.018)) / 0.004
    assert float(slope) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": 1}, "members = 1"),
        ({"features": np.zeros((3, 2))}, r"features have shape \[3, 2\]"),
    ],
)
def test_what_cannot_be_learnt_is_refused_in_words(cells, anchors, options, message):
    with pytest.raises(PersonaError, match=message):
        learn(panel_of(cells, anchors, additive), anchors, cells, jax.random.key(0), **options)


def test_a_surrogate_of_a_choice_gives_no_number(learnt):
    with pytest.raises(PersonaError, match="are a choice"):
        learnt.net.number(cases=0.1)
    with pytest.raises(PersonaError, match="no action"):
        learnt.net.share("fly", jnp.zeros(2, int), cases=0.1)
    with pytest.raises(PersonaError, match="asks for"):
        learnt.net.odds(rain=0.1)
