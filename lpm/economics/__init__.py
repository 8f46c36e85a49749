"""Economics: tax law, what workers earn under it, distributions, optimal taxes and welfare."""

from .best_response import Gap, best_response_gap
from .equilibrium import between, clear, fixed_point
from .jump_check import JumpReport, check_jumps
from .jumps import Crossing
from .law import STATUSES, federal, read_schedule
from .piecewise import Piecewise, phased
from .production import ces_output, ces_wages
from .rebates import equal_rebate, targeted_rebate
from .response import Response, potential_income, respond
from .schedule import Schedule, by_group, from_piecewise
from .sums import total
from .worker_policy import Career, WorkerPolicy, train_worker, untrained_worker

__all__ = [
    "STATUSES",
    "Career",
    "Crossing",
    "Gap",
    "JumpReport",
    "Piecewise",
    "Response",
    "Schedule",
    "WorkerPolicy",
    "best_response_gap",
    "between",
    "by_group",
    "ces_output",
    "ces_wages",
    "check_jumps",
    "clear",
    "equal_rebate",
    "federal",
    "fixed_point",
    "from_piecewise",
    "phased",
    "potential_income",
    "read_schedule",
    "respond",
    "targeted_rebate",
    "total",
    "train_worker",
    "untrained_worker",
]
