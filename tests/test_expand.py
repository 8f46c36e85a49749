"""People from counts: households stay whole and together, quarters in units, columns compact."""

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from lpm.errors import DataError
from lpm.population import Population
from lpm.population.drawing import draw_people
from lpm.population.expand import compact, read_roster
from lpm.population.integers import Counts
from lpm.population.sample import Sample
from lpm.population.seeds import generator
from lpm.population.weighting.problem import Fitted, Level, Problem

COLUMNS = ("age", "sex", "income", "tenure", "rooms")


def survey(households=60, quarters=20, prefix="h"):
    """A made-up survey; the name of a household says nothing but its prefix."""
    rng = generator(1)
    size = rng.integers(1, 6, households)
    names = [f"{prefix}{i:03}" for i in range(households)]
    homes = pl.DataFrame(
        {
            "household_id": names,
            "area": ["a"] * households,
            "weight": np.ones(households),
            "tenure": [["own", "rent"][i % 2] for i in range(households)],
            "rooms": rng.integers(1, 9, households),
        }
    )
    people = int(size.sum())
    order = rng.permutation(people)
    persons = pl.DataFrame(
        {
            "household_id": np.repeat(names, size),
            "person_number": np.arange(people) - np.repeat(np.cumsum(size) - size, size) + 1,
            "weight": np.ones(people),
            "age": rng.integers(0, 90, people),
            "sex": pl.Series(rng.choice(["m", "f"], people), dtype=pl.Enum(["m", "f"])),
            "income": rng.integers(0, 90_000, people).astype(float),
        }
    )[order]
    outside = pl.DataFrame(
        {
            "household_id": [f"q{i}" for i in range(quarters)],
            "area": ["a"] * quarters,
            "person_number": [1] * quarters,
            "weight": np.ones(quarters),
            "age": rng.integers(18, 90, quarters),
            "sex": pl.Series(rng.choice(["m", "f"], quarters), dtype=pl.Enum(["m", "f"])),
            "income": np.zeros(quarters),
            "kind": ["institutional" if i % 2 else "other" for i in range(quarters)],
        }
    )
    return Sample(homes, persons, outside, provenance=("made up",))


def fitted(weights, zones, target=None):
    """What fitting would answer: one control, the number of records."""
    ones = np.ones((weights.shape[1], 1))
    target = weights.sum(1, keepdims=True) if target is None else target
    level = Level(
        "zone", zones, ("records",), ones, target, np.zeros_like(target), np.arange(len(zones))
    )
    problem = Problem(np.ones(weights.shape[1]), (level,))
    return Fitted(problem, weights, np.zeros(len(zones)), pl.DataFrame(), pl.DataFrame())


def two_parts(sample, seed=2):
    """Two areas of two zones each; the second draws from every other record."""
    rng = generator(seed)
    parts = []
    for zones, records in (
        (("n1", "s2"), np.arange(sample.num_records)),
        (("a3", "z4"), np.arange(0, sample.num_records, 2)),
    ):
        weights = rng.gamma(0.8, 3.0, (2, len(records)))
        home = records < sample.households.height
        for part in (home, ~home):
            total = weights[:, part].sum(1, keepdims=True)
            weights[:, part] *= np.rint(total) / total
        parts.append((records, fitted(weights, zones)))
    return parts


@pytest.fixture(scope="module")
def sample():
    return survey()


@pytest.fixture(scope="module")
def people(sample):
    return draw_people(sample, two_parts(sample), COLUMNS, 5, quarters_by=["kind"])


def test_every_household_is_one_of_the_survey(sample, people):
    def described(frame, by):
        ordered = frame.sort(by, "age", "sex", "income")
        key = pl.concat_str("age", "sex", "income", "tenure", "rooms", separator=" ")
        return ordered.group_by(by).agg(key.str.join("; "))["age"]

    asked = sample.persons.join(sample.households, on="household_id")
    asked = asked.with_columns(pl.col("sex").cast(pl.String), pl.col("income").cast(pl.Float32))
    drawn = people.frame().filter(pl.col("household_id") >= 0)
    drawn = drawn.with_columns(pl.col("sex", "tenure").cast(pl.String))
    known = set(described(asked, "household_id"))
    assert set(described(drawn, "household_id")) <= known


