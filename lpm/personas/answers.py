"""Answers as numbers: shares of actions, or a bounded number, by persona, level and wording."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import PersonaError

_SUM_SLACK = 1e-3
OUT_OF = 100.0  # "Of 100 people like you": the resolution of an answer in whole people.


@dataclass(frozen=True)
class Answers:
    """What a panel answered about one question.

    `values` has the axes persona, then one for each variable of the situation, then paraphrase,
    option order and action: shares of the declared actions that sum to 1, in the declared order of
    actions whatever the order they were offered in. With `bounds` there is one "action": a number.

    Attributes:
        knots: levels of each variable of the situation that were asked about, rising.
        actions: names, at least two; or the name of the number.
        values: [persona, *knot, paraphrase, order, action].
        bounds: of the number; `None` for shares.

    Raises:
        PersonaError: a shape that does not fit, knots that do not rise, an answer that is missing,
            not finite or outside its bounds, or shares that do not sum to 1; says which.
    """

    knots: Mapping[str, Sequence[float]]
    actions: tuple[str, ...]
    values: Float[np.ndarray, "persona *knot paraphrase order action"]
    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_knots(self.knots)
        wanted = len(self.actions) > 1 if self.bounds is None else len(self.actions) == 1
        if not wanted:
            raise PersonaError(
                f"actions = {list(self.actions)}; give two or more, or one name with bounds"
            )
        levels = tuple(len(levels) for levels in self.knots.values())
        shape = self.values.shape
        fits = len(shape) == len(levels) + 4 and shape[1 : 1 + len(levels)] == levels
        if not fits or shape[-1] != len(self.actions) or 0 in shape:
            raise PersonaError(
                f"answers have shape {list(shape)}; wanted [persona, {', '.join(self.knots)}, "
                f"paraphrase, order, action] with {list(levels)} levels and "
                f"{len(self.actions)} actions"
            )
        _check_values(self)

    @property
    def replicates(self) -> int:
        """Paraphrases times orders."""
        return self.values.shape[-3] * self.values.shape[-2]


def log_odds(
    answers: Answers, *, out_of: float = OUT_OF
) -> Float[np.ndarray, "persona *knot paraphrase order odds"]:
    """Answers on the log-odds scale: of each action but the first against the first.

    Half a person is added to every action (Jeffreys), so that "none of 100" stays finite; a number
    within bounds is treated as the share of the way from the lower to the upper.

    Args:
        answers: of a panel.
        out_of: how many people an answer speaks of; infinite leaves shares as they are.

    Raises:
        PersonaError: a share of 0 with `out_of` infinite.
    """
    return odds_of(answers.values, answers.bounds, out_of)


def odds_of(
    values: Float[np.ndarray, "*lead action"], bounds: tuple[float, float] | None, out_of: float
) -> Float[np.ndarray, "*lead odds"]:
    """Shares, or a number within bounds, on the log-odds scale, as `log_odds`.

    Raises:
        PersonaError: a share of 0 with `out_of` infinite.
    """
    shares = values.astype(np.float64)
    if bounds is not None:
        low, high = bounds
        way = (shares - low) / (high - low)
        shares = np.concatenate([1 - way, way], axis=-1)
    if np.isfinite(out_of):
        shares = (shares * out_of + 0.5) / (out_of + 0.5 * shares.shape[-1])
    elif (shares <= 0).any():
        raise PersonaError("a share of 0 has no log-odds; give out_of, the people in an answer")
    logs = np.log(shares)
    return logs[..., 1:] - logs[..., :1]


def check_knots(knots: Mapping[str, Sequence[float]]) -> None:
    """Refuse a situation without variables, or with one of fewer than two rising levels.

    Raises:
        PersonaError: it is so; says which.
    """
    if not knots:
        raise PersonaError("a question needs at least one variable of the situation")
    for name, levels in knots.items():
        steps = np.diff(np.asarray(levels, np.float64))
        if len(levels) < 2 or not (steps > 0).all():
            raise PersonaError(f"knots of {name!r} are {list(levels)}; give two or more, rising")


def _check_values(answers: Answers) -> None:
    values = answers.values
    low, high = answers.bounds or (0.0, 1.0)
    wrong = ~np.isfinite(values) | (values < low) | (values > high)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise PersonaError(
            f"the answer of persona {at[0]} at {list(at[1:])} is {values[at]}, "
            f"outside [{low:g}, {high:g}]"
        )
    if answers.bounds is None:
        off = np.abs(values.sum(axis=-1) - 1)
        if off.max() > _SUM_SLACK:
            at = tuple(int(i) for i in np.unravel_index(off.argmax(), off.shape))
            raise PersonaError(
                f"the shares of persona {at[0]} at {list(at[1:])} sum to "
                f"{values[at].sum():.4g}, not to 1"
            )
