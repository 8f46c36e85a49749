"""What a panel answered in a run: when, why, and with which numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from ..errors import PersonaError


class Reason(IntEnum):
    """Why a panel was asked."""

    START = 0
    CALENDAR = 1
    EVENT = 2
    DRIFT = 3
    HULL = 4


@dataclass(frozen=True, eq=False)
class Recorded:
    """Answers in force over a run.

    Attributes:
        step: before which each round was asked.
        reason: why, as in `Reason`.
        tainted: whether news that nobody vouched for was told.
        values: answers in force from each round on, by variable. [*lead, round, persona]
    """

    step: Int[np.ndarray, " round"]
    reason: Int[np.ndarray, " round"]
    tainted: Bool[np.ndarray, " round"]
    values: Mapping[str, Float[np.ndarray, "*lead round persona"]]

    def hear(self, state: Any, _params: Any, _draw: Any) -> Any:
        """A process that sets the variables to what was answered: constants for a gradient."""
        at = jnp.searchsorted(jnp.asarray(self.step), state.t, side="right") - 1
        return state.replace(**{n: jnp.asarray(x)[at] for n, x in self.values.items()})

    def run(self, index: int) -> "Recorded":
        """The answers of one run of an ensemble.

        Raises:
            PersonaError: this is of one run.
        """
        if any(x.ndim < 3 for x in self.values.values()):
            raise PersonaError("these are the answers of one run already")
        values = {n: x.reshape(-1, *x.shape[-2:])[index] for n, x in self.values.items()}
        return Recorded(self.step, self.reason, self.tainted, values)

    def table(self) -> list[dict[str, Any]]:
        """Step, reason and taint of every round, as plain JSON values."""
        return [
            {"step": int(s), "reason": Reason(int(r)).name.lower(), "tainted": bool(t)}
            for s, r, t in zip(self.step, self.reason, self.tainted, strict=True)
        ]


def join_recorded(parts: Sequence[Recorded], *, alone: bool) -> Recorded:
    """Answers of several chunks of an ensemble, whose rounds need not coincide, as one.

    With `alone` each part is of one run and gets an axis of its own.
    """
    steps = np.unique(np.concatenate([part.step for part in parts]))
    reason = np.full(len(steps), -1)
    tainted = np.zeros(len(steps), bool)
    for part in parts:
        at = np.searchsorted(steps, part.step)
        reason[at] = np.maximum(reason[at], part.reason)
        tainted[at] |= part.tainted
    join = np.stack if alone else np.concatenate
    values = {
        name: join(
            [
                part.values[name][..., np.searchsorted(part.step, steps, side="right") - 1, :]
                for part in parts
            ]
        )
        for name in parts[0].values
    }
    return Recorded(steps, reason, tainted, values)
