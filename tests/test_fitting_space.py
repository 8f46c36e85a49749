"""Space, averages and journal: scales that agree, weights that are slopes, answers kept."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats

import lpm
from lpm import Array, Float, Scalar
from lpm.errors import FittingError
from lpm.fitting import LogMeanExp, Mean, WorstShare
from lpm.fitting.journal import Journal
from lpm.fitting.space import Space


class Params(lpm.Params):
    zeta: Scalar = lpm.parameter(0.2, within=(0, 1))
    alpha: Scalar = lpm.parameter(3.0, within=(0, None), prior=dist.Gamma(2.0, 0.5))
    many: Float[Array, " week"] = lpm.parameter([1.0, -2.0])
    drawn: Scalar = lpm.parameter(0.3, within=(0, 1), prior=dist.Kumaraswamy(2.0, 3.0))
    edge: Scalar = lpm.policy(0.0, within=(0, 10))


NAMES = ("zeta", "alpha", "many", "drawn")
SPACE = Space(Params(), NAMES)


def test_elements_keep_their_order_and_come_back():
    assert SPACE.labels == ["zeta", "alpha", "many[0]", "many[1]", "drawn"]
    assert SPACE.flat(SPACE.start[None])[0] == pytest.approx([0.2, 3, 1, -2, 0.3], rel=1e-5)
    params = SPACE.at(SPACE.start)
    assert float(params.alpha) == pytest.approx(3, rel=1e-5)
    assert params.many == pytest.approx([1, -2], rel=1e-5)


def test_lengths_are_slopes():
    h = 1e-2
    z = SPACE.start
    moved = np.stack([z + h, z - h])
    slopes = np.diff(SPACE.flat(moved)[::-1], axis=0)[0] / (2 * h)
    assert SPACE.lengths(z) == pytest.approx(slopes, rel=1e-3)


def test_a_value_on_its_bound_starts_a_little_inside():
    space = Space(Params(), ("edge",))
    assert space.flat(space.start[None])[0] == pytest.approx([0.1], rel=1e-3)


@pytest.mark.parametrize("name", ["zeta", "alpha", "drawn"])
def test_a_prior_on_the_free_scale_is_a_density(name):
    space = Space(Params(), (name,))
    density = jax.jit(lambda z: jnp.exp(space.log_prior(z)))
    grid = np.linspace(-15, 15, 3001)
    values = np.array([float(density(jnp.array([z], jnp.float32))) for z in grid[::10]])
    assert integrate.trapezoid(values, grid[::10]) == pytest.approx(1, abs=2e-3)


def test_quantiles_are_those_of_the_priors():
    levels = np.array([[0.1, 0.5, 0.9]]).T.repeat(SPACE.size, axis=1)
    found = SPACE.flat(SPACE.quantiles(levels))
    assert found[:, 0] == pytest.approx([0.1, 0.5, 0.9], abs=1e-4)  # uniform between two bounds
    assert found[:, 1] == pytest.approx(stats.gamma(2, scale=2).ppf([0.1, 0.5, 0.9]), rel=0.05)
    kumaraswamy = [(1 - (1 - u) ** (1 / 3)) ** 0.5 for u in (0.1, 0.5, 0.9)]
    assert found[:, 4] == pytest.approx(kumaraswamy, abs=0.03)  # from 4,096 draws where need be


@pytest.mark.parametrize("average", [Mean(), LogMeanExp(), WorstShare(0.3)])
def test_weights_are_the_slopes_of_an_average(average):
    losses = np.array([1.0, 4.0, 2.5, 0.3, 7.0])
    value, weights = average.weigh(losses)
    assert weights.sum() == pytest.approx(1)
    for run in range(5):
        moved = losses.copy()
        moved[run] += 1e-6
        assert (average.weigh(moved)[0] - value) / 1e-6 == pytest.approx(weights[run], abs=1e-4)


def test_averages_have_their_known_values():
    losses = np.array([[1.0, 4.0, 2.5, 0.3, 7.0]])
    assert LogMeanExp().weigh(losses)[0][0] == pytest.approx(-np.log(np.exp(-losses).mean()))
    # Of five runs the worst 30 % are one and a half.
    assert WorstShare(0.3).weigh(losses)[0][0] == pytest.approx((7 + 0.5 * 4) / 1.5)
    assert WorstShare(1.0).weigh(losses)[0][0] == pytest.approx(losses.mean())
    with pytest.raises(FittingError, match="worst share is 0"):
        WorstShare(0.0)


def test_a_journal_answers_what_it_has_been_asked(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"x": np.arange(3.0)}

    first = Journal(tmp_path / "fit", {"a": 1})
    first.answer("runs", np.ones(2), compute)
    second = Journal(tmp_path / "fit", {"a": 1})
    assert second.answer("runs", np.ones(2), compute)["x"].tolist() == [0, 1, 2]
    assert (len(calls), second.recalled) == (1, 1)
    third = Journal(tmp_path / "fit", {"a": 1})
    with pytest.raises(FittingError, match="answers another question"):
        third.answer("runs", np.zeros(2), compute)
    with pytest.raises(FittingError, match="its a is 1, here it is 2"):
        Journal(tmp_path / "fit", {"a": 2})
