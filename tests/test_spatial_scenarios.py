"""Segregation, flocks, predators and sugar against plain NumPy that works one by one."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm.population.seeds import generator
from scenarios import boids, schelling, sugarscape, wolf_sheep


def snapshots(scenario, size, steps, key=3, **changes):
    params = scenario.params.replace(**changes)
    town = scenario.population(size, seed=1)
    run = lpm.simulate(
        scenario, town, key=key, params=params, steps=steps, snapshots=range(steps + 1), devices=1
    )
    return run, [run.snapshots[t] for t in range(steps + 1)]


def look_around(board, row, column, radius):
    """Like and other neighbours of a cell, by looking at each."""
    like = others = 0
    for i in range(max(row - radius, 0), min(row + radius + 1, len(board))):
        for j in range(max(column - radius, 0), min(column + radius + 1, len(board))):
            if (i, j) != (row, column) and board[i, j]:
                others += 1
                like += board[i, j] == board[row, column]
    return like, others


@pytest.mark.parametrize(
    ("model", "radius"), [(schelling.scenario, 1), (schelling.wide, 2)], ids=["near", "wide"]
)
def test_only_the_uneasy_move_and_only_to_places_vacant_before(model, radius):
    run, states = snapshots(model, 150, 3)
    for before, after in itertools.pairwise(states):
        board = np.asarray(before.board)
        places = np.asarray(before.place), np.asarray(after.place)
        assert np.unique(places[1]).size == places[1].size
        moved = places[0] != places[1]
        assert set(places[1][moved]) <= set(np.asarray(before.vacant).tolist())
        vacant = set(range(board.size)) - set(places[1].tolist())
        assert sorted(vacant) == sorted(np.asarray(after.vacant).tolist())
        for agent, cell in enumerate(places[0]):
            row, column = divmod(cell, len(board))
            assert board[row, column] == before.kind[agent]
            like, others = look_around(board, row, column, radius)
            assert moved[agent] == (like < np.float32(0.4) * others)
    board, similar = np.asarray(states[-1].board), []
    for row, column in np.argwhere(board > 0):
        like, others = look_around(board, row, column, radius)
        similar += [like / others] if others else []
    assert run.observed["similar"][-1] == pytest.approx(np.mean(similar), abs=1e-6)


def test_more_uneasy_than_vacant_places_fill_every_one():
    _, states = snapshots(schelling.scenario, 200, 1, wanted=1.0)
    moved = np.asarray(states[0].place) != np.asarray(states[1].place)
    assert moved.sum() == states[0].vacant.shape[0]


def test_birds_turn_by_all_they_see_and_keep_their_speed():
    _, states = snapshots(boids.scenario, 150, 2)
    for before, after in itertools.pairwise(states):
        side = before.plane.width
        old = {n: np.float64(getattr(before, n)) for n in ("x", "y", "heading_x", "heading_y")}
        new = {n: np.float64(getattr(after, n)) for n in old}
        gap = [old[n][None] - old[n][:, None] for n in ("x", "y")]
        gap = [g - side * np.round(g / side) for g in gap]
        far = np.hypot(*gap)
        seen = (far <= 5) & ~np.eye(150, dtype=bool)
        near = seen & (far < 1)
        count = np.maximum(seen.sum(axis=1), 1)
        assert (np.asarray(after.seen) == seen.sum(axis=1)).all()
        turned = [
            old[n]
            + (0.03 * (g * seen).sum(1) - 0.015 * (g * near).sum(1) + 0.05 * seen @ old[n]) / count
            for n, g in zip(("heading_x", "heading_y"), gap, strict=True)
        ]
        length = np.hypot(*turned)
        for name, heading, axis in zip(("x", "y"), turned, ("heading_x", "heading_y"), strict=True):
            # Float32 positions of up to 90, and sums of ten terms of up to 5.
            assert np.abs(new[axis] - heading / length).max() < 3e-6
            step = new[name] - old[name] - new[axis]
            assert np.abs(step - side * np.round(step / side)).max() < 2e-5
        assert np.abs(np.hypot(new["heading_x"], new["heading_y"]) - 1).max() < 1e-6


def energy_of(state):
    return float(np.asarray(state.energy, np.float64)[np.asarray(state.alive)].sum())


def test_every_unit_of_energy_is_accounted_for():
    _, states = snapshots(wolf_sheep.scenario, 300, 12)
    for before, after in itertools.pairwise(states):
        gained = 4 * float(after.grazed) + 20 * float(after.caught)
        paid = int(before.alive.sum()) + float(after.lost)
        # Float32 energies of up to 100 in sums of some 300.
        assert energy_of(after) == pytest.approx(energy_of(before) + gained - paid, abs=2e-3)
        assert float(after.grazed) > 0
    assert sum(float(state.caught) for state in states) > 20


def test_what_grows_is_what_was_grazed_long_enough_ago():
    _, states = snapshots(wolf_sheep.scenario, 200, 40, sheep_breed=0, wolf_breed=0)
    for before, after in itertools.pairwise(states):
        bare = np.asarray(before.bare), np.asarray(after.bare)
        fresh = bare[1] == 29  # grazed this step, which counts as its first
        assert fresh.sum() - (bare[0] == 30).sum() == int(after.grazed)
        waiting = ~((bare[0] == 0) & fresh)
        assert (bare[1][waiting] == np.maximum(bare[0] - 1, 0)[waiting]).all()


def test_pairs_are_as_many_as_the_fewer_at_each_place():
    from lpm.space import pair_each

    rng = generator(2)
    place = rng.integers(0, 25, 200).astype(np.int32)
    wolf, alive = rng.random(200) < 0.3, rng.random(200) < 0.9
    draw = lpm.Draw(
        jax.random.key_data(jax.random.key(0)), 0, "t", slot=jnp.arange(200, dtype=jnp.int32)
    )
    fed, eaten = jax.jit(lambda p, w, a: pair_each(draw, p, w & a, ~w & a, 25))(place, wolf, alive)
    fed, eaten = np.asarray(fed), np.asarray(eaten)
    assert not (fed & ~(wolf & alive)).any()
    assert not (eaten & ~(~wolf & alive)).any()
    counts = [np.bincount(place[who], minlength=25) for who in (fed, eaten, wolf & alive)]
    sheep = np.bincount(place[~wolf & alive], minlength=25)
    assert (counts[0] == counts[1]).all()
    assert (counts[0] == np.minimum(counts[2], sheep)).all()


def test_sugar_is_gathered_paid_and_grown_back():
    _, states = snapshots(sugarscape.scenario, 200, 10)
    for before, after in itertools.pairwise(states):
        alive, place = np.asarray(after.alive), np.asarray(after.place)
        level, most = np.asarray(before.level).ravel(), np.asarray(before.most).ravel()
        assert np.unique(place[alive]).size == alive.sum()
        want = np.asarray(before.sugar) + level[place] - np.asarray(before.metabolism)
        assert (np.asarray(after.sugar)[alive] == want[alive]).all()
        there = np.asarray(before.alive)
        assert (want[there & ~alive] <= 0).all()
        left = level.copy()
        left[place[there]] = 0
        assert (np.asarray(after.level).ravel() == np.minimum(left + 1, most)).all()


def test_a_lone_gatherer_goes_to_the_nearest_of_the_richest_sites_in_sight():
    _, states = snapshots(sugarscape.scenario, 1, 12)
    for before, after in itertools.pairwise(states):
        level, side = np.asarray(before.level), before.level.shape[0]
        row, column = divmod(int(before.place[0]), side)
        sites = {(row, column): 0}
        for away in range(1, int(before.vision[0]) + 1):
            for i, j in ((0, away), (0, -away), (away, 0), (-away, 0)):
                sites.setdefault(((row + i) % side, (column + j) % side), away)
        best = max((level[site], -away) for site, away in sites.items())
        chosen = divmod(int(after.place[0]), side)
        assert (level[chosen], -sites[chosen]) == best
