"""Economics: tax law, what workers earn under it, distributions, optimal taxes and welfare."""

from .jump_check import JumpReport, check_jumps
from .jumps import Crossing
from .law import STATUSES, federal, read_schedule
from .piecewise import Piecewise, phased
from .rebates import equal_rebate, targeted_rebate
from .response import Response, potential_income, respond
from .schedule import Schedule, by_group, from_piecewise
from .sums import total

__all__ = [
    "STATUSES",
    "Crossing",
    "JumpReport",
    "Piecewise",
    "Response",
    "Schedule",
    "by_group",
    "check_jumps",
    "equal_rebate",
    "federal",
    "from_piecewise",
    "phased",
    "potential_income",
    "read_schedule",
    "respond",
    "targeted_rebate",
    "total",
]
