"""Networks in place of a panel at a million agents: gradients of a run, memory, and who wins."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline

import lpm
from lpm import Array, Int, Scalar, personas
from lpm.fitting.chance import generator_for
from scenarios.isolation import PERSONAS, STAY

pytestmark = pytest.mark.gate

AGENTS, DAYS = 1_000_000, 30
KNOTS = {"prevalence": (0.0, 0.01, 0.1, 1.0), "trend": (-3.0, 3.0), "payment": (0.0, 0.5, 1.0)}
MEMBERS, LAYERS = 3, ("Dense_0", "Dense_1", "Dense_2")


@pytest.fixture(scope="module")
def million():
    """The card's answers of 24 anchors, networks fitted to them, and people with their cells."""
    town = lpm.Population.toy(AGENTS, seed=1)
    cells = personas.cells_of(town, PERSONAS)
    anchors = personas.choose_anchors(cells, 24, seed=1)
    answers = personas.read_rules("isolation").ask(cells, KNOTS, of=anchors.cell)
    surface = personas.surface_of(answers, out_of=np.inf)
    found = personas.learn(surface, anchors, cells, jax.random.key(0), members=MEMBERS, width=16)
    return found, cells, town


class Params(lpm.Params):
    payment: Scalar = lpm.policy(0.6, within=(0, 1))


class State(lpm.State):
    panel: personas.Surrogate
    cell: Int[Array, " agent"]
    prevalence: Scalar = lpm.variable(within=(0, 1))


def spread(state, params, draw):
    """Prevalence grows by a tenth a day, less what people at home take off it."""
    home = state.panel.share(
        STAY, state.cell, prevalence=state.prevalence, trend=0.5, payment=params.payment
    )
    growth = jnp.exp(0.1 - 0.3 * jnp.mean(home))
    return state.replace(prevalence=state.prevalence * growth)


def model_of(million):
    found, cells, _ = million

    def init(population, params, draw):
        return State.of(population, panel=found.net, cell=cells.cell_of, prevalence=0.03)

    def observe(state, params):
        return {"prevalence": state.prevalence}

    return lpm.Scenario(init, (spread,), observe, Params(), steps=DAYS)


def outcome(million, payment, steps=DAYS):
    run = lpm.simulate(
        model_of(million),
        million[2],
        key=0,
        params=Params(payment=payment),
        steps=steps,
        devices=1,
        progress=False,
    )
    return run.observed["prevalence"][-1]


def curve(levels, table, x):
    """Fritsch & Butland's cubic along the first axis of a table, in float64."""
    h = np.diff(levels)
    rise = np.diff(table, axis=0) / h.reshape(-1, *[1] * (table.ndim - 1))
    slopes = np.concatenate([rise[:1], np.zeros_like(rise[1:]), rise[-1:]])
    for i in range(1, len(h)):
        share = (h[i - 1] + 2 * h[i]) / (3 * (h[i - 1] + h[i]))
        one, two = rise[i - 1], rise[i]
        agree = one * two > 0
        below = np.where(agree, share * two + (1 - share) * one, 1.0)
        slopes[i] = np.where(agree, one * two / below, 0.0)
    return CubicHermiteSpline(levels, table, slopes)(x)


def odds_of(net, situation):
    """Log-odds of the second action by cell: base and networks in NumPy, float64."""
    table = np.moveaxis(np.asarray(net.base.mean, float)[..., 0], 0, -1)
    place = []
    for name, levels in KNOTS.items():
        x = situation[name]
        table = curve(np.array(levels), table, x)
        place.append(curve(np.array(levels), np.linspace(-1, 1, len(levels)), x))
    said = np.zeros(len(table))
    features = np.asarray(net.features, float)
    for member in range(MEMBERS):
        x = np.column_stack([features, np.tile(place, (len(features), 1))])
        for layer in LAYERS:
            kernel, bias = (
                np.asarray(net.weights["params"][layer][part][member], float)
                for part in ("kernel", "bias")
            )
            x = x @ kernel + bias
            x = np.tanh(x) if layer != LAYERS[-1] else x
        said += x[:, 0] / MEMBERS
    return table + float(net.size) * said


def exactly(million, payment, days=DAYS):
    found, cells, _ = million
    weight, prevalence = cells.weight / cells.weight.sum(), 0.03
    for _ in range(days):
        at = {"prevalence": prevalence, "trend": 0.5, "payment": payment}
        home = weight @ (1 / (1 + np.exp(-odds_of(found.net, at))))
        prevalence *= np.exp(0.1 - 0.3 * home)
    return prevalence


