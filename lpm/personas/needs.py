"""Where one more answer tells most about an outcome, and asking there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..axes import Scalar
from ..errors import PersonaError
from .answers import OUT_OF, Answers, log_odds
from .asking import ask
from .form import Entry, Form, Tally
from .replies import Respondent
from .surface import Surface


@dataclass(frozen=True)
class Need:
    """One persona at one level of a situation, and what its answer is worth.

    Attributes:
        persona, knot: by number; `(persona, knot)` is an entry of a `Form`.
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
        """The same as a form has it."""
        return self.persona, self.knot


def where_to_ask(
    surface: Surface,
    gradient: Any,
    *,
    noise: float,
    weight: Any = None,
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
        asked: entries to leave out. [persona, *knot]

    Raises:
        PersonaError: shapes that do not fit, a gradient that is not finite, or a noise below 0.
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
    importance = np.sqrt(moved.sum(axis=-1))
    reduction = (moved * known).sum(axis=-1)
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
class Enquiry:
    """What asking where it matters brought.

    Attributes:
        surface: with the answers.
        tally: the answers themselves.
        needs: what was asked, in order, with what was expected of it then.
        deviation: standard deviation of the outcome from the surface's spread, to first order:
            before the first round, and after each.
    """

    surface: Surface
    tally: Tally
    needs: tuple[Need, ...]
    deviation: tuple[float, ...]

    def __str__(self) -> str:
        return (
            f"{len(self.needs)} of {self.tally.asked.size} entries asked; standard deviation of "
            f"the outcome {self.deviation[0]:.3g} before and {self.deviation[-1]:.3g} after"
        )


def ask_where_it_matters(
    form: Form,
    surface: Surface,
    outcome: Callable[[Surface], Scalar],
    respondent: Respondent,
    *,
    calls: int,
    rounds: int = 4,
    noise: float = 0.1,
    least: float = 0.0,
    **asking: Any,
) -> Enquiry:
    """Ask the entries that tell most about an outcome, a few at a time, until calls are spent.

    Every round takes the outcome's derivative by all answers, asks the entries at the head of
    `where_to_ask`, and combines what comes back with what was known (`updated`). No entry is asked
    twice.

    Args:
        form: of the surface's personas and knots.
        surface: what is known of the answers so far, such as by `spread_out`.
        outcome: of a run or a path that reads the surface; differentiable.
        respondent: who answers.
        calls: at most, over all rounds.
        rounds: after each of which derivatives are taken anew.
        noise: see `where_to_ask`.
        least: fall of variance for one call below which asking stops.
        asking: options of `ask`: budget, transcript, retries, fallback, progress.

    Raises:
        PersonaError: a form of another shape, fewer calls than one entry takes, or what `ask`
            raises.
    """
    if form.shape != surface.mean.shape[:-1]:
        raise PersonaError(
            f"the form has {list(form.shape)} personas and levels, the surface "
            f"{list(surface.mean.shape[:-1])}"
        )
    if calls < form.each or rounds < 1:
        raise PersonaError(
            f"calls = {calls}, rounds = {rounds}; one entry takes {form.each} calls and there is "
            "one round at least"
        )
    slope = eqx.filter_jit(
        jax.grad(lambda mean, s: outcome(eqx.tree_at(lambda x: x.mean, s, mean)))
    )
    gradient = np.asarray(slope(surface.mean, surface), np.float64)
    tally, asked = Tally.none(form), []
    deviation = [_deviation(surface, gradient)]
    each = -(-(calls // form.each) // rounds)
    while len(asked) < calls // form.each:
        room = min(each, calls // form.each - len(asked))
        needs = where_to_ask(surface, gradient, noise=noise, asked=tally.asked)[:room]
        needs = [need for need in needs if need.reduction > least * form.each]
        if not needs:
            break
        entries = [need.entry for need in needs]
        tally = tally.told(entries, ask(form.questions(entries), respondent, **asking))
        surface = updated(surface, tally, entries, noise)
        asked += needs
        gradient = np.asarray(slope(surface.mean, surface), np.float64)
        deviation.append(_deviation(surface, gradient))
    return Enquiry(surface, tally, tuple(asked), tuple(deviation))


def updated(
    surface: Surface, tally: Tally, entries: Sequence[Entry], noise: float, out_of: float = OUT_OF
) -> Surface:
    """A surface with the answers of some entries, each weighed against what was known.

    Weights are inverse squares: of the surface's spread, and of the answers' error, which is
    `noise` and what the wordings differ by, divided by their number.

    Raises:
        PersonaError: an entry that was not asked.
    """
    mean = np.asarray(surface.mean, np.float64).copy()
    spread = np.asarray(surface.spread, np.float64).copy()
    odds = _odds(tally, entries, out_of)
    count = odds.shape[1]
    apart = odds.var(axis=1, ddof=1) / count if count > 1 else np.zeros_like(odds[:, 0])
    for (persona, knot), told, error in zip(
        entries, odds.mean(axis=1), noise**2 + apart, strict=True
    ):
        at = (persona, *knot)
        share = spread[at] ** 2 / (spread[at] ** 2 + error)
        mean[at] += share * (told - mean[at])
        spread[at] = np.sqrt((1 - share) * spread[at] ** 2)
    tables = (jnp.asarray(mean, jnp.float32), jnp.asarray(spread, jnp.float32))
    return eqx.tree_at(lambda s: (s.mean, s.spread), surface, tables)


def _odds(
    tally: Tally, entries: Sequence[Entry], out_of: float
) -> Float[np.ndarray, "entry replicate odds"]:
    values = np.stack([tally.values[(persona, *knot)] for persona, knot in entries])
    if not np.isfinite(values).all():
        raise PersonaError("an entry was not asked; ask it before the surface is updated")
    number = tally.form.number
    names = tally.form.actions if number is None else (number.name,)
    bounds = None if number is None else (float(number.within[0]), float(number.within[1]))
    # Answers have a situation: one of two levels that say the same.
    twice = Answers({"level": (0.0, 1.0)}, names, np.stack([values, values], axis=1), bounds)
    odds = log_odds(twice, out_of=out_of)[:, 0]
    return odds.reshape(len(entries), -1, odds.shape[-1])


def _deviation(surface: Surface, gradient: np.ndarray) -> float:
    return float(np.sqrt(((np.asarray(surface.spread, np.float64) * gradient) ** 2).sum()))
