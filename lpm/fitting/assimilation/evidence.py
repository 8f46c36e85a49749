"""A week's reports beside what members expect: misses, likelihoods, and how surprising they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ..chance import fresh_words
from .feed import Feed
from .members import Rows
from .stream import Datum

_WIDTH = 8  # Reports that are weighed at once, or a multiple.
Expected = Float[np.ndarray, "member datum"]


@dataclass(frozen=True)
class Evidence:
    """Some reports, and what each member expects of them.

    Attributes:
        feeds: of each datum.
        values: what was reported.
        expected: by member.
    """

    feeds: tuple[Feed, ...]
    values: Float[np.ndarray, " datum"]
    expected: Expected

    @property
    def misses(self) -> Expected:
        """Expected less reported, in standard deviations of the noise."""
        return self._by_feed("residuals")

    @property
    def densities(self) -> Float[np.ndarray, " member"]:
        """Log-likelihood of all reports together."""
        return self._by_feed("log_likelihood").sum(axis=1)

    def _by_feed(self, method: str) -> Expected:
        found = np.empty(self.expected.shape)
        for feed, at in _groups(self.feeds):
            mean = _pad(self.expected[:, at])
            values = np.broadcast_to(_pad(self.values[None, at]), mean.shape)
            told = getattr(feed.noise, method)(values, jnp.asarray(mean, jnp.float32))
            found[:, at] = np.asarray(told, np.float64)[:, : len(at)]
        return found

    def replicate(self, words: UInt32[Array, " 2"], purpose: str) -> Expected:
        """Reports that each member might have had."""
        return draw_reports(self.feeds, self.expected, words, purpose)


def read_evidence(
    data: Sequence[Datum], feeds: Mapping[str, Feed], rows: Rows, first: int
) -> Evidence:
    """What members expect of the reports of a week; `rows` begin with row `first`."""
    expected = np.empty((len(next(iter(rows.values()))), len(data)))
    for number, one in enumerate(data):
        feed = feeds[one.feed]
        seen = rows[feed.observable]
        weights = feed.functional(one.end, one.shares, first, seen.shape[1])
        expected[:, number] = feed.read(seen, weights[None])[:, 0]
    values = np.array([one.value for one in data])
    return Evidence(tuple(feeds[one.feed] for one in data), values, expected)


def draw_reports(
    feeds: Sequence[Feed], expected: Expected, words: UInt32[Array, " 2"], purpose: str
) -> Expected:
    """Numbers about what is expected, by the noise of each feed."""
    found = np.empty(expected.shape)
    for number, (feed, at) in enumerate(_groups(feeds)):
        key = jax.random.wrap_key_data(fresh_words(words[None], 1, f"{purpose} {number}")[0])
        mean = jnp.asarray(_pad(expected[:, at]), jnp.float32)
        drawn = feed.noise.sample(key, mean, None)  # pyright: ignore[reportAttributeAccessIssue]
        found[:, at] = np.asarray(drawn, np.float64)[:, : len(at)]
    return found


def surprise(evidence: Evidence, words: UInt32[Array, " 2"], purpose: str) -> float:
    """How often reports that the members might have had lie as far out as the real ones.

    Farness is Mahalanobis' distance from the mean of such reports, on the scale of square roots.
    Uniform between 0 and 1 where the ensemble is right.
    """
    made = np.sqrt(evidence.replicate(words, purpose))
    mean = made.mean(axis=0)
    covariance = np.atleast_2d(np.cov(made, rowvar=False))
    # Few members cannot tell the correlation of many reports.
    share = min(0.9, made.shape[1] / len(made))
    covariance = (1 - share) * covariance + share * np.diag(np.diag(covariance))
    inverse = np.linalg.pinv(covariance + 1e-6 * np.eye(len(covariance)))
    off = np.concatenate([made, np.sqrt(evidence.values)[None]]) - mean
    far = np.einsum("md,de,me->m", off, inverse, off)
    return float((1 + (far[:-1] >= far[-1]).sum()) / len(far))


def _pad(numbers: Float[np.ndarray, "row datum"]) -> Float[np.ndarray, "row padded"]:
    """The last column again and again, so that few widths are ever compiled."""
    more = -numbers.shape[1] % _WIDTH
    return np.pad(numbers, ((0, 0), (0, more)), mode="edge")


def _groups(feeds: Sequence[Feed]) -> list[tuple[Feed, np.ndarray]]:
    """Each feed with the places of its reports."""
    distinct = list({id(feed): feed for feed in feeds}.values())
    return [(feed, np.flatnonzero([other is feed for other in feeds])) for feed in distinct]
