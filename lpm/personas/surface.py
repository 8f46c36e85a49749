"""Response surfaces: how the personas answer at any level of the situation, inside a run."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..axes import Array, Number, Scalar
from ..errors import PersonaError, listing
from .answers import OUT_OF, Answers, log_odds
from .curves import Curve, straight
from .response import AbstractResponse

FLOOR = 0.1


@final
class Surface(AbstractResponse):
    """Answers over the knots of a situation: mean and spread on the log-odds scale.

    A pytree that stands in a `State` as an operand. A step reads it at the situation of that step,
    for each persona, and then gathers each agent's cell: the work per agent is one gather, the
    memory per agent one id. Differentiable by the situation, the answers and whatever corrects
    them. Beyond the outer knots it stays level, with derivative 0: `outside` says where that is.

    Attributes:
        mean: log-odds of each action but the first against the first (or of the number's share of
            the way between its bounds). [persona, *knot, odds]
        spread: standard deviation of what was averaged, not of the average: more paraphrases do
            not make a panel surer of the people it speaks for.
        levels: knots of each variable, rising.
        variables: names of the variables, in the order of the axes.
        actions: names of the actions, or of the number.
        bounds: of the number; `None` for actions.
        curve: what runs through the knots: `straight` or `monotone`.
    """

    mean: Float[Array, "persona *knot odds"]
    spread: Float[Array, "persona *knot odds"]
    levels: tuple[Array, ...]
    variables: tuple[str, ...] = eqx.field(static=True)
    actions: tuple[str, ...] = eqx.field(static=True)
    bounds: tuple[float, float] | None = eqx.field(static=True, default=None)
    curve: Curve = eqx.field(static=True, default=straight)

    def __check_init__(self) -> None:
        shape = tuple(len(levels) for levels in self.levels)
        odds = max(len(self.actions) - 1, 1)
        found = jnp.shape(self.mean)
        if found[1:] != (*shape, odds) or jnp.shape(self.spread) != found:
            raise PersonaError(
                f"a surface of {listing(self.variables)} and {len(self.actions)} actions has mean "
                f"{list(found)} and spread {list(jnp.shape(self.spread))}; wanted "
                f"[persona, {', '.join(map(str, shape))}, {odds}] for both"
            )

    @property
    def personas(self) -> int:
        """How many personas (or cells) there are."""
        return self.mean.shape[0]

    def asked_for(self) -> tuple[tuple[str, ...], tuple[float, float] | None]:
        """Names of the actions, or of the number; and bounds of the number, `None` for actions."""
        return self.actions, self.bounds

    def odds(self, **situation: Number) -> Float[Array, "persona odds"]:
        """Log-odds of every persona in one situation: a number for each variable.

        Raises:
            PersonaError: a variable that is missing or unknown.
        """
        return self._read(self.mean, situation)

    def spread_at(self, **situation: Number) -> Float[Array, "persona odds"]:
        """Standard deviation of the log-odds in one situation; between knots, that of both sides.

        Raises:
            PersonaError: a variable that is missing or unknown.
        """
        return self._read(self.spread, situation)

    def outside(self, **situation: Number) -> Scalar:
        """1 where a variable lies beyond the levels that were asked about, else 0.

        Raises:
            PersonaError: a variable that is missing or unknown.
        """
        found = jnp.zeros((), bool)
        for value, levels in zip(self._values(situation), self.levels, strict=True):
            found = found | (value < levels[0]) | (value > levels[-1])
        return found.astype(jnp.float32)

    def shifted(
        self,
        *,
        temperature: Number = 1.0,
        shift: Number = 0.0,
        weights: Any = None,
    ) -> "Surface":
        """Answers with another temperature and level: what outcome data can tell of a panel.

        Log-odds become `centre + (log-odds - centre) / temperature + shift`, the centre of each
        action being its mean over personas and knots; above 1 answers draw together. Differentiable
        by both, so that `lpm.calibrate` moves them as parameters of a scenario.

        Args:
            temperature: above 0.
            shift: in log-odds, of every action but the first.
            weights: of the personas in the centre; equal if not given. [persona]
        """
        inner = tuple(range(self.mean.ndim - 1))
        if weights is None:
            centre = jnp.mean(self.mean, axis=inner, keepdims=True)
        else:
            share = jnp.asarray(weights, jnp.float32)
            share = (share / jnp.sum(share)).reshape((-1,) + (1,) * (self.mean.ndim - 1))
            centre = jnp.mean(
                jnp.sum(share * self.mean, axis=0, keepdims=True), axis=inner, keepdims=True
            )
        moved = centre + (self.mean - centre) / temperature + shift
        return eqx.tree_at(lambda surface: surface.mean, self, moved)

    def _read(self, table: Array, situation: Mapping[str, Number]) -> Array:
        for value, levels in zip(self._values(situation), self.levels, strict=True):
            table = self.curve(jnp.moveaxis(table, 1, -1), levels, value)
        return table

    def _values(self, situation: Mapping[str, Number]) -> list[Scalar]:
        missing = [name for name in self.variables if name not in situation]
        extra = [name for name in situation if name not in self.variables]
        if missing or extra:
            raise PersonaError(
                f"the surface asks for {listing(self.variables)}, but was given "
                f"{listing(situation)}"
            )
        return [jnp.asarray(situation[name], jnp.float32) for name in self.variables]


def surface_of(
    answers: Answers,
    *,
    floor: float = FLOOR,
    out_of: float = OUT_OF,
    curve: Curve = straight,
) -> Surface:
    """The surface behind a panel's answers: mean and spread over paraphrases and orders.

    Args:
        answers: of the panel.
        floor: least spread, in log-odds: what a panel cannot know of itself. A single replicate
            has this spread alone.
        out_of: how many people an answer speaks of; see `log_odds`.
        curve: what runs through the knots.

    Raises:
        PersonaError: a floor that is not above 0, or a share without log-odds.
    """
    if not floor > 0:
        raise PersonaError(f"floor = {floor}; give a spread above 0, in log-odds")
    odds = log_odds(answers, out_of=out_of)
    odds = odds.reshape(*odds.shape[:-3], answers.replicates, odds.shape[-1])
    spread = odds.std(axis=-2, ddof=1) if answers.replicates > 1 else np.zeros_like(odds[..., 0, :])
    return make_surface(
        odds.mean(axis=-2),
        np.hypot(spread, floor),
        answers.knots,
        answers.actions,
        bounds=answers.bounds,
        curve=curve,
    )


def make_surface(
    mean: Any,
    spread: Any,
    knots: Mapping[str, Sequence[float]],
    actions: Sequence[str],
    *,
    bounds: tuple[float, float] | None = None,
    curve: Curve = straight,
) -> Surface:
    """A surface from log-odds; a spread of one number holds everywhere.

    Raises:
        PersonaError: shapes that do not fit.
    """
    mean = np.asarray(mean, np.float32)
    return Surface(
        mean=jnp.asarray(mean),
        spread=jnp.asarray(np.broadcast_to(np.asarray(spread, np.float32), mean.shape)),
        levels=tuple(jnp.asarray(levels, jnp.float32) for levels in knots.values()),
        variables=tuple(knots),
        actions=tuple(actions),
        bounds=bounds,
        curve=curve,
    )
