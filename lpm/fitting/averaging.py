"""How the losses of many runs become one number, and what each run counts in its slope."""

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Float

from ..errors import FittingError

Losses = Float[np.ndarray, "*point run"]


@runtime_checkable
class Average(Protocol):
    """A number for the losses of all runs, and its derivative by each of them."""

    def weigh(self, losses: Losses) -> tuple[Float[np.ndarray, "*point"], Losses]:
        """The number, and a weight per run; weights add up to 1."""
        ...


@final
@dataclass(frozen=True)
class Mean:
    """The plain mean."""

    def weigh(self, losses: Losses) -> tuple[Float[np.ndarray, "*point"], Losses]:
        """The mean; every run weighs the same."""
        return np.asarray(losses.mean(axis=-1)), np.full(losses.shape, 1 / losses.shape[-1])


@final
@dataclass(frozen=True)
class LogMeanExp:
    """The negative log of the mean likelihood, where losses are negative log-likelihoods."""

    def weigh(self, losses: Losses) -> tuple[Float[np.ndarray, "*point"], Losses]:
        """The likelier a run makes the data, the more it weighs."""
        best = losses.min(axis=-1, keepdims=True)
        best = np.where(np.isfinite(best), best, 0.0)
        likely = np.exp(best - losses)
        total = likely.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore"):
            level = best - np.log(total / losses.shape[-1])
        even = 1 / losses.shape[-1]
        weights = np.where(total > 0, likely / np.where(total > 0, total, 1.0), even)
        return np.asarray(level[..., 0]), weights


@final
@dataclass(frozen=True)
class WorstShare:
    """The mean over the worst `share` of the runs: conditional value at risk.

    Raises:
        FittingError: a share outside (0, 1].

    Source: Rockafellar & Uryasev (2000), Journal of Risk 2.
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise FittingError(f"the worst share is {self.share}; give one above 0, at most 1")

    def weigh(self, losses: Losses) -> tuple[Float[np.ndarray, "*point"], Losses]:
        """The largest losses weigh, the last of them in part where the share is no whole number."""
        runs = losses.shape[-1]
        order = np.argsort(np.argsort(-losses, axis=-1, kind="stable"), axis=-1)
        left = self.share * runs - order
        weights = np.clip(left, 0, 1) / (self.share * runs)
        counted = np.where(weights > 0, losses, 0.0)
        return np.asarray((weights * counted).sum(axis=-1)), weights


def choose_average(combine: str | Average) -> Average:
    """The average behind a name: mean or log_mean_exp.

    Raises:
        FittingError: an unknown name.
    """
    if not isinstance(combine, str):
        return combine
    known: dict[str, Average] = {"mean": Mean(), "log_mean_exp": LogMeanExp()}
    if combine not in known:
        raise FittingError(f"combine = {combine!r}; it is 'mean' or 'log_mean_exp'")
    return known[combine]
