"""How fast what personas answer may move between two rounds of asking."""

import math
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Float

from ..axes import Array
from ..errors import PersonaError
from .surface import Surface


@dataclass(frozen=True)
class Pace:
    """Bounds on one update: a moving average, a cap and a dead-band.

    With `gap = told - now`, an update is nothing where `|gap| <= band`, else `follow * gap`, drawn
    back to at most `cap` either way; number by number. What stands between two rounds then neither
    jumps with every reply nor moves for noise. Of answers without memory or trend, of variance v,
    the average alone leaves what `frontier` says; a cap and a band take from movement and add to
    distance. Source of the three: the abstract of arXiv:2510.00339; the formulas are derived here.

    Attributes:
        follow: share of the gap that is closed, in (0, 1].
        cap: the most that a number moves at once, in its own unit; for a `Surface`, log-odds.
        band: gaps up to this move nothing.

    Raises:
        PersonaError: a value outside its range.

    Example:
        >>> Pace(follow=0.5, cap=0.3, band=0.1).move(jnp.zeros(3), jnp.array([0.08, 0.4, -4.0]))
        Array([ 0. ,  0.2, -0.3], dtype=float32)
    """

    follow: float = 1.0
    cap: float = math.inf
    band: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.follow <= 1:
            raise PersonaError(f"follow = {self.follow}; give a share of the gap, above 0 and to 1")
        if not self.cap > 0:
            raise PersonaError(f"cap = {self.cap}; give the most that may move at once, above 0")
        if not 0 <= self.band < math.inf:
            raise PersonaError(f"band = {self.band}; give 0 or more, up to what counts as noise")

    def move(self, now: Float[Array, "*shape"], told: Float[Array, "*shape"]) -> Array:
        """`now`, moved towards `told` as far as allowed; differentiable by both.

        The derivative is 1 by `now` inside the band and at the cap, and 0 by `told`.
        """
        gap = told - now
        step = jnp.clip(self.follow * gap, -self.cap, self.cap)
        return now + jnp.where(jnp.abs(gap) > self.band, step, 0)

    def refresh(self, now: Surface, told: Surface) -> Surface:
        """The surface in use after a new round of asking: log-odds move, the spread is the new one.

        Raises:
            PersonaError: surfaces of other personas or questions.
        """
        same = now.mean.shape == told.mean.shape and now.actions == told.actions
        if not same or now.variables != told.variables or now.bounds != told.bounds:
            raise PersonaError(
                f"a surface of {list(told.mean.shape)} about {told.actions} cannot refresh one of "
                f"{list(now.mean.shape)} about {now.actions}; ask the same personas the same"
            )
        return eqx.tree_at(lambda s: s.mean, told, self.move(now.mean, told.mean))


def frontier(follow: float, variance: float = 1.0) -> tuple[float, float]:
    """Churn and mismatch of a moving average of answers without memory or trend.

    Churn is the mean square of a step, `2 follow**2 v / (2 - follow)`; mismatch that of the
    distance from the answer just heard, `2 (1 - follow)**2 v / (2 - follow)`. Their roots add up to
    `sqrt(2 v / (2 - follow))`: what is won in calm is paid in closeness. Exact in the long run,
    whatever the distribution of the answers.

    Raises:
        PersonaError: a share outside (0, 1], or a variance below 0.
    """
    if not 0 < follow <= 1 or not variance >= 0:
        raise PersonaError(
            f"follow = {follow}, variance = {variance}; give a share of the gap, above 0 and to 1, "
            "and a variance of 0 or more"
        )
    scale = 2 * variance / (2 - follow)
    return follow**2 * scale, (1 - follow) ** 2 * scale
