"""Random graphs, built on the host from a seed, or inside a traced init from a draw."""

import math
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.random import (  # noqa: TID251 - host builders run before any draw; seeded by the caller
    Generator,
    default_rng,
)

from .aggregates import first_true, running_count
from .axes import AGENT, Array, HasSlots, is_traced
from .draw import Draw
from .errors import ScenarioError
from .networks import Graph
from .networks.graph import from_rows

People: TypeAlias = int | HasSlots

_ROUNDS = 200  # of redrawing the ties that repeat, before the degrees asked for count as impossible


def random_graph(
    population: People, *, degree: float | int, draw: Draw | None = None, seed: int | None = None
) -> Graph:
    """Erdos-Renyi graph: `size * degree / 2` ties between people chosen at random.

    With `seed` it is built on the host and ties are distinct. With `draw` it may stand inside a
    traced init: ties are drawn with replacement, so that about `degree**2 / 4 + degree / 2` of them
    in the whole graph are lost as repetitions and self-loops. Only people are tied, and the ties
    do not depend on spare capacity. Degrees are Poisson when people are many. Source: Erdos & Renyi
    (1959).

    Raises:
        ScenarioError: neither or both of `draw` and `seed`, or more ties than pairs.
    """
    if (draw is None) == (seed is None):
        raise ScenarioError("random_graph needs either draw= (inside init) or seed= (on the host)")
    size = population if isinstance(population, int) else population.size
    num_ties = _num_ties(size, degree)
    if draw is not None:
        return _drawn(population, size, num_ties, draw)
    people, capacity = _people(population)
    code = default_rng(seed).choice(size * (size - 1) // 2, num_ties, replace=False)
    return Graph(*(people[end] for end in _pair_of(code)), num_agents=capacity)


def configuration_graph(degrees: object, *, seed: int) -> Graph:
    """Random graph in which agent i has `degrees[i]` ties.

    Half-ties are matched at random; self-loops and repetitions are matched again with others until
    none is left, so that degrees are met exactly. Source: Molloy & Reed (1995).

    Raises:
        ScenarioError: degrees that are not integers of 0 or more, have an odd sum or no graph.
    """
    degree = np.asarray(degrees)
    if degree.ndim != 1 or not np.issubdtype(degree.dtype, np.integer) or (degree < 0).any():
        raise ScenarioError("degrees must be one integer of 0 or more per agent")
    if degree.sum() % 2:
        raise ScenarioError(f"degrees add up to {degree.sum()}; a tie has two ends, make it even")
    rng = default_rng(seed)
    stubs = rng.permutation(np.repeat(np.arange(degree.size, dtype=np.int32), degree))
    one, other = stubs[0::2].copy(), stubs[1::2].copy()
    for _ in range(_ROUNDS):
        wrong = _repeated(one, other, degree.size)
        if not wrong.size:
            return Graph(one, other, num_agents=degree.size)
        partners = rng.integers(0, one.size, 2 * wrong.size)
        loose = np.unique(np.concatenate([wrong, partners]))
        other[loose] = rng.permutation(other[loose])
        swap = loose[rng.random(loose.size) < 0.5]
        one[swap], other[swap] = other[swap], one[swap]
    raise ScenarioError(
        f"no graph without repeated ties found for these degrees, up to {degree.max()} among "
        f"{degree.size} agents"
    )


def small_world(population: People, degree: int, rewiring: float | int, *, seed: int) -> Graph:
    """Ring of nearest neighbours, each tie rewired with probability `rewiring`.

    A rewired tie keeps one end and takes a random other one; it is redrawn until it is no
    self-loop and no repetition, so that `size * degree / 2` ties remain. Source: Watts & Strogatz
    (1998).

    Raises:
        ScenarioError: `degree` is odd or not below half of the people, or `rewiring` is outside
            [0, 1].
    """
    people, capacity = _people(population)
    size = people.size
    if degree % 2 or not 0 <= degree <= max(size // 2, 0):
        raise ScenarioError(f"degree must be even and at most {size // 2} for {size}: {degree}")
    if not 0 <= rewiring <= 1:
        raise ScenarioError(f"rewiring is {rewiring}; it is a probability in [0, 1]")
    rng = default_rng(seed)
    one = np.repeat(np.arange(size), degree // 2)
    other = (one + np.tile(np.arange(1, degree // 2 + 1), size)) % size
    moved = rng.random(one.size) < rewiring
    order = np.argsort(moved, kind="stable")  # those that stay come first and win
    one, other = one[order], other[order]
    other[one.size - moved.sum() :] = rng.integers(0, size, moved.sum())
    for _ in range(_ROUNDS):
        wrong = _repeated(one, other, size)
        if not wrong.size:
            return Graph(people[one], people[other], num_agents=capacity)
        other[wrong] = rng.integers(0, size, wrong.size)
    raise ScenarioError(f"no rewiring without repetition found; choose a degree below {degree}")


def preferential_attachment(population: People, edges_per_agent: int, *, seed: int) -> Graph:
    """Growing graph: each newcomer ties to earlier agents in proportion to their degree.

    It starts from `edges_per_agent + 1` agents who all know each other; every later one chooses
    `edges_per_agent` different ones. Choosing in proportion to degree is choosing one of all edge
    ends so far: an end that is itself a choice is followed to where it points. Degrees follow a
    power law of exponent 3. Source: Barabasi & Albert (1999); Batagelj & Brandes (2005).

    Raises:
        ScenarioError: `edges_per_agent` is below 1 or not below the number of people.
    """
    people, capacity = _people(population)
    size, each = people.size, edges_per_agent
    if not 0 < each < size:
        raise ScenarioError(f"edges_per_agent must be from 1 to {size - 1} for {size}: {each}")
    rng = default_rng(seed)
    one, other = _grow_first(min(size, 200 * each), each, rng)
    first = one.size
    one = np.concatenate([one, np.repeat(np.arange(one[-1] + 1, size), each)])
    # End 2e of edge e is its newcomer, end 2e + 1 whom it chose. A newcomer looks at earlier ones.
    seen = 2 * (first + (np.arange(one.size - first) // each) * each)
    ends = np.concatenate([np.full(first, -1), rng.integers(0, seen)])
    for _ in range(_ROUNDS):
        chosen = _follow(ends, one, other)
        wrong = _repeated(one, chosen, size)
        if not wrong.size:
            return Graph(people[one], people[chosen], num_agents=capacity)
        ends[wrong] = rng.integers(0, seen[wrong - first])
    raise ScenarioError(f"no graph of {size} with {each} edges each was found; choose fewer edges")


def block_graph(block_of: object, probabilities: object, *, seed: int) -> Graph:
    """Stochastic block model: two agents are tied with the probability of their blocks.

    `block_of` is the block of each agent, -1 for none; `probabilities[a, b]` is symmetric. Source:
    Holland, Laskey & Leinhardt (1983).

    Raises:
        ScenarioError: probabilities not symmetric or outside [0, 1], or a block beyond them.
    """
    blocks, chance = np.asarray(block_of), np.asarray(probabilities, float)
    if chance.ndim != 2 or chance.shape != chance.T.shape or not np.allclose(chance, chance.T):
        raise ScenarioError("probabilities must be a symmetric matrix, one row per block")
    if not ((chance >= 0) & (chance <= 1)).all():
        raise ScenarioError("probabilities must be in [0, 1]")
    if not np.issubdtype(blocks.dtype, np.integer) or blocks.max(initial=-1) >= len(chance):
        raise ScenarioError(f"block_of must hold integers below {len(chance)}, -1 for none")
    rng = default_rng(seed)
    members = [np.flatnonzero(blocks == block) for block in range(len(chance))]
    ends = [
        _between(members[a], members[b], float(chance[a, b]), rng)
        for a in range(len(chance))
        for b in range(a + 1)
    ]
    one, other = (np.concatenate([pair[side] for pair in ends]) for side in (0, 1))
    return Graph(one, other, num_agents=blocks.size)


def _between(a: np.ndarray, b: np.ndarray, chance: float | int, rng: Generator) -> list[np.ndarray]:
    same = a is b
    pairs = a.size * (a.size - 1) // 2 if same else a.size * b.size
    code = rng.choice(pairs, rng.binomial(pairs, chance), replace=False) if pairs else _NONE
    one, other = _pair_of(code) if same else np.divmod(code, max(b.size, 1))
    return [a[one], b[other]]


_NONE = np.zeros(0, np.int64)


def _people(population: People) -> tuple[np.ndarray, int]:
    """Storage index of each person, and the number of slots."""
    if isinstance(population, int):
        return np.arange(population), population
    if is_traced(population.alive):
        raise ScenarioError("host builders need a concrete population; use random_graph(draw=)")
    return np.flatnonzero(np.asarray(population.alive)), population.capacity


def _num_ties(size: int, degree: float | int) -> int:
    number = round(size * degree / 2)
    if not 0 <= number <= size * max(size - 1, 0) // 2:
        raise ScenarioError(
            f"degree is {degree}; with {size} people it can be from 0 to {size - 1}"
        )
    return number


def _pair_of(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair (i, j < i) that stands at each place in the list of all pairs."""
    i = ((1 + np.sqrt(1 + 8 * code.astype(float))) / 2).astype(np.int64)
    i -= i * (i - 1) // 2 > code  # the square root may be one off
    i += i * (i + 1) // 2 <= code
    return i, code - i * (i - 1) // 2


def _repeated(one: np.ndarray, other: np.ndarray, size: int) -> np.ndarray:
    """Edges that are self-loops or that an earlier edge says already."""
    key = np.maximum(one, other).astype(np.int64) * size + np.minimum(one, other)
    ordered = np.sort(key)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    loops = np.flatnonzero(one == other)
    if not twice.size:
        return loops
    place = np.minimum(np.searchsorted(twice, key), twice.size - 1)
    suspects = np.flatnonzero(twice[place] == key)
    first = np.unique(key[suspects], return_index=True)[1]
    return np.union1d(loops, np.delete(suspects, first))


def _grow_first(size: int, each: int, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """The first agents of preferential attachment, one at a time: here repetitions are common."""
    pairs = [(i, j) for i in range(each + 1) for j in range(i)]
    ends = [end for pair in pairs for end in pair]
    for newcomer in range(each + 1, size):
        chosen: set[int] = set()
        while len(chosen) < each:
            chosen.add(ends[int(rng.integers(len(ends)))])
        pairs += [(newcomer, friend) for friend in sorted(chosen)]
        ends += [end for pair in pairs[-each:] for end in pair]
    one, other = np.array(pairs, np.int64).T
    return one, other


def _follow(ends: np.ndarray, one: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Whom each edge chose: follow ends that are choices themselves, all at once."""
    chosen = np.concatenate([known, np.zeros(one.size - known.size, np.int64)])
    active = np.arange(known.size, one.size)
    at = ends[active]
    while active.size:
        edge, is_choice = at >> 1, (at & 1).astype(bool)
        done = ~is_choice | (edge < known.size)
        settled = edge[done]
        chosen[active[done]] = np.where(is_choice[done], chosen[settled], one[settled])
        active, at = active[~done], ends[edge[~done]]
    return chosen


def _drawn(population: People, size: int, num_ties: int, draw: Draw) -> Graph:
    """Ties between two random people each; every person's slot draws for its share of ties."""
    alive = jnp.ones(size, bool) if isinstance(population, int) else jnp.asarray(population.alive)
    capacity, each = alive.shape[0], max(-(-num_ties // max(size, 1)), 1)
    people = first_true(alive, size)
    drawn = draw.integers((AGENT, 2 * each), 0, max(size, 1))
    number = (running_count(alive) - 1)[:, None] + size * jnp.arange(each)[None]
    ends = people[drawn] if size else drawn
    one, other = ends[:, :each], ends[:, each:]
    there = alive[:, None] & (number < num_ties) & (one != other)
    source = jnp.concatenate([one, other]).reshape(-1)
    target = jnp.concatenate([jnp.where(there, end, capacity) for end in (other, one)]).reshape(-1)
    width, widest, num_hubs = _bounds(size, num_ties)

    def take(target: Array, _: None) -> tuple[Array, Array]:
        """Each agent takes its largest neighbour left, with all repetitions of that tie."""
        taken = jnp.full(capacity, -1, jnp.int32).at[target].max(source, mode="drop")
        mine = taken.at[target].get(mode="fill", fill_value=-1)
        return jnp.where(source == mine, capacity, target), taken

    target, near = jax.lax.scan(take, target, length=width)
    hub = first_true(jnp.zeros(capacity, bool).at[target].set(True, mode="drop"), num_hubs)
    owner = jnp.where(hub < 0, capacity, hub)

    def take_for_hubs(target: Array, _: None) -> tuple[Array, Array]:
        target, taken = take(target, None)
        return target, taken.at[owner].get(mode="fill", fill_value=-1)

    _, far = jax.lax.scan(take_for_hubs, target, length=widest - width)
    neighbours, extra = (jnp.where(row < 0, capacity, row).T for row in (near, far))
    return from_rows(neighbours, extra, owner, mutual=True)


def _bounds(size: int, num_ties: int) -> tuple[int, int, int]:
    """Width of a row, of the widest, and number of wider rows; exceeded once in 1e9 graphs."""
    mean = 2 * num_ties / max(size, 1)
    longest = int(mean + 40 * math.sqrt(mean) + 60)
    mass = [
        math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) if mean else 0.0
        for k in range(longest + 1)
    ]
    tail = np.append(np.cumsum(mass[::-1])[::-1], 0.0)[1:]  # tail[k]: probability of more than k
    widest = max(min(int(np.argmax(size * tail < 1e-10)), size - 1), 1)
    best = (math.inf, widest, 0)
    for width in range(1, widest + 1):
        wider = size * tail[width]
        hubs = min(int(wider + 8 * math.sqrt(wider)) + 16, size) if width < widest else 0
        best = min(best, (size * width + hubs * (widest - width + 3), width, hubs))
    return best[1], widest, best[2]
