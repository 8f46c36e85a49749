"""Where one more answer tells most about an outcome, and asking there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..axes import Scalar
from ..errors import PersonaError, unknown
from .answers import OUT_OF, odds_of
from .asking import ask
from .inquiry import Entry, Inquiry
from .interview import Interview
from .question import Persona
from .replies import Respondent
from .surface import Surface


@dataclass(frozen=True)
class Need:
    """One persona at one combination of levels, and what its answer is worth.

    Attributes:
        persona, knot: by number, without the variable that is asked along.
        importance: weight times spread times size of the outcome's derivative by the log-odds: how
            far this one answer may have moved the outcome, in units of the outcome.
        reduction: fall of the outcome's variance that asking is expected to bring.
    """

    persona: int
    knot: tuple[int, ...]
    importance: float
    reduction: float

    @property
    def entry(self) -> Entry:
        """The same as an `Inquiry` has it."""
        return self.persona, self.knot


def where_to_ask(
    surface: Surface,
    gradient: Any,
    *,
    noise: float,
    weight: Any = None,
    along: str | None = None,
    asked: Any = None,
) -> list[Need]:
    """All entries of a surface, the one that tells most about an outcome first.

    To first order, and with errors of different entries unrelated, the outcome's variance is the
    sum of squares of importances. An answer with an error of `noise` takes the part
    spread**2 / (spread**2 + noise**2) of an entry's square away: with exact answers the order is
    that of importance, and with noisy ones entries that are known as well already come later.

    Args:
        surface: mean and spread so far: of all cells, or of the anchors alone.
        gradient: of the outcome by the surface's mean, through `Spread.by_anchor` where only
            anchors are asked. [persona, *knot, odds]
        noise: standard deviation of the answer to all wordings of one entry, in log-odds.
        weight: of each persona, where `gradient` is that of a single person of it; where it was
            taken through a whole population, which counts people already, leave it out.
        along: the variable of which one prompt asks all knots: an entry has them all.
        asked: entries to leave out. [persona, *knot], without `along`.

    Raises:
        PersonaError: shapes that do not fit, a gradient that is not finite, a noise below 0, or
            no such variable.
    """
    spread = np.asarray(surface.spread, np.float64)
    slope = np.asarray(gradient, np.float64)
    if slope.shape != spread.shape or not np.isfinite(slope).all():
        raise PersonaError(
            f"gradient has shape {list(slope.shape)}; give finite numbers {list(spread.shape)}"
        )
    if not noise >= 0:
        raise PersonaError(f"noise = {noise}; give 0 or more, in log-odds")
    heads = np.ones(len(spread)) if weight is None else np.asarray(weight, np.float64)
    if heads.shape != (len(spread),):
        raise PersonaError(f"weight has shape {list(heads.shape)}; give {len(spread)} numbers")
    moved = (heads.reshape(-1, *[1] * (spread.ndim - 1)) * spread * slope) ** 2
    known = spread**2 / (spread**2 + noise**2)
    once = (-1,) if along is None else (-1, _axis(surface, along))
    importance = np.sqrt(moved.sum(axis=once))
    reduction = (moved * known).sum(axis=once)
    left = np.ones(importance.shape, bool) if asked is None else ~np.asarray(asked, bool)
    order = np.argsort(-reduction, axis=None, kind="stable")
    found = []
    for at in zip(*np.unravel_index(order, importance.shape), strict=True):
        if left[at]:
            persona, *knot = (int(i) for i in at)
            entry = (persona, tuple(knot))
            found.append(Need(*entry, float(importance[at]), float(reduction[at])))
    return found


@dataclass(frozen=True)
class Refinement:
    """A surface refined by asking where it matters.

    Attributes:
        surface: with the answers.
        interviews: the answers themselves, round by round.
        needs: what was asked, in order, with what was expected of it then.
        entries: how many could have been asked.
        deviation: standard deviation of the outcome from the surface's spread, to first order:
            before the first round, and after each.
    """

    surface: Surface
    interviews: tuple[Interview, ...]
    needs: tuple[Need, ...]
    entries: int
    deviation: tuple[float, ...]

    def __str__(self) -> str:
        return (
            f"{len(self.needs)} of {self.entries} entries asked; standard deviation of "
            f"the outcome {self.deviation[0]:.3g} before and {self.deviation[-1]:.3g} after"
        )


def ask_where_it_matters(
    inquiry: Inquiry,
    personas: Sequence[Persona],
    surface: Surface,
    outcome: Callable[[Surface], Scalar],
    respondent: Respondent,
    *,
    calls: int,
    rounds: int = 4,
    noise: float = 0.1,
    least: float = 0.0,
    **asking: Any,
) -> Refinement:
    """Ask the entries that tell most about an outcome, a few at a time, until calls are spent.

    Every round takes the outcome's derivative by all answers, asks the entries at the head of
    `where_to_ask`, and combines what comes back with what was known (`updated`). No entry is asked
    twice.

    Args:
        inquiry: about the surface's variables.
        personas: of the surface, in its order.
        surface: what is known of the answers so far, such as by `spread_out`.
        outcome: of a run or a path that reads the surface; differentiable.
        respondent: who answers.
        calls: at most, over all rounds.
        rounds: after each of which derivatives are taken anew.
        noise: see `where_to_ask`.
        least: fall of variance for one call below which asking stops.
        asking: options of `ask`: budget, transcript, retries, fallback, progress.

    Raises:
        PersonaError: an inquiry or personas of another shape, fewer calls than one entry takes, or
            what `ask` raises.
    """
    shape = (len(personas), *(len(knots) for knots in inquiry.knots.values()))
    if shape != surface.mean.shape[:-1]:
        raise PersonaError(
            f"the inquiry has {list(shape)} personas and levels, the surface "
            f"{list(surface.mean.shape[:-1])}"
        )
    most = calls // inquiry.each
    if most < 1 or rounds < 1:
        raise PersonaError(
            f"calls = {calls}, rounds = {rounds}; one entry takes {inquiry.each} calls and there "
            "is one round at least"
        )
    slope = eqx.filter_jit(
        jax.grad(lambda mean, s: outcome(eqx.tree_at(lambda x: x.mean, s, mean)))
    )
    gradient = np.asarray(slope(surface.mean, surface), np.float64)
    asked = np.zeros((len(personas), *map(len, inquiry.outer.values())), bool)
    found, interviews, deviation = [], [], [_deviation(surface, gradient)]
    while len(found) < most:
        room = min(-(-most // rounds), most - len(found))
        options = {"noise": noise, "along": inquiry.along, "asked": asked}
        needs = where_to_ask(surface, gradient, **options)[:room]
        needs = [need for need in needs if need.reduction > least * inquiry.each]
        if not needs:
            break
        entries = [need.entry for need in needs]
        interviews.append(ask(inquiry.questions(personas, entries), respondent, **asking))
        surface = updated(surface, inquiry, entries, interviews[-1], noise=noise)
        for persona, knot in entries:
            asked[(persona, *knot)] = True
        found += needs
        gradient = np.asarray(slope(surface.mean, surface), np.float64)
        deviation.append(_deviation(surface, gradient))
    return Refinement(surface, tuple(interviews), tuple(found), asked.size, tuple(deviation))


def updated(
    surface: Surface,
    inquiry: Inquiry,
    entries: Sequence[Entry],
    interview: Interview,
    *,
    noise: float,
    out_of: float = OUT_OF,
) -> Surface:
    """A surface with the answers of some entries, each weighed against what was known.

    Weights are inverse squares: of the surface's spread, and of the answers' error, which is
    `noise` and what the wordings differ by, divided by their number. Levels that one prompt asked
    along count as answers of their own.

    Args:
        surface: what was known.
        inquiry: that was asked.
        entries: that were asked, by the surface's personas.
        interview: with the answers to `inquiry.questions(personas, entries)`.
        noise: see `where_to_ask`.
        out_of: how many people an answer speaks of; see `log_odds`.

    Raises:
        PersonaError: an interview about other questions.
    """
    mean = np.asarray(surface.mean, np.float64).copy()
    spread = np.asarray(surface.spread, np.float64).copy()
    odds = odds_of(inquiry.read(interview, entries), inquiry.bounds, out_of)
    odds = odds.reshape(*odds.shape[:-3], inquiry.each, odds.shape[-1])
    apart = odds.var(axis=-2, ddof=1) / inquiry.each if inquiry.each > 1 else 0.0 * odds[..., 0, :]
    axis = None if inquiry.along is None else _axis(surface, inquiry.along)
    for (persona, knot), told, error in zip(
        entries, odds.mean(axis=-2), noise**2 + apart, strict=True
    ):
        at: list[Any] = [persona, *knot]
        if axis is not None:
            at.insert(axis, slice(None))
        here = tuple(at)
        share = spread[here] ** 2 / (spread[here] ** 2 + error)
        mean[here] += share * (told - mean[here])
        spread[here] = np.sqrt((1 - share) * spread[here] ** 2)
    tables = (jnp.asarray(mean, jnp.float32), jnp.asarray(spread, jnp.float32))
    return eqx.tree_at(lambda s: (s.mean, s.spread), surface, tables)


def _axis(surface: Surface, along: str) -> int:
    """Where the variable stands among the axes of the surface."""
    if along not in surface.variables:
        raise PersonaError(unknown("the surface", "variable", [along], surface.variables))
    return 1 + surface.variables.index(along)


def _deviation(surface: Surface, gradient: np.ndarray) -> float:
    return float(np.sqrt(((np.asarray(surface.spread, np.float64) * gradient) ** 2).sum()))