def test_a_run_of_a_million_has_the_gradient_of_differences(million, report):
    """Reverse through 30 days of `lpm.simulate`, against differences of NumPy in float64."""
    value, slope = jax.value_and_grad(lambda x: outcome(million, x))(jnp.float32(0.6))
    far, near = (
        (exactly(million, 0.6 + h) - exactly(million, 0.6 - h)) / (2 * h) for h in (0.02, 0.01)
    )
    expected = (4 * near - far) / 3  # Richardson leaves h**4: 1e-6 of it here.
    report("slope by payment", float(slope), expected)
    report("relative error", abs(float(slope) / expected - 1))
    assert float(value) == pytest.approx(exactly(million, 0.6), rel=1e-4)
    assert float(slope) == pytest.approx(expected, rel=1e-3)


def test_a_panel_held_still_has_another_gradient(million):
    """The control: without what the networks add, differences do not agree within 1 %."""
    found, _, _ = million
    expected = (exactly(million, 0.61) - exactly(million, 0.59)) / 0.02
    still = personas.Surrogate(**{**vars(found.net), "size": jnp.float32(0.0)})
    other = (replace(found, net=still), *million[1:])
    slope = jax.grad(lambda x: outcome(other, x))(jnp.float32(0.6))
    assert float(slope) != pytest.approx(expected, rel=1e-2)


def test_memory_does_not_grow_with_days(million, report):
    """Temporary bytes of the compiled gradient of a path: what a step keeps is its situation."""
    net, cell = million[0].net, jnp.asarray(million[1].cell_of)

    def path(payment, days):
        wave = 0.1 * jnp.exp(-(((jnp.arange(days) - 15) / 7.0) ** 2))

        def day(sofar, prevalence):
            share = net.share(STAY, cell, prevalence=prevalence, trend=0.5, payment=payment)
            return sofar + jnp.mean(share), None

        return jax.lax.scan(day, jnp.zeros(()), wave)[0] / days

    def bytes_of(days):
        gradient = jax.jit(jax.grad(lambda x: path(x, days)))
        used = gradient.lower(jnp.float32(0.6)).compile().memory_analysis()
        assert used.temp_size_in_bytes > 0
        return used.temp_size_in_bytes / AGENTS

    short, long = bytes_of(5), bytes_of(60)
    report("bytes an agent for 5 days", short)
    report("bytes an agent for 60 days", long)
    assert long < short + 0.1


def test_scores_are_told_whoever_wins(million, report):
    """The card is nearly additive in attributes: ridge has every chance, and the better is used."""
    found = million[0]
    for name, score in found.scores.items():
        report(f"left out: {name}", score)
    best = min(found.scores, key=lambda name: found.scores[name])
    assert found.chosen == best
    assert (found.panel is found.net) == (best == "net")


def test_bands_of_networks_hold_the_truth_of_cells_never_asked(report):
    """Ten worlds that ridge cannot learn: 90 % bands hold the truth in 85 % or more."""
    luck = generator_for(jnp.zeros((1, 2), jnp.uint32), "worlds")
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 4, indexing="ij"), -1).reshape(-1, 4)
    names = ("a", "b", "c", "d")
    bands = tuple(
        personas.Band(n, n, (1.0, 2.0), tuple(f"{n} {i}." for i in range(3))) for n in names
    )
    weight = luck.gamma(2, 1, len(grid))
    cells = personas.Cells(bands, grid, grid.astype(float), weight, np.arange(len(grid)), 0.0)
    held, won = [], 0
    for world in range(10):
        slope = luck.choice([-1, 1], 4) * luck.uniform(0.5, 1.5, 4)
        truth = 2 * np.tanh((grid - 1) @ slope[:, None] + 0.8 * np.linspace(-1, 1, 4))
        anchors = personas.choose_anchors(cells, 40, seed=world)
        told = truth[anchors.cell] + 0.1 * luck.standard_normal((40, 4))
        surface = personas.make_surface(
            told[..., None], 0.1, {"x": (0.0, 1.0, 2.0, 3.0)}, ("go", "stay")
        )
        key = jax.random.key(world)
        found = personas.learn(surface, anchors, cells, key, members=MEMBERS, width=16)
        won += found.chosen == "net"
        rest = np.setdiff1d(np.arange(len(grid)), anchors.cell)
        table = found.net.tabulated()
        off = np.abs(np.asarray(table.mean)[rest, :, 0] - truth[rest])
        held.append(np.mean(off < 1.6449 * np.asarray(table.spread)[rest, :, 0]))
    report("90 % bands hold", float(np.mean(held)))
    report("worlds of ten in which networks win", won)
    assert np.mean(held) >= 0.85
    assert won >= 8
