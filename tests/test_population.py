"""Population: columns, capacity, groups, reading frames, and what it tells on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from lpm.errors import DataError, ScenarioError
from lpm.networks import Graph, Lattice
from lpm.population import Population

PERSONS = {
    "household_id": ["b", "a", "b", "a", "c"],
    "age": [40.0, 35.0, 8.0, 3.0, 70.0],
    "sex": ["m", "f", "f", "f", "m"],
    "person_id": [50, 40, 30, 20, 10],
}
HOMES = {"household_id": ["a", "b", "c"], "rooms": [3, 4, 1]}


@pytest.fixture(scope="module")
def family():
    return Population.from_frame(PERSONS, HOMES, capacity=8)


def test_columns_are_padded_with_zero_and_ids_with_none():
    people = Population({"age": [3, 4.5], "household_id": [0, 0], "well": [True, True]}, capacity=4)
    assert people["age"].tolist() == [3, 4.5, 0, 0]
    assert people["age"].dtype == np.float32
    assert people["household_id"].tolist() == [0, 0, -1, -1]
    assert people["household_id"].dtype == np.int32
    assert people["well"].tolist() == [True, True, False, False]
    assert people.alive.tolist() == [True, True, False, False]
    assert people.slot.tolist() == [0, 1, 2, 3]
    assert (people.size, people.capacity, len(people)) == (2, 4, 2)
    assert "age" in people
    assert "agee" not in people


def test_a_misspelt_column_is_told_what_there_is(town):
    with pytest.raises(DataError, match=r"population has no column 'agee'; it has \['age', .*age"):
        town["agee"]


def test_groups_only_of_id_columns(town):
    groups = town.groups("household_id")
    assert groups.num_groups == town.num_groups("household_id") == town["household_id"].max() + 1
    with pytest.raises(DataError, match="no group column 'age'"):
        town.groups("age")
    with pytest.raises(DataError, match="no group column 'age'"):
        town.num_groups("age")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "at least one column"),
        ({"age": []}, "at least one person"),
        ({"age": [1, 2], "sex": [1]}, "'age' has 2 rows, but"),
        ({"age": [[1], [2]]}, "one value a person"),
        ({"age": [1.0, np.nan, np.nan]}, "'age' has 2 missing values, the first in row 1"),
        ({"age": [1.0, np.inf]}, "age = inf in row 1 is not finite"),
        ({"age": ["a"]}, "not numbers; read it with Population.from_frame"),
        ({"income": [2**40]}, "does not fit 32 bits"),
        ({"household_id": [0, -2]}, "household_id = -2 in row 1 is no id"),
        ({"household_id": [0, 0.5]}, "household_id = 0.5 in row 1 is no whole number"),
        ({"household_id": [0, 2_000_000]}, "far above the 2 people; renumber"),
        ({"alive": [1]}, r"\[alive\] are taken"),
    ],
)
def test_bad_columns_say_name_value_and_row(columns, message):
    with pytest.raises(DataError, match=message):
        Population(columns)


def test_capacity_and_slot_are_checked():
    with pytest.raises(DataError, match="capacity 1 is below the 2 people"):
        Population({"age": [1, 2]}, capacity=1)
    with pytest.raises(DataError, match=r"each of 0 \.\. 1 once"):
        Population({"age": [1, 2]}, slot=[0, 0])


def test_more_room_changes_nobody(town):
    roomy = town.with_capacity(80)
    assert roomy.capacity == 80
    assert roomy.fingerprint == town.fingerprint
    assert town.with_capacity(80) is roomy
    assert town.with_capacity(64) is town
    for name in town.columns:
        assert np.array_equal(roomy[name][:64], town[name])


def test_frames_put_households_together_and_keep_who_is_who(family):
    assert family["household_id"].tolist() == [0, 0, 1, 1, 2, -1, -1, -1]
    assert family["age"].tolist() == [35, 3, 40, 8, 70, 0, 0, 0]
    assert family["rooms"].tolist() == [3, 3, 4, 4, 1, 0, 0, 0]
    assert family.slot.tolist() == [1, 3, 0, 2, 4, 5, 6, 7]
    assert family.labels == {"sex": ("f", "m")}
    assert family.rows([0, 4, 3]).tolist() == [2, 4, 1]
    assert "person_id" not in family


def test_a_frame_comes_back_as_it_went_in(family):
    frame = family.frame()
    assert frame["sex"].to_list() == ["f", "f", "m", "f", "m"]
    again = Population.from_frame(frame.drop("slot"))
    assert again.labels == family.labels
    assert again["sex"].tolist() == family["sex"][:5].tolist()


def test_frames_may_be_lazy_and_columns_chosen():
    people = Population.from_frame(pl.LazyFrame(PERSONS), columns=["age"])
    assert people.columns == ("age",)
    assert people.slot.tolist() == [1, 3, 0, 2, 4]


def test_ids_are_renumbered_in_their_order_and_none_stays_last():
    frame = {"household_id": [900_000_000_000, -1, 7, 7], "school_id": [-1, 5, 5, 90]}
    people = Population.from_frame(frame)
    assert people["household_id"].tolist() == [0, 0, 1, -1]
    assert people["school_id"].tolist() == [0, 1, -1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": [1.0, None, 2, 3, 4]}, "'age' has 1 missing values, the first in row 1; fill"),
        ({"age": [1.0, 2, float("nan"), 3, 4]}, "'age' has 1 missing values, the first in row 2"),
        ({"household_id": ["a", "a", None, "a", "b"]}, "not in households|write -1 for none"),
        ({"person_id": [1, 2, 3, 1, 4]}, "persons has person_id = 1 again in row 3"),
        ({"household_id": ["a", "z", "z", "b", "c"]}, "2 persons .* household_id = z in row 1"),
        ({"household_id": [1, 2, 3, 4, 5]}, "household_id is Int64 in persons but String"),
        ({"rooms": [1, 1, 1, 1, 1]}, r"\[rooms\] are in persons and in households"),
        ({"when": [[1], [1], [1], [1], [1]]}, r"'when' is List\(Int64\); give numbers or text"),
        ({"school_id": [0, 1, -3, 0, 0]}, "school_id = -3 in row 2 is no id"),
    ],
)
def test_bad_frames_say_name_value_and_row(change, message):
    with pytest.raises(DataError, match=message):
        Population.from_frame({**PERSONS, **change}, HOMES)


def test_frames_miss_columns_and_rows_aloud():
    with pytest.raises(DataError, match=r"persons has no column \[agee\].*did you mean \[age\]"):
        Population.from_frame(PERSONS, columns=["agee"])
    with pytest.raises(DataError, match=r"persons has no column \[household_id\]"):
        Population.from_frame({"age": [1]}, HOMES)
    with pytest.raises(DataError, match="households has household_id = a again in row 1"):
        Population.from_frame(PERSONS, {"household_id": ["a", "a"]})
    with pytest.raises(DataError, match="persons has no rows"):
        Population.from_frame({"age": []})
    with pytest.raises(DataError, match="no table polars can read"):
        Population.from_frame(object())


def test_a_view_reads_traced_columns_and_stays_a_population(roomy_town):
    @jax.jit
    def mean_age(arrays):
        view = roomy_town.view(arrays)
        assert isinstance(view, Population)
        assert (view.size, view.capacity) == (64, 96)
        home = view.groups("household_id")
        assert home.num_groups == roomy_town.num_groups("household_id")
        assert view.fingerprint == roomy_town.fingerprint
        assert view.contact_counts("household_id", "persona", 3).shape == (3, 3)
        return jnp.mean(view["age"], where=view.alive), home.degree()

    arrays = roomy_town.arrays()
    assert set(arrays) == {*roomy_town.columns, "alive", "slot"}
    mean, degree = mean_age(arrays)
    assert mean == pytest.approx(roomy_town["age"][:64].mean())
    older = {**arrays, "age": arrays["age"] + roomy_town.alive}
    assert mean_age(older)[0] == pytest.approx(float(mean) + 1)
    assert degree[64:].tolist() == [0] * 32


def test_networks_travel_with_their_population(town):
    ties = Graph(np.array([0, 1]), np.array([1, 2]), num_agents=64)
    tied = town.connect("friends", ties)
    assert tied.networks == ("friends",)
    assert town.networks == ()
    assert tied.network("friends") is ties
    assert tied.fingerprint != town.fingerprint
    seen = jax.jit(lambda arrays: tied.view(arrays).network("friends").degree())(tied.arrays())
    assert seen[:4].tolist() == [1, 2, 1, 0]
    with pytest.raises(DataError, match=r"no network 'friend'.*friends"):
        tied.network("friend")
    street = town.connect("street", Lattice.ring(64, 2)).with_capacity(80).network("street")
    assert street.degree().tolist() == [2] * 64 + [0] * 16
    with pytest.raises(ScenarioError, match="slots beyond 60 have neighbours"):
        street.with_capacity(60)

    class Wire:
        num_agents = 64

    fixed = town.connect("wire", Wire())
    with pytest.raises(DataError, match="tied to 64 rows; give the population its capacity"):
        fixed.with_capacity(80)
    with pytest.raises(DataError, match="made for 64 agents, but the population has 80 rows"):
        town.with_capacity(80).connect("friends", ties)


def test_a_graph_makes_room_with_its_population(town):
    tied = town.connect("friends", Graph(np.array([0, 1]), np.array([1, 2]), num_agents=64))
    roomy = tied.with_capacity(80)
    assert roomy.network("friends").degree()[:4].tolist() == [1, 2, 1, 0]
    assert roomy.network("friends").num_agents == 80
    assert roomy.fingerprint == tied.fingerprint
    other = town.connect("friends", Graph(np.array([0, 1]), np.array([1, 3]), num_agents=64))
    assert other.with_capacity(80).fingerprint != tied.fingerprint


def test_unknown_identities_are_refused(town):
    with pytest.raises(DataError, match="nobody has identity 64; they run from 0 to 63"):
        town.rows([3, 64])


members = st.lists(st.tuples(st.integers(-1, 5), st.integers(0, 2)), min_size=1, max_size=40)


@given(members)
def test_contact_counts_are_those_of_a_double_loop(people):
    group, kind = (np.array(part) for part in zip(*people, strict=True))
    wanted = np.zeros((3, 3))
    for i in range(len(group)):
        for j in range(len(group)):
            if i != j and group[i] == group[j] >= 0:
                wanted[kind[i], kind[j]] += 1
    wanted /= np.maximum(np.bincount(kind, minlength=3), 1)[:, None]
    population = Population({"household_id": group}, capacity=50)
    np.testing.assert_allclose(population.contact_counts("household_id", kind, 3), wanted)


def test_contact_counts_check_their_classes(town):
    with pytest.raises(DataError, match=r"class \d+ in row \d+ is outside 0 .. 1"):
        town.contact_counts("household_id", "persona", 2)
    with pytest.raises(DataError, match="2 classes were given for 64 people"):
        town.contact_counts("household_id", np.array([0, 1]), 2)


def test_fingerprints_tell_people_apart():
    one = Population.toy(64)
    assert one.fingerprint == Population.toy(64).fingerprint
    assert one.fingerprint != Population.toy(64, seed=1).fingerprint
    assert one.fingerprint != Population({"age": one["age"]}).fingerprint
    assert len(one.fingerprint) == 12


def test_a_population_shows_itself(family):
    text = repr(family)
    assert text.startswith("Population of 5 people in 8 rows")
    assert "household_id  int32" in text
    assert "f, m" in text
    html = family._repr_html_()
    assert html.count("<tr>") == 1 + len(family.columns)
    assert "<script" not in Population({"<script>": [1]})._repr_html_()


def test_the_toy_town_is_plausible():
    town = Population.toy(20_000)
    age, home, work = town["age"], town["household_id"], town["workplace_id"]
    sizes = np.bincount(home)
    assert np.all(np.diff(home) >= 0)
    assert sizes.mean() == pytest.approx(2.5, abs=0.05)
    heads = np.flatnonzero(np.diff(home, prepend=-1))
    assert age[heads].min() >= 18
    assert (age.min(), age.max()) >= (0, 0)
    assert age.max() <= 99
    assert np.all(town["income"][age < 18] == 0)
    assert np.bincount(work[work >= 0]).mean() == pytest.approx(20, abs=0.5)
    assert set(town["persona"].tolist()) == {0, 1, 2}
    with pytest.raises(DataError, match="at least one person, not 0"):
        Population.toy(0)
    assert Population.toy(8, recycle=True).recycle
