"""Economics: tax law, what workers earn under it, distributions, optimal taxes and welfare."""

from .aims import Aim, Felt, InverseIncome, ParetoWeights, Rawlsian, Utilitarian
from .design import Design, brackets, smooth
from .jump_check import JumpReport, check_jumps
from .jumps import Crossing
from .law import STATUSES, federal, read_schedule
from .piecewise import Piecewise, phased
from .planned import Plan
from .planner import plan, plan_revenue
from .rebates import equal_rebate, targeted_rebate
from .response import Response, potential_income, respond
from .revealed import revealed_weights
from .schedule import Schedule, by_group, from_piecewise
from .sums import total
from .voting import Election, favourite, logit, majority, plurality, utilities
from .workforce import Workforce

__all__ = [
    "STATUSES",
    "Aim",
    "Crossing",
    "Design",
    "Election",
    "Felt",
    "InverseIncome",
    "JumpReport",
    "ParetoWeights",
    "Piecewise",
    "Plan",
    "Rawlsian",
    "Response",
    "Schedule",
    "Utilitarian",
    "Workforce",
    "brackets",
    "by_group",
    "check_jumps",
    "equal_rebate",
    "favourite",
    "federal",
    "from_piecewise",
    "logit",
    "majority",
    "phased",
    "plan",
    "plan_revenue",
    "plurality",
    "potential_income",
    "read_schedule",
    "respond",
    "revealed_weights",
    "smooth",
    "targeted_rebate",
    "total",
    "utilities",
]
