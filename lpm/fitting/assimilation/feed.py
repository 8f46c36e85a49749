"""One series of a stream: how its reports come about, and when how much of them is known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Float

from ...errors import FittingError
from ..noise import DirichletMultinomial, NegativeBinomial, Noise

WAYS = ("sum", "rise", "mean", "last")
DATES = ("event", "report")
FAR = 2**30  # A row by which everything is known.


@final
@dataclass(frozen=True)
class Feed:
    """A series of reports and the observable behind it, without its numbers.

    What is expected of a period is read off the observable as `over` says, times the share that is
    ever reported, plus a background. Dated by event, a period counts what happened in it, of which
    at first only part is known: `delay` says how much. Dated by report, it counts what came in.

    Attributes:
        observable: its name in the scenario.
        noise: how numbers scatter about their expectation.
        window: rows of a period: 1 for a daily series of a daily run, 7 for a weekly one.
        over: what a period is of its rows: their sum; the rise of a running total, from 0 before
            the run; their mean; or the last of them.
        dated: "event", or "report".
        reported: share of events that are ever reported.
        delay: share of these that is known 0, 1, 2, ... rows after the event.
        background: expected of a period from elsewhere; by default 0.001 of a count, which keeps
            one that the model thinks impossible from being infinitely bad, and 0 of other numbers.
        element: which element of an observable that is an array.

    Raises:
        FittingError: an unknown word, a share outside [0, 1], a delay that does not sum to 1 or
            goes with a mean or a last row, or a noise without residuals or sample.
    """

    observable: str
    noise: Noise = field(default_factory=NegativeBinomial)
    window: int = 1
    over: str = "sum"
    dated: str = "event"
    reported: float | int = 1.0
    delay: Sequence[float | int] = (1.0,)
    background: float | int | None = None
    element: int | None = None

    def __post_init__(self) -> None:
        me = f"the feed of {self.observable!r}"
        for name, words in (("over", WAYS), ("dated", DATES)):
            if getattr(self, name) not in words:
                raise FittingError(
                    f"{me} has {name} = {getattr(self, name)!r}; it is one of {words}"
                )
        if not 0 <= self.reported <= 1:
            raise FittingError(f"{me} has reported = {self.reported}; give a share in [0, 1]")
        shares = np.asarray(self.delay, float)
        if not shares.size or (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
            raise FittingError(
                f"{me} has a delay of sum {shares.sum():g}; its shares must sum to 1"
            )
        if self.over in ("mean", "last") and shares.size > 1:
            raise FittingError(
                f"{me} is a {self.over}, of which no part comes late; leave out delay"
            )
        if self.window < 1 or self.floor < 0 or (self.element or 0) < 0:
            raise FittingError(
                f"{me} has window {self.window}, background {self.floor} and element "
                f"{self.element}; give at least 1 row, and 0 or more of the others"
            )
        needs = [name for name in ("residuals", "sample") if not hasattr(self.noise, name)]
        if needs or isinstance(self.noise, DirichletMultinomial):
            raise FittingError(
                f"{me} has {type(self.noise).__name__} noise, which says nothing of one number "
                "alone; give a law with residuals and sample, such as NegativeBinomial"
            )

    @property
    def floor(self) -> float:
        """The background, by default or as given."""
        if self.background is not None:
            return float(self.background)
        return 1e-3 if self.over in ("sum", "rise") else 0.0

    @property
    def reach(self) -> int:
        """Rows before its last one that a period may depend on, or in which one is incomplete."""
        return self.window + len(self.delay) - 1

    def shares(self, end: int, known: int) -> tuple[float, ...]:
        """How much of what is reported of each row of a period is known by row `known`.

        The period ends with row `end`.
        """
        if self.dated == "report" or self.over in ("mean", "last"):
            return (1.0,) * self.window
        ages = known - (end - self.window + 1 + np.arange(self.window))
        heap = np.append(0.0, np.cumsum(np.asarray(self.delay, float)))
        heap[-1] = 1.0
        return tuple(heap[np.clip(ages + 1, 0, len(heap) - 1)].tolist())

    def functional(
        self, end: int, shares: Sequence[float], first: int, length: int
    ) -> Float[np.ndarray, " row"]:
        """A period as weights of `length` rows of the observable, from row `first` on."""
        weights, at = np.zeros(length), end - first
        inside = slice(at - self.window + 1, at + 1)
        if self.over == "last":
            weights[at] = 1.0
        elif self.over == "mean":
            weights[inside] = 1 / self.window
        elif self.dated == "event":
            weights[inside] = shares
        else:
            for lag, share in enumerate(self.delay):
                weights[inside.start - lag : inside.stop - lag] += share
        if self.over == "rise":
            weights[:-1] -= weights[1:].copy()
        return weights

    def read(
        self, rows: Any, functionals: Float[np.ndarray, "datum row"]
    ) -> Float[np.ndarray, "member datum"]:
        """What each member expects of some periods; `rows` are of the observable, [member, row]."""
        one = np.asarray(rows, np.float64)
        one = one.reshape(*one.shape[:2], -1)[..., self.element or 0]
        return one @ functionals.T * float(self.reported) + self.floor
