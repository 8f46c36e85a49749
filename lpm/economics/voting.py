"""Elections over tax laws: who prefers which platform, and which one wins.

A platform is a schedule; a worker is for the one under which he fares best, his own answer and the
rebate that it leaves to everybody included. A candidate may be held to his platform or not: then
he does what suits himself (`favourite`), as in Karten et al. (2025).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from ..axes import Array, Number
from ..errors import DataError
from .aims import ParetoWeights
from .design import Design
from .planned import Plan
from .planner import plan
from .schedule import Schedule
from .sums import total
from .workforce import Workforce


class Election(eqx.Module):
    """How an election ended.

    Attributes:
        winner: index of the platform.
        votes: by platform: share of heads in a plurality vote, of duels won under majority rule.
        beats: share of heads that prefers a row's platform to a column's; None in a plurality vote.
        decided: whether the winner needed no lot; under majority rule, whether he beats every other
            platform, which makes him the Condorcet winner.
    """

    winner: Int[Array, ""]
    votes: Float[Array, " platform"]
    beats: Float[Array, "platform platform"] | None
    decided: Bool[Array, ""]


def utilities(
    workers: Workforce, platforms: Schedule, spending: Number = 0.0
) -> Float[Array, "platform agent"]:
    """What each worker would have under each platform, rebate included.

    Args:
        workers: who votes; those with a weight of 0 answer but do not pay.
        platforms: schedules with an axis in front, as `by_group` makes them.
        spending: of the state, per head.

    Raises:
        DataError: a single schedule.
    """
    if jnp.ndim(platforms.rates) != 2:
        raise DataError("platforms is one schedule; give several, such as by_group([a, b])")

    return _utilities(workers, jax.tree.map(jnp.asarray, platforms), spending)


@jax.jit
def plurality(
    utility: Float[Array, "platform agent"],
    heads: Float[Array, " agent"],
    lots: Float[Array, " platform"],
) -> Election:
    """Everybody votes for the platform he likes best; most votes win.

    Who likes several best splits his vote. Of platforms with equally many the one with the highest
    lot wins, such as `jax.random.uniform(key, (platforms,))`.
    """
    liked = (utility == utility.max(axis=0, keepdims=True)).astype(jnp.float32)
    return _most(_shares(liked / liked.sum(axis=0, keepdims=True), heads), lots)


@jax.jit
def logit(
    utility: Float[Array, "platform agent"],
    heads: Float[Array, " agent"],
    lots: Float[Array, " platform"],
    noise: Number,
) -> Election:
    """Everybody votes at random, the likelier for a platform the better he fares; expected votes.

    Probabilities are those of utility plus `noise` (positive) times a Gumbel variate, in units of
    income.
    They have derivatives, unlike votes. For votes that are cast, draw the variates, and let the
    sums run in `plurality`. Source: McFadden (1974).
    """
    return _most(_shares(jax.nn.softmax(utility / noise, axis=0), heads), lots)


@jax.jit
def majority(
    utility: Float[Array, "platform agent"],
    heads: Float[Array, " agent"],
    lots: Float[Array, " platform"],
) -> Election:
    """Every two platforms meet in a duel; who beats all others wins.

    Where nobody does, as preferences may go round in a circle, most duels win, and of equally many
    the highest lot. The indifferent count half to either side.
    """
    people = total(heads)

    def duels(mine: Any) -> Any:
        # Twice the vote, so that counts stay whole numbers.
        def against(other: Any) -> Any:
            cast = (mine > other).astype(jnp.float32) - (mine < other) + 1
            return total(heads * cast) / (2 * people)

        return jax.lax.map(against, utility)

    beats = jax.lax.map(duels, utility)
    others = ~jnp.eye(len(lots), dtype=bool)
    won = jnp.where(others, (beats > 0.5) + 0.5 * (beats == 0.5), 0.0).sum(axis=1)
    found = _most(won / max(1, len(lots) - 1), lots)
    all_won = jnp.all((beats[found.winner] > 0.5) | ~others[found.winner])
    return Election(found.winner, found.votes, beats, all_won)


def favourite(workers: Workforce, design: Design, worker: int, **options: Any) -> Plan:
    """The rates that one worker would choose for all if he could; options as for `plan`.

    With a flat tax (1 - z/mean z) / (1 - z/mean z + e), or none for who earns more than the mean.

    Raises:
        DataError: no such worker.
    """
    if not 0 <= worker < workers.size:
        raise DataError(f"worker = {worker}; there are {workers.size}, from 0")
    alone = jnp.zeros(workers.size).at[worker].set(1.0)
    return plan(workers, ParetoWeights(alone), design, **{"errors": False, **options})


@jax.jit
def _utilities(workers: Workforce, platforms: Schedule, spending: Any) -> Any:
    def under(platform: Schedule) -> Any:
        found = workers.answer(platform)
        return found.utility + workers.mean(found.tax) - spending

    return jax.lax.map(under, platforms)


def _shares(cast: Any, heads: Any) -> Any:
    return jax.lax.map(lambda each: total(heads * each), cast) / total(heads)


def _most(votes: Any, lots: Any) -> Election:
    # Shares of one and the same count may differ by rounding.
    first = votes >= votes.max() - 1e-6
    winner = jnp.argmax(jnp.where(first, lots, -jnp.inf))
    return Election(winner.astype(jnp.int32), votes, None, first.sum() == 1)
