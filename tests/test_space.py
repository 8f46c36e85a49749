"""Places, windows and neighbours against plain NumPy that searches, counts and sorts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from lpm import Draw
from lpm.aggregates import running_total
from lpm.errors import ScenarioError
from lpm.population.seeds import generator
from lpm.space import Plane, assign, by_place, match, one_each, permute, window_sum


def draw_of(seed, n=1):
    key = jax.random.key_data(jax.random.key(seed))
    return Draw(key, 0, "test", slot=jnp.arange(n, dtype=jnp.int32))


SEEDS = st.integers(0, 2**31)  # shapes stay the same, so that nothing compiles again


@pytest.mark.parametrize("size", [1, 255, 256, 900])
def test_a_running_total_is_the_cumulative_sum(size):
    numbers = generator(size).integers(-50, 50, size)
    found = running_total(jnp.asarray(numbers, jnp.int32))
    assert found.tolist() == np.cumsum(numbers).tolist()


def test_a_permutation_reaches_each_number_once_and_refuses_those_beyond():
    reach = jax.jit(lambda size: permute(draw_of(3), jnp.arange(-1, 70_000), size))
    for size in (0, 1, 2, 3, 5, 16, 97, 1000, 65_537):
        found = np.asarray(reach(size))
        assert sorted(found[1 : size + 1]) == list(range(size))
        assert found[0] == -1
        assert (found[size + 1 :] == -1).all()


def test_all_orders_of_four_come_alike():
    def order(seed):
        draw = Draw(seed, 0, "test", slot=jnp.zeros(1, jnp.int32))
        return permute(draw, jnp.arange(4), 4)

    keys = jax.random.key_data(jax.random.split(jax.random.key(1), 12_000))
    found = np.asarray(jax.jit(jax.vmap(order))(keys))
    _, counts = np.unique(found, axis=0, return_counts=True)
    assert counts.size == 24
    # One test at a fixed key; a sound cipher fails it once in a thousand keys.
    assert stats.chisquare(counts).pvalue > 1e-3


def test_a_large_permutation_is_neither_sorted_nor_a_shift():
    n = 30_000
    found = np.asarray(jax.jit(lambda r: permute(draw_of(5), r, n))(jnp.arange(n))).astype(float)
    # Rank correlation of n places has standard deviation 1 / sqrt(n); 4.5 of them are 7e-6.
    for lag in (0, 1, 2, 173, 174):
        other = np.roll(found, lag) if lag else np.arange(n)
        assert abs(np.corrcoef(found, other)[0, 1]) < 4.5 / np.sqrt(n)
    steps, counts = np.unique((found - np.roll(found, 1)) % n, return_counts=True)
    assert counts.max() < 12, "an affine map has one step only"
    # Of 30,000 random steps each is met 1 time in the mean, so e**-1 of all are never met.
    assert steps.size == pytest.approx(n * (1 - np.exp(-1)), rel=0.02)


@jax.jit
def seats(claims, places):
    return assign(draw_of(1), claims, places)


@given(SEEDS, st.integers(0, 80))
def test_a_place_for_each_as_long_as_there_are_places(seed, places):
    rng = generator(seed)
    claims = rng.random(70) < rng.random()
    found = np.asarray(seats(claims, places))
    given_out = found[found >= 0]
    assert given_out.size == min(places, claims.sum()) == np.unique(given_out).size
    assert (given_out < max(places, 1)).all()
    assert (found[~claims] == -1).all()


def test_who_goes_without_a_place_is_chance():
    def served(key):
        draw = Draw(key, 0, "test", slot=jnp.zeros(1, jnp.int32))
        return assign(draw, jnp.ones(10, bool), 3) >= 0

    keys = jax.random.key_data(jax.random.split(jax.random.key(2), 4000))
    share = np.asarray(jax.jit(jax.vmap(served))(keys)).mean(axis=0)
    # A share of 0.3 over 4000 keys has standard error 0.0072; ten of them within 4.5 of it.
    assert np.abs(share - 0.3).max() < 4.5 * np.sqrt(0.21 / 4000)


matched, sorted_by = jax.jit(match), jax.jit(lambda place: by_place(place, 5))


@given(SEEDS)
def test_the_kth_claim_gets_the_kth_free_place(seed):
    rng = generator(seed)
    claims, free = rng.random(60) < rng.random(), rng.random(50) < rng.random()
    found = np.asarray(matched(claims, free))
    want = np.full(60, -1)
    pairs = zip(np.flatnonzero(claims), np.flatnonzero(free), strict=False)
    for claim, place in pairs:
        want[claim] = place
    assert found.tolist() == want.tolist()


def test_each_place_has_one_winner_and_all_claims_are_alike():
    place = jnp.asarray([0, 1, 1, 1, 2, 2, 7, -1, 1], jnp.int32)
    claims = jnp.asarray([1, 1, 1, 1, 1, 1, 1, 1, 0], bool)

    def winners(key):
        draw = Draw(key, 0, "test", slot=jnp.arange(9, dtype=jnp.int32))
        return one_each(draw, place, claims, 3)

    keys = jax.random.key_data(jax.random.split(jax.random.key(4), 6000))
    won = np.asarray(jax.jit(jax.vmap(winners))(keys))
    assert (won[:, 0] & (won[:, 1:4].sum(axis=1) == 1) & (won[:, 4:6].sum(axis=1) == 1)).all()
    assert not won[:, 6:].any()
    # Shares of a third over 6000 keys: standard error 0.0061, 4.5 of them.
    assert np.abs(won[:, 1:4].mean(axis=0) - 1 / 3).max() < 4.5 * np.sqrt(2 / 9 / 6000)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_a_window_sums_what_a_loop_over_cells_sums(periodic, radius):
    grid = generator(0).integers(0, 5, (7, 9))
    want = np.zeros_like(grid)
    for row in range(7):
        for column in range(9):
            for i in range(row - radius, row + radius + 1):
                for j in range(column - radius, column + radius + 1):
                    if periodic or (0 <= i < 7 and 0 <= j < 9):
                        want[row, column] += grid[i % 7, j % 9]
    found = window_sum(jnp.asarray(grid, jnp.int8), radius, periodic=periodic)
    assert found.dtype == jnp.int8
    assert (np.asarray(found) == want).all()


def test_a_window_that_meets_itself_is_refused():
    with pytest.raises(ScenarioError, match="radius is 2; on a periodic grid"):
        window_sum(jnp.ones((4, 9)), 2, periodic=True)


@given(SEEDS)
def test_agents_are_sorted_stably_by_place(seed):
    places = generator(seed).integers(-2, 7, 60).astype(np.int32)
    order, start = sorted_by(places)
    key = np.array([place if 0 <= place < 5 else 5 for place in places])
    assert order.tolist() == np.argsort(key, kind="stable").tolist()
    assert start.tolist() == np.searchsorted(np.sort(key), np.arange(6)).tolist()


def visit(dx, dy, mine, theirs):
    (sight,), (size,) = mine, theirs
    near = (dx * dx + dy * dy < sight * sight).astype(dx.dtype)
    return jnp.ones_like(dx), dx * size, dy * dy * near, size * sight


def brute_force(plane, x, y, mine, theirs, alive):
    dx, dy = x[None] - x[:, None], y[None] - y[:, None]
    if plane.periodic:
        dx -= plane.width * np.round(dx / plane.width)
        dy -= plane.height * np.round(dy / plane.height)
    d2 = dx**2 + dy**2
    met = (d2 <= plane.reach**2) & alive[None] & alive[:, None] & ~np.eye(len(x), dtype=bool)
    near = d2 < mine[:, None] ** 2
    terms = (np.ones_like(dx), dx * theirs[None], dy**2 * near, theirs[None] * mine[:, None])
    return [np.where(met, term, 0).sum(axis=1) for term in terms]


PLANES = [
    Plane(30.0, 20.0, 3.0),
    Plane(30.0, 20.0, 3.0, periodic=False),
    Plane(11.0, 11.0, 5.0),  # two cells across
    Plane(16.0, 40.0, 5.0),  # three cells across
    Plane(9.0, 9.0, 4.5),
    Plane(4.0, 50.0, 6.0, periodic=False),  # one column of cells
]


def crowd(plane, n=120):
    rng = generator(7)
    x, y = rng.random(n) * plane.width, rng.random(n) * plane.height
    x[:20], y[:20] = x[0] + 0.1 * rng.random(20), y[0]  # a dense knot
    x = x % plane.width
    return [np.float32(v) for v in (x, y, 1 + rng.random(n), rng.random(n))], rng.random(n) < 0.9


@pytest.mark.parametrize("plane", PLANES, ids=str)
def test_neighbours_are_those_of_brute_force(plane):
    (x, y, mine, theirs), alive = crowd(plane)
    look = jax.jit(lambda x, y, m, t, alive: plane.sums(visit, x, y, (m,), (t,), where=alive))
    found = look(x, y, mine, theirs, alive)
    wide = [np.float64(v) for v in (x, y, mine, theirs)]
    want = brute_force(plane, *wide, alive)
    assert np.asarray(found[0]).max() >= 15
    for a, b in zip(found, want, strict=True):
        # Float32 sums of up to 40 terms of size 5: 40 * 5 * 6e-8.
        assert np.abs(np.asarray(a) - b).max() < 5e-5


def test_what_a_pair_does_to_one_it_undoes_to_the_other():
    plane = PLANES[0]
    (x, y, _, _), alive = crowd(plane)
    x, y = jnp.asarray(x), jnp.asarray(y)
    across = jax.jit(
        lambda x, y: plane.sums(lambda dx, dy, a, b: (dx, dy), x, y, where=jnp.asarray(alive))
    )(x, y)
    for force in across:
        assert float(jnp.abs(force).sum()) > 10
        assert abs(float(jnp.sum(force))) < 1e-3


def test_derivatives_are_those_of_brute_force_in_double_precision():
    plane = PLANES[0]
    columns, alive = crowd(plane, 60)
    columns = [jnp.asarray(c) for c in columns]

    def smooth(dx, dy, mine, theirs):
        return jnp.exp(-(dx * dx + dy * dy) / mine[0]) * theirs[0], dx * theirs[0] * mine[0]

    def loss(x, y, mine, theirs):
        first, second = plane.sums(smooth, x, y, (mine,), (theirs,), where=jnp.asarray(alive))
        return jnp.sum(first**2) + jnp.sum(jnp.sin(second))

    def dense(x, y, mine, theirs):
        dx, dy = x[None, :] - x[:, None], y[None, :] - y[:, None]
        dx = dx - plane.width * jnp.round(dx / plane.width)
        dy = dy - plane.height * jnp.round(dy / plane.height)
        met = (dx**2 + dy**2 <= plane.reach**2) & alive[None, :] & alive[:, None]
        met = jnp.asarray(met & ~np.eye(len(alive), dtype=bool))
        first = jnp.exp(-(dx**2 + dy**2) / mine[:, None]) * theirs[None, :]
        second = dx * theirs[None, :] * mine[:, None]
        first, second = (jnp.sum(jnp.where(met, t, 0), axis=1) for t in (first, second))
        return jnp.sum(first**2) + jnp.sum(jnp.sin(second))

    found = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(*columns)
    want = jax.jit(jax.grad(dense, argnums=(0, 1, 2, 3)))(*columns)
    for a, b in zip(found, want, strict=True):
        assert float(jnp.abs(b).max()) > 0.1
        assert float(jnp.abs(a - b).max()) < 1e-4 * float(jnp.abs(b).max())


@pytest.mark.parametrize(
    ("sides", "message"),
    [((0.0, 1.0, 0.1), "Plane.width is 0.0"), ((9.0, 9.0, 5.0), "at most half of the shorter")],
)
def test_a_plane_that_is_none_is_refused(sides, message):
    with pytest.raises(ScenarioError, match=message):
        Plane(*sides)
