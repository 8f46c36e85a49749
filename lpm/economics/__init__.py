"""Economics: tax law, what workers earn under it, distributions, optimal taxes and welfare."""

from . import optimal_tax as optimal_tax, welfare as welfare
from .best_response import Gap as Gap, best_response_gap as best_response_gap
from .equilibrium import between as between, clear as clear, fixed_point as fixed_point
from .inequality import Ranking as Ranking
from .inverse import (
    BackedOut as BackedOut,
    back_out as back_out,
    costs_of_working as costs_of_working,
    slope_of_chance as slope_of_chance,
)
from .jump_check import JumpReport as JumpReport, check_jumps as check_jumps
from .jumps import Crossing as Crossing
from .law import STATUSES as STATUSES, federal as federal, read_schedule as read_schedule
from .piecewise import Piecewise as Piecewise, phased as phased
from .planner import Planner as Planner
from .production import ces_output as ces_output, ces_wages as ces_wages
from .rebates import equal_rebate as equal_rebate, targeted_rebate as targeted_rebate
from .response import (
    Response as Response,
    potential_income as potential_income,
    respond as respond,
)
from .schedule import (
    Schedule as Schedule,
    by_group as by_group,
    from_edges as from_edges,
    from_piecewise as from_piecewise,
)
from .skills import (
    GeneralisedBeta as GeneralisedBeta,
    Lognormal as Lognormal,
    Pareto as Pareto,
    Skills as Skills,
)
from .sums import running as running, total as total
