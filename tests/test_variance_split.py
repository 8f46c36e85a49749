"""The split of an outcome's variance: by hand, unbiased, covered, and for real runs."""

import jax
import numpy as np
import polars as pl
import pytest

import lpm
from lpm.analysis.components import crossed, nested
from lpm.analysis.variance_split import split_independent, split_values, split_variance, tell_split
from lpm.command.scenarios import load
from lpm.errors import DataError, SimulationError
from lpm.population.seeds import generator
from lpm.trajectory import Provenance, Trajectory

TRUE = {"p": 3.0, "v": 2.0, "pv": 1.0, "r": 1.5, "pr": 0.5, "vr": 0.7, "pvr": 1.2}
SPLIT = np.array([3.0, 2.0, 1.0, 1.5 + 0.5 + 0.7 + 1.2])


def effects(rng, sizes, own_keys=False):
    """Normal effects of known variances; with `own_keys` no run's luck is shared."""
    y = np.zeros(sizes)
    for names, variance in TRUE.items():
        letters = names if not (own_keys and "r" in names) else "pvr"
        shape = [n if a in letters else 1 for a, n in zip("pvr", sizes, strict=True)]
        y = y + np.sqrt(variance) * rng.normal(size=shape)
    return y


def made(values, lead) -> Trajectory:
    observed = {"cases": np.stack([0 * values, values], axis=-1)}
    return Trajectory(
        time=np.array([1, 2]),
        observed=observed,
        state=None,
        faults={},
        snapshots={},
        log_probability=np.zeros(1),
        plain=observed,
        lead=lead,
        source=Provenance({}),
    )


def column(split, name="raw") -> np.ndarray:
    return split[name].to_numpy()


def estimates(design, y) -> np.ndarray:
    found = design(y, ("population", "variant", "run"))
    return found.weights @ found.means


def test_two_axes_by_hand():
    y = np.array([[1.0, 2.0, 6.0], [3.0, 7.0, 8.0]])
    split = split_values(y, ("variant", "run"))
    # Means 3 and 6 (rows), 2, 4.5 and 7 (columns), 4.5 of all.
    rows, columns = 3 * 2 * 1.5**2, 2 * (2.5**2 + 2.5**2) / 2
    rest = np.sum((y - [[3], [6]] - np.array([2, 4.5, 7]) + 4.5) ** 2) / 2
    luck = (columns - rest) / 2 + rest
    assert column(split) == pytest.approx([(rows - rest) / 3, luck])
    assert split["source"].to_list() == ["parameters", "luck"]
    assert column(split, "share").sum() == pytest.approx(1)


def test_three_axes_agree_with_the_textbook_formulas():
    y = effects(generator(3), (4, 3, 5))
    mean = {
        names: y.mean(axis=tuple(i for i, a in enumerate("pvr") if a not in names), keepdims=True)
        for names in ("", "p", "v", "r", "pv", "pr", "vr")
    }
    p = 15 * np.sum((mean["p"] - mean[""]) ** 2) / 3
    pv = 5 * np.sum((mean["pv"] - mean["p"] - mean["v"] + mean[""]) ** 2) / 6
    pr = 3 * np.sum((mean["pr"] - mean["p"] - mean["r"] + mean[""]) ** 2) / 12
    rest = y - mean["pv"] - mean["pr"] - mean["vr"] + mean["p"] + mean["v"] + mean["r"] - mean[""]
    e = np.sum(rest**2) / 24
    split = split_values(y)
    assert column(split)[0] == pytest.approx((p - pv - pr + e) / 15)
    assert column(split)[2] == pytest.approx((pv - e) / 5)
    found = crossed(y, ("population", "variant", "run"))
    assert found.freedom.sum() == y.size - 1
    assert found.means @ found.freedom == pytest.approx(np.sum((y - y.mean()) ** 2))


@pytest.mark.parametrize("own_keys", [False, True])
def test_estimates_are_unbiased(own_keys):
    rng = generator(4)
    design = nested if own_keys else crossed
    found = np.array([estimates(design, effects(rng, (4, 3, 5), own_keys)) for _ in range(400)])
    error = found.std(axis=0) / 20
    # Four numbers, each beyond four errors in 1 of 15,000 draws.
    assert np.all(np.abs(found.mean(axis=0) - SPLIT) < 4 * error), (found.mean(axis=0), error)


def test_taking_shared_keys_for_independent_ones_is_biased():
    rng = generator(5)
    found = [estimates(nested, effects(rng, (4, 3, 5))) for _ in range(400)]
    # The run's own effect within cells is no part of the mean square of pairs: -1.5/5 and more.
    assert np.mean(found, axis=0)[2] < SPLIT[2] - 0.25


@pytest.mark.gate
def test_intervals_cover_the_true_shares():
    rng, truth = generator(6), SPLIT / SPLIT.sum()
    inside, spread, errors = [], [], []
    for _ in range(400):
        split = split_values(effects(rng, (8, 6, 7)))
        inside.append((column(split, "low") <= truth) & (truth <= column(split, "high")))
        spread.append(column(split, "share"))
        errors.append(column(split, "standard_error"))
    # 90% of 400 within four binomial errors.
    assert np.all(np.abs(np.mean(inside, axis=0) - 0.9) < 0.06)
    ratio = np.mean(errors, axis=0) / np.std(spread, axis=0)
    assert np.all((ratio > 0.9) & (ratio < 2))


