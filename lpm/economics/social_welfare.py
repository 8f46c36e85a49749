"""Social welfare: whose utility counts how much, said once and used for every policy."""

from dataclasses import dataclass

import jax

from ..axes import Array, Bool, Float, Number, Scalar
from ..errors import DataError, unknown
from .welfare import inverse_income, isoelastic, rawlsian, utilitarian, weighted

KINDS = ("utilitarian", "isoelastic", "inverse income", "rawlsian")


@dataclass(frozen=True)
class SocialWelfare:
    """How people are added up: always per head, and with weights over their mean.

    Attributes:
        kind: `utilitarian`; `isoelastic`, what everybody would need alike, of utilities above 0;
            `inverse income`, with weights max(income, floor)**-power; or `rawlsian`, the worst-off
            `worst` of people.
        aversion: to inequality, of isoelastic; 0 is utilitarian, 1 the geometric mean.
        floor: of income, in its unit; positive. Nobody weighs more than somebody at the floor.
        power: of inverse income; 0 is utilitarian.
        worst: share of people who count for `rawlsian`.
        moving: whether the weights are those of incomes under the policy that is judged, and part
            of what a gradient follows, or taken as given.
        normalised: whether weights are divided by their mean.

    Raises:
        DataError: an unknown kind; a floor, power or share that does not fit; or weights that move
            with policy and are not normalised. Under those a tax of all income is best whatever
            the skills are: they reward low incomes, not those who have them.
    """

    kind: str = "utilitarian"
    aversion: float | int = 1.0
    floor: float | int = 1.0
    power: float | int = 1.0
    worst: float | int = 0.01
    moving: bool = True
    normalised: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(unknown("SocialWelfare", "kind", [self.kind], KINDS))
        if not self.aversion >= 0:
            raise DataError(f"SocialWelfare.aversion = {self.aversion}; give 0 or more")
        if not self.floor > 0:
            raise DataError(f"SocialWelfare.floor = {self.floor}; give a positive income")
        if not self.power >= 0:
            raise DataError(f"SocialWelfare.power = {self.power}; give 0 or more")
        if not 0 < self.worst <= 1:
            raise DataError(f"SocialWelfare.worst = {self.worst}; a share of people lies in (0, 1]")
        if self.kind == "inverse income" and self.moving and not self.normalised:
            raise DataError(
                "SocialWelfare.normalised = False with weights of incomes that move with policy: "
                "a tax of all income would be best whatever the skills; normalise, or say "
                "moving=False"
            )

    def __call__(
        self,
        utility: Float[Array, " agent"],
        income: Float[Array, " agent"],
        weight: Float[Array, " agent"] | None = None,
        where: Bool[Array, " agent"] | None = None,
        *,
        floor: Number | None = None,
        aversion: Number | None = None,
    ) -> Scalar:
        """Welfare per head.

        Args:
            utility: in money.
            income: that the weights go by.
            weight: how many people an agent stands for; 1 if not given.
            where: who counts.
            floor, aversion: in place of its own, such as ones that are traced.
        """
        if self.kind == "rawlsian":
            return rawlsian(utility, weight, where, self.worst)
        if self.kind == "isoelastic":
            fear = self.aversion if aversion is None else aversion
            return isoelastic(utility, fear, weight, where)
        if self.kind == "utilitarian":
            return utilitarian(utility, weight, where)
        income = income if self.moving else jax.lax.stop_gradient(income)
        cared = inverse_income(income, self.floor if floor is None else floor, self.power)
        if self.normalised:
            return weighted(utility, cared, weight, where)
        return utilitarian(utility * cared, weight, where)