def test_households_lie_together_in_zones_and_quarters_come_last(people):
    home, zone = people["household_id"], people["zone_id"]
    inside = home >= 0
    assert np.all(np.diff(inside.astype(int)) <= 0)
    assert np.all(np.isin(np.diff(home[inside]), (0, 1)))
    assert np.all(np.diff(zone[inside]) >= 0)
    assert np.all(np.diff(zone[inside])[np.diff(home[inside]) == 0] == 0)
    assert people.labels["zone_id"] == ("a3", "n1", "s2", "z4")


def test_zones_hold_as_many_households_as_their_weights(sample, people):
    home, zone = people["household_id"], people["zone_id"]
    first = np.flatnonzero((np.diff(home, prepend=-1) != 0) & (home >= 0))
    names = people.labels["zone_id"]
    for records, answer in two_parts(sample):
        at_home = records < sample.households.height
        for name, row in zip(answer.problem.zones, answer.weights, strict=True):
            where = names.index(name)
            assert np.sum(zone[first] == where) == round(row[at_home].sum())
            assert np.sum((zone == where) & (home == -1)) == round(row[~at_home].sum())


def test_quarters_are_units_of_one_zone_kind_and_age_class():
    sample = survey(quarters=400)
    persons = sample.persons.with_columns(kind=pl.lit("home"))
    sample = Sample(sample.households, persons, sample.quarters)
    weights = np.ones((1, sample.num_records)) * 2
    parts = [(np.arange(sample.num_records), fitted(weights, ("only",)))]
    people = draw_people(sample, parts, ("age", "kind"), 1, quarters_by=["kind"])
    unit = people["quarters_id"]
    there = unit >= 0
    assert np.array_equal(there, people["household_id"] == -1)
    sizes = np.bincount(unit[there])
    assert sizes.mean() == pytest.approx(20, abs=2)
    assert sizes.max() <= 30
    frame = people.frame().filter(pl.col("quarters_id") >= 0)
    klass = (pl.col("age") >= 18).cast(int) + (pl.col("age") >= 65).cast(int)
    mixed = frame.group_by("quarters_id").agg(klass.n_unique(), pl.col("kind").n_unique())
    assert mixed["age"].max() == mixed["kind"].max() == 1


def test_same_seed_same_people_whatever_the_order_of_zones_and_names(sample, people):
    parts = two_parts(sample)
    turned = []
    for records, answer in reversed(parts):
        zones = answer.problem.zones[::-1]
        turned.append((records, fitted(answer.weights[::-1], zones)))
    again = draw_people(sample, turned, COLUMNS, 5, quarters_by=["kind"])
    assert again.fingerprint == people.fingerprint
    renamed = survey(prefix="zz")
    assert (
        draw_people(renamed, parts, COLUMNS, 5, quarters_by=["kind"]).fingerprint
        == people.fingerprint
    )
    assert draw_people(sample, parts, COLUMNS, 6).fingerprint != people.fingerprint


def test_counts_may_be_given(sample):
    one = np.array([0])
    parts = [(np.arange(sample.num_records), fitted(np.ones((1, sample.num_records)), ("x",)))]
    counts = Counts(one, np.array([3]), np.array([7]), 1)
    people = draw_people(sample, parts, COLUMNS, 0, counts=[counts])
    assert people["household_id"].max() == 6
    with pytest.raises(DataError, match="2 sets of counts were given for 1 parts"):
        draw_people(sample, parts, COLUMNS, 0, counts=[counts, counts])
    nobody = Counts(one[:0], one[:0], one[:0], 1)
    with pytest.raises(DataError, match="nobody was drawn"):
        draw_people(sample, parts, COLUMNS, 0, counts=[nobody])


