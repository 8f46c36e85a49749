"""Synthesis: the chain of ages, counts that add up, schools and workplaces."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lpm.population.ages import (
    ADULT,
    CHILD,
    CLASS_OF_BAND,
    ELDERLY,
    STATES,
    choose,
    classes,
    expected_people,
    fit_tilt,
    tilted_shares,
)
from lpm.population.derive_households import CELL, merge_small
from lpm.population.new_york import place_of, read_chain
from lpm.population.places import (
    TEAM,
    Level,
    assign_schools,
    assign_workplaces,
    staff_rooms,
    team_sizes,
)
from lpm.population.seeds import generator
from lpm.population.synthesis import (
    apportion,
    draw_households,
    draw_quarters,
    household_counts,
    quarters_units,
    scatter,
)

SIZES = ((1, 19, 0.25), (20, 99, 0.5), (100, 499, 0.25))
weights = st.lists(st.floats(0.01, 100), min_size=1, max_size=12).map(np.array)


@given(st.integers(0, 10_000), weights)
def test_apportioned_parts_add_up_and_are_within_one(total, shares):
    exact = total * shares / shares.sum()
    for parts in (apportion(total, shares), scatter(total, shares, generator(0))):
        assert parts.sum() == total
        assert np.all(np.abs(parts - exact) < 1 + 1e-6)


def test_scattered_parts_have_no_bias():
    shares = np.array([0.3, 0.3, 1.4, 8.0])
    rng = generator(5)
    mean = np.mean([scatter(10, shares, rng) for _ in range(4_000)], axis=0)
    # Each part varies by at most 0.5, so that 5 standard errors are 0.04.
    np.testing.assert_allclose(mean, shares, atol=0.04)


@given(st.integers(0, 3_000))
def test_households_hold_exactly_the_people_there_are(people):
    sizes = {1: 0.3, 2: 0.3, 4: 0.3, 7: 0.1}
    counts = household_counts(people, sizes)
    assert sum(size * count for size, count in counts.items()) == people
    mean = sum(size * share for size, share in sizes.items())
    for size, count in counts.items():
        assert count >= people / mean * sizes[size] - 1


def test_choices_follow_their_row_and_never_take_what_has_no_weight():
    table = np.array([[0.0, 1.0, 3.0, 0.0], [2.0, 0.0, 0.0, 0.0]])
    rows = np.repeat([0, 1], 20_000)
    found = choose(table, rows, generator(1))
    assert np.all(found[rows == 1] == 0)
    counts = np.bincount(found[rows == 0], minlength=4)
    assert counts[[0, 3]].tolist() == [0, 0]
    # Five standard errors of a share of 0.75 in 20,000 draws.
    assert counts[2] / 20_000 == pytest.approx(0.75, abs=0.016)


def test_small_cells_share_their_sum_as_the_coarser_table_has_it():
    shares = merge_small(
        np.array([60.0, 5.0, 35.0]), np.array([CELL, 1, CELL - 1]), np.array([5.0, 1.0, 3.0])
    )
    np.testing.assert_allclose(shares, [0.6, 0.1, 0.3])
    lonely = merge_small(np.array([60.0, 5.0, 35.0]), np.array([50, 1, 20]), np.ones(3))
    np.testing.assert_allclose(lonely, [0.6, 0.2, 0.2])


def test_members_come_oldest_first_and_fit_their_composition():
    chain, place = read_chain(), place_of(0)
    for kind in ((0, 1, 0), (2, 2, 0), (1, 2, 1), (4, 1, 0)):
        drawn = chain.sample(kind, place.factor, 200, generator(2))
        band = drawn // 2
        assert np.all(np.diff(band, axis=1) <= 0)
        assert np.all(CLASS_OF_BAND[band] == np.array(classes(kind)))
    assert classes((1, 2, 1)) == (ELDERLY, ADULT, ADULT, CHILD)


def test_samples_have_the_expected_ages():
    chain, place = read_chain(), place_of(3)
    households, kind = 20_000, (2, 2, 0)
    _, members = chain.expected(kind, place.factor)
    drawn = chain.sample(kind, place.factor, households, generator(3))
    found = np.bincount(drawn.ravel(), minlength=STATES) / households
    assert members.sum() == pytest.approx(4)
    # A state is counted at most four times a household: 5 standard errors, generously.
    np.testing.assert_allclose(found, members, atol=5 * np.sqrt(2 * 0.5 / households))


def test_the_tilt_brings_people_to_their_ages():
    chain = read_chain()
    place, other = place_of(4), place_of(2)
    shares = [(share, place.compositions[size]) for size, share in place.sizes.items()]
    target = expected_people(chain, shares, other.factor)
    factor = fit_tilt(chain, shares, target)
    found = expected_people(chain, shares, factor)
    np.testing.assert_allclose(found / found.sum(), target / target.sum(), atol=2e-7)
    assert tilted_shares(chain, place.compositions[4], factor).sum() == pytest.approx(1)


def test_a_borough_lives_in_households_with_a_grown_up():
    place = place_of(1)
    state, sizes = draw_households(place, read_chain(), 5_000, generator(4))
    assert len(state) == sizes.sum() == 5_000
    oldest = state[np.cumsum(sizes) - sizes]
    assert np.all(CLASS_OF_BAND[oldest // 2] >= ADULT)
    assert len(draw_quarters(place, 123, generator(4))) == 123


def test_quarters_units_keep_to_one_borough_and_age_class():
    rng = generator(6)
    age, borough = rng.integers(0, 96, 900), rng.integers(0, 2, 900)
    unit = quarters_units(age, borough)
    kind = borough * 3 + np.digitize(age, (18, 65))
    for each in np.unique(unit):
        assert len(set(kind[unit == each])) == 1
    assert np.bincount(unit).max() <= 30


@pytest.fixture(scope="module")
def taught():
    rng = generator(7)
    age, borough = rng.integers(0, 60, 6_000), np.sort(rng.integers(0, 2, 6_000))
    enrolled = (age >= 5) & (age < 18)
    levels = [Level(5, 13, 25, 300, True), Level(14, 17, 27, 400, False)]
    schools = assign_schools(age, borough, enrolled, age >= 18, levels, rng)
    return age, borough, enrolled, schools


def test_classes_are_of_one_year_one_school_and_no_larger_than_agreed(taught):
    age, borough, enrolled, schools = taught
    pupils = np.flatnonzero(enrolled)
    assert np.all(schools.classroom[pupils] >= 0)
    for each in np.unique(schools.classroom[pupils]):
        rows = pupils[schools.classroom[pupils] == each]
        assert len(set(age[rows])) == len(set(schools.school[rows])) == len(set(borough[rows])) == 1
        assert len(rows) <= (25 if age[rows[0]] <= 13 else 27)


def test_small_schools_teach_neighbouring_years_together():
    age = np.tile(np.arange(5, 11), 6)
    everyone, nobody = np.ones(36, bool), np.zeros(36, bool)
    levels = [Level(5, 10, 20, 300, True)]
    schools = assign_schools(age, np.zeros(36, int), everyone, nobody, levels, generator(0))
    assert np.bincount(schools.classroom).tolist() == [18, 18]
    assert age[schools.classroom == 0].max() < age[schools.classroom == 1].min()


def test_every_class_has_one_teacher_of_its_borough(taught):
    age, borough, enrolled, schools = taught
    teachers = schools.teachers
    classes = np.unique(schools.classroom[enrolled])
    assert sorted(schools.classroom[teachers]) == classes.tolist()
    assert np.all(age[teachers] >= 22)
    for teacher in teachers[:50]:
        pupils = enrolled & (schools.classroom == schools.classroom[teacher])
        assert set(borough[pupils]) == {borough[teacher]}
        assert set(schools.school[pupils]) == {schools.school[teacher]}
    nobody = ~enrolled
    nobody[teachers] = False
    assert np.all(schools.classroom[nobody] == -1)


def test_without_adults_classes_stay_without_a_teacher():
    age = np.full(40, 8)
    yes, no = np.ones(40, bool), np.zeros(40, bool)
    schools = assign_schools(
        age, np.zeros(40, int), yes, no, [Level(5, 10, 25, 300, True)], generator(0)
    )
    assert len(schools.teachers) == 0
    assert np.bincount(schools.classroom).tolist() == [20, 20]
    nothing = assign_schools(age, np.zeros(40, int), no, no, [], generator(0))
    assert set(nothing.school) == {-1}


@given(st.integers(1, 3_000))
def test_teams_hold_exactly_the_workers_there_are(workers):
    teams = team_sizes(workers, SIZES, generator(workers))
    assert teams.sum() == workers
    assert teams.min() >= 1
    assert teams.max() <= TEAM


def test_size_classes_of_workplaces_hold_their_share_of_workers():
    # Only workplaces of the first class make teams below 10.
    teams = team_sizes(400_000, ((1, 9, 0.2), (100, 200, 0.8)), generator(8))
    assert teams[teams < 10].sum() / 400_000 == pytest.approx(0.2, abs=0.01)


def test_commuters_work_where_their_row_says():
    home = np.repeat([0, 1], 10_000)
    flows = np.array([[0.8, 0.1, 0.0], [0.0, 0.5, 0.5]])
    team, work = assign_workplaces(np.arange(20_000), home, flows, SIZES, generator(9))
    share = np.bincount(work[home == 0], minlength=3) / 10_000
    np.testing.assert_allclose(share, [8 / 9, 1 / 9, 0], atol=0.02)
    place_of_team = np.full(team.max() + 1, -1)
    place_of_team[team] = work
    assert np.all(place_of_team[team] == work)


def test_staff_rooms_are_of_one_school():
    school = np.array([3, 1] * 30 + [8])
    room = staff_rooms(school, 100)
    assert room.min() == 100
    assert np.bincount(room - 100).max() <= TEAM
    for each in np.unique(room):
        assert len(set(school[room == each])) == 1
