"""The particle filter against a Kalman filter, a forward algorithm and runs that are certain."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import lpm
from lpm import Array, Float, Scalar
from lpm.errors import FittingError, ScenarioError, SimulationError
from lpm.fitting.filtering import particle_filter
from lpm.fitting.iterated import iterated_filtering
from lpm.fitting.losses import Series
from lpm.fitting.noise import NegativeBinomial, Poisson

ONE = lpm.Population.toy(1)


class Walk(lpm.Params):
    keep: Scalar = lpm.parameter(0.8, within=(0, 1))
    shock: Scalar = lpm.constant(0.5)
    blur: Scalar = lpm.constant(0.4)


class Level(lpm.State):
    level: Float[Array, " agent"]


def start(population, params, draw):
    return Level.of(population, level=draw.normal("agent"))


def drift(state, params, draw):
    return state.replace(level=params.keep * state.level + params.shock * draw.normal("agent"))


def see(state, params):
    return {"level": jnp.sum(state.level), "blur": params.blur}


linear = lpm.Scenario(start, (drift,), see, Walk(), steps=12)


@dataclass(frozen=True, eq=False)
class Normal:
    """Readings that scatter normally about the level."""

    target: np.ndarray
    observables: tuple[str, ...] = ("level", "blur")
    window: int = 1
    first: int = 0

    def expected(self, rows):
        return rows["level"][-1]

    def log_density(self, rows, target):
        return jax.scipy.stats.norm.logpdf(target, rows["level"][-1], rows["blur"][-1])


def kalman(target, keep, shock, blur):
    """Log-likelihood by period, and filtered means."""
    mean, variance, found, means = 0.0, 1.0, [], []
    for y in target:
        mean, variance = keep * mean, keep**2 * variance + shock**2
        if not np.isnan(y):
            found.append(stats.norm.logpdf(y, mean, np.sqrt(variance + blur**2)))
            gain = variance / (variance + blur**2)
            mean, variance = mean + gain * (y - mean), (1 - gain) * variance
        else:
            found.append(0.0)
        means.append(mean)
    return np.array(found), np.array(means)


LEVELS = np.array([0.3, 1.1, 0.9, np.nan, -0.4, -1.2, -0.6, 0.5, 0.1, np.nan, np.nan, 0.8])


SEEN = Normal(LEVELS)  # one object, so that its filter is compiled once


def test_a_linear_gaussian_filter_is_kalmans():
    found = particle_filter(linear, ONE, SEEN, particles=20_000, key=1)
    exact, means = kalman(LEVELS, 0.8, 0.5, 0.4)
    # Over thirty keys a period has a standard deviation of at most 0.0144, the sum of 0.032.
    assert found.per_period == pytest.approx(exact, abs=0.06)
    assert found.log_likelihood == pytest.approx(exact.sum(), abs=0.12)
    assert found.filtered[0].mean == pytest.approx(means, abs=0.02)
    assert found.effective[3] == 20_000
    assert (found.effective[[0, 5]] < 19_000).all()
    assert found.states.level.shape == (20_000, 1)


def test_the_filter_of_another_model_is_far_off():
    found = particle_filter(
        linear, ONE, SEEN, particles=20_000, key=1, params=Walk().replace(shock=1.5)
    )
    exact, wrong = (kalman(LEVELS, 0.8, shock, 0.4)[0].sum() for shock in (0.5, 1.5))
    assert found.log_likelihood == pytest.approx(wrong, abs=0.12)
    assert exact - wrong > 1


def test_bands_hold_what_they_say():
    found = particle_filter(linear, ONE, SEEN, particles=20_000, key=2)
    band = found.predicted[0]
    assert band.quantiles.shape == (12, 5)
    sd = np.sqrt(0.64 + 0.25)
    assert band.quantiles[0] == pytest.approx(
        stats.norm.ppf([0.05, 0.25, 0.5, 0.75, 0.95]) * sd, abs=0.04
    )


# A hidden Markov model: a machine that runs or is down, and makes few or many parts.
class Machine(lpm.Params):
    breaks: Scalar = lpm.parameter(0.3, within=(0, 1))
    mends: Scalar = lpm.constant(0.4)


class Running(lpm.State):
    up: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def switch_on(population, params, draw):
    return Running.of(population, up=draw.bernoulli(0.5, "agent"))


def wear(state, params, draw):
    fell = draw.bernoulli(state.up * params.breaks)
    rose = draw.bernoulli((1 - state.up) * params.mends)
    return state.replace(up=state.up - fell + rose)


def produce(state, params):
    return {"parts": 1 + 5 * jnp.sum(state.up)}


machine = lpm.Scenario(switch_on, (wear,), produce, Machine(), steps=8)
PARTS = np.array([5.0, 7, 1, 0, np.nan, 2, 6, 5])


def forward(target, breaks, mends):
    chance, total = np.array([0.5, 0.5]), 0.0
    turn = np.array([[1 - mends, mends], [breaks, 1 - breaks]])
    for y in target:
        chance = chance @ turn
        if not np.isnan(y):
            chance = chance * stats.poisson.pmf(y, [1.001, 6.001])
            total += np.log(chance.sum())
            chance = chance / chance.sum()
    return total


def test_the_likelihood_estimate_of_few_particles_is_unbiased():
    exact, series = forward(PARTS, 0.3, 0.4), Series("parts", PARTS, Poisson())
    found = [
        particle_filter(machine, ONE, series, particles=10, key=key).log_likelihood
        for key in range(300)
    ]
    ratio = np.exp(np.array(found) - exact)
    error = ratio.std(ddof=1) / np.sqrt(len(ratio))
    assert error < 0.05
    assert abs(ratio.mean() - 1) < 3 * error
    # Its logarithm is not, and a filter that resampled nothing would be this far off or more.
    assert np.mean(found) < exact
    assert abs(np.exp(forward(PARTS, 0.6, 0.4) - exact) - 1) > 3 * error


def test_a_filter_that_stopped_goes_on_bit_for_bit():
    series, stop = Normal(LEVELS), 5
    whole = particle_filter(linear, ONE, series, particles=301, key=3)
    part = particle_filter(linear, ONE, Normal(LEVELS[:stop]), particles=301, key=3)
    longer = part.resume(series)
    within = particle_filter(linear, ONE, series, particles=301, key=3, steps=1)
    within = within.resume(steps=8).resume()
    for other in (longer, within):
        assert np.array_equal(whole.per_period, other.per_period)
        assert np.array_equal(whole.effective, other.effective)
        assert np.array_equal(whole.filtered[0].quantiles, other.filtered[0].quantiles)
        assert all(
            np.array_equal(a, b)
            for a, b in zip(*map(jax.tree.leaves, (whole.states, other.states)), strict=True)
        )
    assert len(part.per_period) == stop


def test_copies_of_one_state_part_ways():
    """After a period that only one particle explains, all descend from it and yet differ."""
    sharp = Normal(np.array([1.0, np.nan]))
    params = Walk().replace(blur=1e-4)
    one = particle_filter(linear, ONE, sharp, particles=50, key=0, params=params, steps=1)
    assert len(np.unique(one.states.level)) < 5
    assert len(np.unique(one.resume().states.level)) == 50


# Nothing is drawn: a particle is the run, and its likelihood that of the series.
class Clock(lpm.State):
    ticks: Float[Array, " agent"]


def wind(population, params, draw):
    return Clock.of(population, ticks=0)


def tick(state, params, draw):
    return state.replace(ticks=state.ticks + 1)


def hear(state, params):
    ticks = jnp.sum(state.ticks)
    return {"ticks": ticks, "odd": ticks % 2, "both": jnp.stack([ticks, 2 * ticks])}


clock = lpm.Scenario(wind, (tick,), hear, Walk(), steps=24)


def certain():
    late = Series(
        "ticks", [9, np.nan, 30, 40], Poisson(), window=4, delay=(0.5, 0.2, 0.0, 0.0, 0.0, 0.3)
    )
    shares = Series(
        "both", [[5, 9], [np.nan, 20], [11, np.nan]], NegativeBinomial(4.0), window=6, first=2,
        reported=[0.5, 0.4, 0.3], weight=0.5,
    )  # fmt: skip
    return late, shares


def test_delays_shares_classes_and_two_frequencies_are_read_as_of_a_whole_run():
    run = lpm.simulate(clock, ONE, key=0)
    series = certain()
    wanted = [np.asarray(one.log_likelihood(run)) for one in series]
    found = particle_filter(clock, ONE, series, particles=3, key=0)
    rows = np.zeros(10)  # stretches of two rows; the last period ends at row 20
    rows[[1, 3, 5, 7]] += wanted[0]
    rows[[3, 6, 9]] += wanted[1]
    assert found.per_period == pytest.approx(rows, rel=1e-5)
    assert found.predicted[0].mean == pytest.approx(np.asarray(series[0].expected(run)), rel=1e-5)
    assert found.filtered[1].mean == pytest.approx(np.asarray(series[1].expected(run)), rel=1e-5)
    for stop in (4, 10):
        part = particle_filter(clock, ONE, series, particles=3, key=0, steps=stop).resume()
        assert np.array_equal(part.per_period, found.per_period)
        assert np.array_equal(part.predicted[1].mean, found.predicted[1].mean)


def test_rows_may_be_several_steps():
    run = lpm.simulate(clock, ONE, key=0, every=3)
    series = Series("ticks", [9, 30, 40], Poisson(), window=2)
    found = particle_filter(clock, ONE, series, particles=2, every=3)
    assert found.per_period == pytest.approx(np.asarray(series.log_likelihood(run)), rel=1e-5)
    assert int(found.states.t) == 18


def test_particles_in_batches_are_those_of_one(monkeypatch):
    series = Normal(LEVELS)
    whole = particle_filter(linear, ONE, series, particles=70, key=5)
    monkeypatch.setattr("lpm.fitting.periods.TOGETHER", 32)
    parts = particle_filter(linear, ONE, series, particles=70, key=5)
    assert parts.per_period == pytest.approx(whole.per_period, rel=1e-5)


def test_what_no_particle_explains_is_named():
    certain = Series("ticks", [1, 0, 3], Poisson(), background=0.0)

    def silent(state, params):
        return {"ticks": jnp.sum(state.ticks) * 0}

    quiet = clock.replace(observe=silent)

    @dataclass(frozen=True, eq=False)
    class Exact(Normal):
        observables: tuple[str, ...] = ("ticks",)

        def expected(self, rows):
            return rows["ticks"][-1]

        def log_density(self, rows, target):
            return jnp.where(rows["ticks"][-1] == target, 0.0, -jnp.inf)

    odd = Exact(np.array([0.0, 0, 4, 0]))
    with pytest.raises(FittingError, match="weight zero in period 2 of 'ticks', after 3 rows"):
        particle_filter(quiet, ONE, odd, particles=4)
    floored = particle_filter(quiet, ONE, odd, particles=4, floor=-10.0)
    assert floored.per_period == pytest.approx([0, 0, -10, 0])
    assert np.isfinite(particle_filter(quiet, ONE, certain, particles=4).log_likelihood)

    @dataclass(frozen=True, eq=False)
    class Broken(Exact):
        def log_density(self, rows, target):
            return jnp.log(target - 1)

    with pytest.raises(FittingError, match=r"log-density of nan in period 0 .* mend the law"):
        particle_filter(quiet, ONE, Broken(np.array([0.0, 4])), particles=4)


def test_a_variable_that_leaves_its_bounds_is_reported():
    def burst(state, params, draw):
        return state.replace(up=state.up + draw.bernoulli(0.5, "agent"))

    with pytest.raises(SimulationError, match=r"Running.up left .* in particle"):
        particle_filter(
            machine.replace(processes=(burst,)), ONE, Series("parts", PARTS, Poisson()),
            particles=16,
        )  # fmt: skip


GOOD = Series("parts", PARTS, Poisson())


@pytest.mark.parametrize(
    ("series", "changes", "message"),
    [
        (GOOD, {"particles": 1}, "particles = 1"),
        (GOOD, {"floor": 2.0}, "floor = 2.0"),
        (GOOD, {"steps": 9}, "not beyond"),
        (Series("parts", PARTS, window=2), {"steps": 3}, "multiple"),
        (Series("parts", [np.nan, 1]), {"steps": 1}, "nothing was published"),
        (GOOD, {"params": Walk()}, "takes Machine"),
        (GOOD, {"params": Machine().replace(breaks=[0.1, 0.2])}, "several variants"),
        (GOOD, {"key": jax.random.split(jax.random.key(0), 2)}, "one key"),
        ((), {}, "no series"),
        (PARTS, {}, "ndarray"),
        (Series("part", PARTS), {}, "did you mean"),
        (Series("parts", PARTS[:, None]), {}, r"target of 'parts' is \[8, 1\]"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(series, changes, message, monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr("lpm.fitting.periods.advance_swarm", never)
    with pytest.raises((FittingError, ScenarioError), match=message):
        particle_filter(machine, ONE, series, **changes)


def test_a_filter_goes_on_only_with_its_own_series():
    found = particle_filter(machine, ONE, GOOD, particles=8)
    with pytest.raises(FittingError, match="has done 8 periods"):
        found.resume()
    with pytest.raises(FittingError, match="same series made longer"):
        found.resume(Series("parts", PARTS, Poisson(), window=2))


def test_iterated_filtering_climbs_to_the_likeliest_value():
    rng = np.random.default_rng(1)  # noqa: TID251 - data from outside the model
    level, seen = 0.0, []
    for _ in range(100):
        level = 0.95 * level + 0.5 * rng.normal()
        seen.append(level + 0.4 * rng.normal())
    grid = np.linspace(0.02, 0.98, 97)
    exact = np.array([kalman(seen, keep, 0.5, 0.4)[0].sum() for keep in grid])
    found = iterated_filtering(
        linear, ONE, Normal(np.array(seen)), particles=300, iterations=25, key=4,
        params=Walk().replace(keep=0.15), spread=0.1, cooling=0.02,
    )  # fmt: skip
    assert found.trace["keep"].shape == found.log_likelihoods.shape == (25,)
    reached = kalman(seen, float(found.params.keep), 0.5, 0.4)[0].sum()
    assert exact.max() - reached < 0.3
    assert exact.max() - kalman(seen, 0.15, 0.5, 0.4)[0].sum() > 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 0}, "iterations = 0"),
        ({"cooling": 0.0}, "cooling = 0"),
        ({"spread": {"kep": 0.1}}, "kep"),
        ({"spread": -1.0}, "above 0"),
        ({"initial": ("shock",)}, "shock"),
        ({"fields": ("shock",)}, "is a constant"),
        ({"params": Walk().replace(keep=0.0)}, "starts on its bound"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises((FittingError, ScenarioError), match=message):
        iterated_filtering(linear, ONE, Normal(LEVELS), **changes)