def test_columns_are_kept_narrow_and_read_wide(people):
    kept = people.arrays()
    assert (kept["age"].dtype, kept["sex"].dtype, kept["rooms"].dtype) == (np.int8,) * 3
    assert people["age"].dtype == people.host("age").dtype == np.int32
    assert people.frame()["age"].dtype == pl.Int32
    assert people["income"].dtype == np.float32
    assert people["age"].max() * 200 > 2**7
    seen = jax.jit(lambda arrays: people.view(arrays)["age"] * 200)(kept)
    assert seen.dtype == jnp.int32
    np.testing.assert_array_equal(seen, people["age"] * 200)
    wide = Population({"age": people["age"], "household_id": people["household_id"]})
    thin = Population({"age": kept["age"], "household_id": people["household_id"]})
    assert thin.fingerprint == wide.fingerprint
    assert thin.with_capacity(thin.size + 3).arrays()["age"].dtype == np.int8
    assert people.labels["sex"] == ("m", "f")


def test_group_quarters_have_no_household_columns(people):
    frame = people.frame()
    outside = frame.filter(pl.col("household_id") == -1)
    assert set(outside["tenure"]) == {"none"}
    assert outside["rooms"].max() == 0
    assert "none" not in set(frame.filter(pl.col("household_id") >= 0)["tenure"])


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 127], np.int8),
        ([-129, 5], np.int16),
        ([40_000], np.int32),
        ([1.5], np.float32),
        ([True, False], np.bool_),
        (["b", None, "a"], np.int8),
    ],
)
def test_columns_take_the_narrowest_type(values, dtype):
    found, names = compact(pl.Series("x", values))
    assert found.dtype == dtype
    if names:
        assert [names[code] for code in found] == ["b", "none", "a"]


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (pl.Series("x", [1, None]), "'x' has 1 missing values"),
        (pl.Series("x", [1.0, np.nan]), "not finite; fill them before drawing"),
        (pl.Series("x", [2**40]), "beyond 32 bits"),
        (pl.Series("x", [[1]]), "give numbers or text"),
    ],
)
def test_columns_that_cannot_be_kept_say_why(series, message):
    with pytest.raises(DataError, match=message):
        compact(series)


def test_bad_samples_and_columns_are_refused(sample):
    with pytest.raises(DataError, match=r"households has no column \[floor\]"):
        read_roster(sample, ["floor"])
    with pytest.raises(DataError, match=r"columns \[weight\] are the survey's own"):
        read_roster(sample, ["weight"])
    homes = sample.households.with_columns(age=pl.lit(1))
    with pytest.raises(DataError, match=r"columns \[age\] are in persons and in households"):
        read_roster(Sample(homes, sample.persons, sample.quarters), ["age"])
    vacant = sample.persons.filter(pl.col("household_id") != "h007")
    with pytest.raises(DataError, match=r"1 households have no persons, the first .* = h007"):
        read_roster(Sample(sample.households, vacant, sample.quarters), ["age"])
    with pytest.raises(DataError, match=r"quarters has no column \[ward\]"):
        draw_people(sample, two_parts(sample), COLUMNS, 0, quarters_by=["ward"])


def test_bad_parts_are_refused(sample):
    records, answer = two_parts(sample)[0]
    with pytest.raises(DataError, match="no parts were given"):
        draw_people(sample, [], COLUMNS, 0)
    with pytest.raises(DataError, match=r"zones \[n1, s2\] are in two parts"):
        draw_people(sample, [(records, answer)] * 2, COLUMNS, 0)
    with pytest.raises(DataError, match="record 81 is not in the sample; its 80 records"):
        draw_people(sample, [(records + 2, answer)], COLUMNS, 0)
    with pytest.raises(DataError, match=r"weights of zone n1 are \[2, 80\]; there are 2 zones and"):
        draw_people(sample, [(records[:5], answer)], COLUMNS, 0)
    weights = answer.weights.copy()
    weights[1] = 0
    empty = fitted(weights, ("n1", "s2"), target=np.array([[5.0], [9.0]]))
    with pytest.raises(DataError, match="zone s2 has totals up to 9 but no record with a weight"):
        draw_people(sample, [(records, empty)], COLUMNS, 0)
    nothing = fitted(weights, ("n1", "s2"), target=np.array([[5.0], [0.0]]))
    assert draw_people(sample, [(records, nothing)], COLUMNS, 0).num_groups("zone_id") == 1
    weights[0, 0] = -1
    with pytest.raises(DataError, match=r"weight -1.0 of record 0 in zone"):
        draw_people(sample, [(records, fitted(weights, ("n1", "s2")))], COLUMNS, 0)
