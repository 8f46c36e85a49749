"""The ages and sexes of people who live together, oldest first, as a chain.

A household has a composition: how many elderly (65 and over), adults (18 to 64) and children live
there. Its oldest member is drawn first, then each next one given the one before. On top of that
stands one factor per age band and sex (the tilt of a borough), which changes the chain as little as
can be while it brings the borough's people to their published ages (maximum entropy; the
conditional chain follows from a backward pass).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from .seeds import Generator

BANDS = (0, 5, 10, 15, 18, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85)
SEXES = ("male", "female")
STATES = len(BANDS) * len(SEXES)
CHILD, ADULT, ELDERLY = 0, 1, 2
CLASS_OF_BAND = np.digitize(BANDS, (18, 65))

# Children, adults and elderly of a household.
Composition: TypeAlias = tuple[int, int, int]
FirstKey: TypeAlias = tuple[int, int, int]
NextKey: TypeAlias = tuple[int, int, int, int, int]
SexKey: TypeAlias = tuple[int, int, int, int, int]


def classes(composition: Composition) -> tuple[int, ...]:
    """Age class of each member, oldest first."""
    children, adults, elderly = composition
    return (ELDERLY,) * elderly + (ADULT,) * adults + (CHILD,) * children


def first_key(composition: Composition) -> FirstKey:
    """What the oldest member's age hangs on: children (up to 3), adults (3) and elderly (2)."""
    children, adults, elderly = composition
    return min(children, 3), min(adults, 3), min(elderly, 2)


def next_key(composition: Composition, rank: int) -> NextKey:
    """What the step from member `rank` to the next one hangs on, besides the member's own state.

    Classes of both, whether it is the first step, how many of the next one's class are still to
    come (children up to 4, others up to 3), and whether there are any children.
    """
    kinds = classes(composition)
    here, after = kinds[rank], kinds[rank + 1]
    remaining = min(kinds[rank + 1 :].count(after), 4 if after == CHILD else 3)
    return here, after, int(rank == 0), remaining, int(composition[0] > 0)


def sex_key(key: NextKey, gap: int) -> SexKey:
    """What the next member's sex hangs on, besides the sex of the one before.

    Classes of both, whether it is the first step, any children, and how many bands lie between
    the two (up to 3).
    """
    here, after, is_first, _, has_children = key
    return here, after, is_first, has_children, min(gap, 3)


def combine(
    bands: Mapping[NextKey, Float[np.ndarray, "band next"]],
    females: Mapping[SexKey, Float[np.ndarray, " sex"]],
) -> dict[NextKey, Float[np.ndarray, "state following"]]:
    """Steps between states from steps between age bands and the next member's sex.

    Args:
        bands: [from, to] shares of the next member's band.
        females: share of women and girls among next members, by the sex of the one before.
    """
    count = len(BANDS)
    following = {}
    for key, table in bands.items():
        steps = np.zeros((count, 2, count, 2))
        for band, after in zip(*np.nonzero(table), strict=True):
            female = females[sex_key(key, int(band - after))]
            steps[band, :, after, 1] = table[band, after] * female
            steps[band, :, after, 0] = table[band, after] * (1 - female)
        following[key] = steps.reshape(STATES, STATES)
    return following