def test_a_source_without_effect_has_no_share():
    y = generator(7).normal(size=(6, 5, 40))
    split = split_values(y)
    assert column(split)[3] == pytest.approx(1, abs=0.2)
    assert np.all(column(split, "share")[:3] < 0.05)
    assert np.all(column(split, "low")[:3] == 0)
    assert (split["raw"] < 0).any()
    assert (split["variance"] >= 0).all()


def test_independent_runs_are_split_as_the_components_say():
    y = effects(generator(12), (4, 3, 5), own_keys=True)
    split = split_independent(y)
    assert column(split) == pytest.approx(estimates(nested, y))
    assert column(split)[3] == pytest.approx(np.mean(np.var(y, axis=2, ddof=1)))


def test_the_scale_widens_what_differs_between_populations():
    y = effects(generator(8), (5, 4, 6))
    plain, wide = split_values(y), split_values(y, population_scale=4.0)
    assert column(wide) == pytest.approx(column(plain) * [4, 1, 4, 1])


def test_single_levels_are_left_out():
    y = effects(generator(9), (5, 1, 6))
    split = split_values(y)
    assert split["source"].to_list() == ["who lives there", "luck"]
    assert column(split) == pytest.approx(column(split_values(y[:, 0], ("population", "run"))))


def test_two_levels_have_an_interval_but_no_jackknife():
    split = split_values(effects(generator(10), (2, 2, 2)))
    assert split["standard_error"].is_nan().all()
    assert split["high"].is_finite().all()


def test_a_split_is_told_in_a_sentence():
    y = np.zeros((3, 3, 3)) + np.array([0.0, 1.0, 2.0])[:, None, None]
    split = split_variance(made(y, ("population", "variant", "run")))
    told = tell_split(split)
    assert told.startswith("Of the variance of cases, 100% is who lives there (100% to 100%)")
    assert split.columns[0] == "outcome"
    flat = made(np.zeros((3, 3)), ("variant", "run"))
    assert tell_split(split_variance(flat)) == (
        "The variance of cases is zero: there is nothing to split."
    )
    twice = {"double": lambda run: 2 * run.observed["cases"][..., 1]}
    double = split_variance(made(y, ("population", "variant", "run")), twice)
    assert column(double) == pytest.approx(4 * column(split))


def test_runs_of_a_real_scenario_are_split():
    sir = load("sir").scenario
    params = sir.params.replace(
        beta_home=np.array([0.02, 0.3, 1.5], np.float32), seeded=np.float32(0.05)
    )
    towns = [lpm.Population.toy(n, seed=s) for s, n in enumerate((120, 150, 200))]
    runs = lpm.ensemble(sir, towns, keys=jax.random.split(jax.random.key(1), 4), params=params,
                        steps=20)  # fmt: skip
    assert runs.lead == ("population", "variant", "run")
    frame = runs.frame()
    assert frame.columns[:4] == ["population", "variant", "run", "day"]
    assert frame.height == 3 * 3 * 4 * 20
    assert not frame.select("population", "variant", "run", "day").is_duplicated().any()
    alone = lpm.simulate(
        sir, towns[2], key=jax.random.split(jax.random.key(1), 4)[3], steps=20,
        params=params.replace(beta_home=np.float32(0.3)),
    )  # fmt: skip
    assert runs.observed["attack_rate"][2, 1, 3, -1] == alone.observed["attack_rate"][-1]
    split = split_variance(runs, ["attack_rate"])
    parameters = split.filter(pl.col("source") == "parameters")
    assert parameters["share"].item() > 0.3
    assert "Of the variance of attack rate" in tell_split(split)


def test_the_same_people_twice_have_no_part_in_the_variance():
    sir = load("sir").scenario
    town = lpm.Population.toy(100)
    runs = lpm.ensemble(
        sir, [town, town, town], keys=[0, 1, 2], steps=10,
        params=sir.params.replace(seeded=np.array([0.05, 0.2], np.float32)),
    )  # fmt: skip
    split = split_variance(runs, ["attack_rate"])
    assert column(split)[0] == pytest.approx(0, abs=1e-12)
    assert column(split, "share")[1] > 0.5


def test_bad_input_is_refused():
    y = effects(generator(11), (3, 3, 3))
    with pytest.raises(DataError, match=r"no axis \[town\]; it has \[population, variant, run\]"):
        split_values(y, ("town", "variant", "run"))
    with pytest.raises(DataError, match="values have shape"):
        split_values(y, ("variant", "run"))
    with pytest.raises(DataError, match="1 values are not finite"):
        split_values(np.where(np.arange(27).reshape(3, 3, 3) == 4, np.nan, y))
    with pytest.raises(DataError, match="luck needs two runs or more"):
        split_values(y[:, :, :1])
    with pytest.raises(DataError, match="only the runs differ"):
        split_values(y[0, 0], ("run",))
    with pytest.raises(SimulationError, match=r"no scalar observable \[deaths\]; it has \[cases\]"):
        split_variance(made(y, ("population", "variant", "run")), ["deaths"])
    with pytest.raises(DataError, match="no outcome to split"):
        split_variance(made(y, ("population", "variant", "run")), {})
