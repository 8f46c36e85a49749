"""The Gaussian process that a search for a policy may follow."""

from functools import partial

import numpy as np
import pytest
from scipy import special

from lpm.fitting.chance import generator_for
from lpm.fitting.surrogate import Region, best_of, learn_surrogate, propose
from lpm.launch import key_words
from tests.test_policies import TARGET, quadratic, solve

WORDS = key_words([0])


def rng_for(purpose):
    return generator_for(WORDS, purpose)


def bowl(x):
    return ((x - 0.5) ** 2).sum(axis=1) + 0.3 * np.sin(3 * x[:, 0])


@pytest.fixture
def known():
    rng = rng_for("points")
    x = rng.uniform(-1.5, 1.5, (40, 3))
    return x, bowl(x) + 0.05 * rng.standard_normal(40)


def test_mean_and_spread_are_those_of_the_normal_law_given_the_values(known):
    """Against the conditional law of one joint normal vector, entry by entry."""
    x, y = known
    noisy = np.linspace(0.5, 2, len(x))
    found = learn_surrogate(x, y, noisy)
    slope, height, length, noise = np.exp(found.logs)
    new = np.array([[0.1, -0.4, 0.9], [1.2, 1.2, -1.2]])
    whole = np.concatenate([x, new])
    joint = np.empty((len(whole), len(whole)))
    for i, a in enumerate(whole):
        for j, b in enumerate(whole):
            far = sum((u - v) ** 2 for u, v in zip(a, b, strict=True))
            joint[i, j] = 100 + slope**2 * float(a @ b)
            joint[i, j] += height**2 * np.exp(-far / (2 * 3 * length**2))
    seen, rest = slice(0, len(x)), slice(len(x), None)
    inner = joint[seen, seen] + np.diag(noise**2 * noisy + 1e-8)
    scaled = (y - y.mean()) / y.std()
    mean = joint[rest, seen] @ np.linalg.inv(inner) @ scaled
    left = joint[rest, rest] - joint[rest, seen] @ np.linalg.inv(inner) @ joint[seen, rest]
    assert found.mean(new) == pytest.approx(y.mean() + y.std() * mean, abs=1e-6)
    assert found.spread(new) == pytest.approx(y.std() * np.sqrt(np.diag(left)), rel=1e-4)


def test_noise_and_surface_are_told_apart(known):
    x, y = known
    smooth = learn_surrogate(x, bowl(x), np.ones(len(x)))
    noisy = learn_surrogate(x, bowl(x) + 2 * (y - bowl(x)) / 0.05, np.ones(len(x)))
    assert np.exp(smooth.logs[3]) < 0.1
    assert np.exp(noisy.logs[3]) > 0.5


def test_proposals_of_one_round_differ_and_lie_in_the_box(known):
    x, y = known
    region = Region.about(x, np.copy)
    found = learn_surrogate(region.scaled(x), y, np.ones(len(x)))
    more = propose(found, region, x, rng_for("proposals"), 4)
    margin = 0.2 * x.std(axis=0) + 1e-9
    assert (more >= x.min(axis=0) - margin).all()
    assert (more <= x.max(axis=0) + margin).all()
    gaps = np.linalg.norm(more[:, None] - more, axis=2)
    assert gaps[~np.eye(4, dtype=bool)].min() > 1e-3


def test_a_few_rounds_find_the_bottom_that_random_points_miss():
    """25 points of 3 numbers, then 24 chosen; the control draws all 49."""
    rng = rng_for("search")
    x = rng.uniform(-1.5, 1.5, (25, 3))
    region, y = Region.about(x, np.copy), bowl(x)

    def learn():
        return learn_surrogate(region.scaled(x), y, np.ones(len(x)))

    for _ in range(6):
        more = propose(learn(), region, x, rng, 4)
        x, y = np.concatenate([x, more]), np.append(y, bowl(more))
    best = bowl(best_of(learn(), region, x, rng, 1))[0]
    grid = np.stack(np.meshgrid(*[np.linspace(-1.5, 1.5, 121)] * 3), axis=-1).reshape(-1, 3)
    lowest, control = bowl(grid).min(), bowl(rng.uniform(-1.5, 1.5, (49, 3))).min()
    assert best - lowest < 0.02
    assert control - lowest > 0.05


def test_numbers_that_mean_the_same_policy_are_one_point():
    """Shares by softmax: all numbers raised alike. The numbers themselves are the control."""
    rng = rng_for("shares")
    z = rng.normal(size=(30, 4))
    gain = (special.softmax(z, axis=1) ** 2).sum(axis=1)
    lifted = z + rng.normal(size=(30, 1))
    for view, same in [(partial(special.softmax, axis=1), True), (np.copy, False)]:
        region = Region.about(z, view)
        found = learn_surrogate(region.scaled(z), gain, np.ones(len(z)))
        expected, other = (found.mean(region.scaled(x)) for x in (z, lifted))
        assert np.allclose(expected, other, atol=1e-9) == same


def test_a_number_that_moves_by_rounding_alone_is_no_distance():
    z = rng_for("still").normal(size=(30, 2))
    region = Region.about(z, lambda x: np.c_[x[:, 0], 7 + 1e-7 * x[:, 1]])
    assert np.ptp(region.scaled(z)[:, 1]) < 1e-5
    assert region.scaled(z)[:, 0].std() == pytest.approx(1)


def test_optimise_finds_the_top_of_a_quadratic_by_it(town, keys):
    found = solve(town, keys, quadratic, estimator="surrogate", budget=400)
    assert found.estimator == "surrogate"
    assert found.against_random.verdict == "better"
    assert np.asarray(found.params.plan) == pytest.approx(TARGET, abs=0.05)