@dataclass(frozen=True)
class Chain:
    """Ages and sexes of household members, before a borough's tilt.

    A state is 2 * band + sex.

    Attributes:
        first: share of states of the oldest member, by `first_key`.
        following: [from, to] shares of the next member's state, by `next_key`.
    """

    first: Mapping[FirstKey, Float[np.ndarray, " state"]]
    following: Mapping[NextKey, Float[np.ndarray, "state next"]]

    def backward(
        self, composition: Composition, factor: Float[np.ndarray, " state"]
    ) -> list[Float[np.ndarray, " state"]]:
        """Weight of all that can come after each member, given the member's state."""
        later = [np.ones(STATES)]
        for rank in range(sum(composition) - 2, -1, -1):
            step = self.following[next_key(composition, rank)]
            later.append(step @ (factor * later[-1]))
        return later[::-1]

    def weight(self, composition: Composition, factor: Float[np.ndarray, " state"]) -> float:
        """How much the tilt favours a composition."""
        later = self.backward(composition, factor)
        return float(np.sum(self.first[first_key(composition)] * factor * later[0]))

    def expected(
        self, composition: Composition, factor: Float[np.ndarray, " state"]
    ) -> tuple[float, Float[np.ndarray, " state"]]:
        """Weight of a composition, and members by state of one such household."""
        later = self.backward(composition, factor)
        here = self.first[first_key(composition)] * factor
        total = float(np.sum(here * later[0]))
        members = here * later[0]
        for rank in range(sum(composition) - 1):
            here = (here @ self.following[next_key(composition, rank)]) * factor
            members = members + here * later[rank + 1]
        return total, members / total if total > 0 else members

    def sample(
        self,
        composition: Composition,
        factor: Float[np.ndarray, " state"],
        households: int,
        rng: Generator,
    ) -> Int[np.ndarray, "household member"]:
        """States of the members of so many households of one composition, oldest first."""
        later = self.backward(composition, factor)
        out = np.empty((households, sum(composition)), np.int8)
        start = self.first[first_key(composition)] * factor * later[0]
        out[:, 0] = choose(start[None], np.zeros(households, np.int64), rng)
        for rank in range(sum(composition) - 1):
            step = self.following[next_key(composition, rank)] * (factor * later[rank + 1])
            out[:, rank + 1] = choose(step, out[:, rank].astype(np.int64), rng)
        return out


def choose(
    weights: Float[np.ndarray, "row choice"], rows: Int[np.ndarray, " draw"], rng: Generator
) -> Int[np.ndarray, " draw"]:
    """For each draw, a choice in proportion to the weights of its row."""
    upto = np.cumsum(weights, axis=1)
    total = upto[:, -1:]
    upto = np.divide(upto, total, out=np.ones_like(upto), where=total > 0)
    ladder = (upto + np.arange(len(weights))[:, None]).ravel()
    found = np.searchsorted(ladder, rows + rng.random(len(rows)), side="right")
    # A draw within rounding of the row's end would land in the next row.
    last = rows * weights.shape[1] + weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, 1)[rows]
    return np.minimum(found, last) - rows * weights.shape[1]


def fit_tilt(
    chain: Chain,
    shares: Sequence[tuple[float, Sequence[tuple[Composition, float]]]],
    target: Float[np.ndarray, " state"],
    *,
    rounds: int = 400,
    tolerance: float = 1e-7,
) -> Float[np.ndarray, " state"]:
    """Factors that bring the expected people of a borough to `target`, by iterative scaling.

    Args:
        chain: the chain before tilting.
        shares: for each household size its share of households, and the compositions of that size
            with their shares among them.
        target: people by state, in any unit.
        rounds: at most this many passes.
        tolerance: largest error of a state's share of people to stop at.
    """
    wanted = target / target.sum()
    factor = np.ones(STATES)
    for _ in range(rounds):
        found = expected_people(chain, shares, factor)
        found = found / found.sum()
        if np.max(np.abs(found - wanted)) < tolerance:
            break
        ratio = np.divide(wanted, found, out=np.ones(STATES), where=found > 0)
        factor = factor * ratio**0.6
        factor = factor / np.exp(np.mean(np.log(factor)))
    return factor


def tilted_shares(
    chain: Chain,
    compositions: Sequence[tuple[Composition, float]],
    factor: Float[np.ndarray, " state"],
) -> Float[np.ndarray, " composition"]:
    """Shares of compositions of one size under a tilt."""
    weights = np.array([share * chain.weight(kind, factor) for kind, share in compositions])
    return weights / weights.sum()


def expected_people(
    chain: Chain,
    shares: Sequence[tuple[float, Sequence[tuple[Composition, float]]]],
    factor: Float[np.ndarray, " state"],
) -> Float[np.ndarray, " state"]:
    """People by state in an average household of a borough."""
    people = np.zeros(STATES)
    for share, compositions in shares:
        found = [(base, *chain.expected(kind, factor)) for kind, base in compositions]
        total = sum(base * weight for base, weight, _ in found)
        for base, weight, members in found:
            people += share * base * weight / total * members
    return people
