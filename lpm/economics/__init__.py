"""Economics: tax law, what workers earn under it, distributions, optimal taxes and welfare."""

from . import optimal_tax, welfare
from .aims import Aim, Felt, InverseIncome, ParetoWeights, Rawlsian, Utilitarian
from .best_response import Gap, best_response_gap
from .design import Design, brackets, smooth
from .equilibrium import between, clear, fixed_point
from .income_effects import Earned, respond_balanced, respond_curved
from .inequality import Ranking
from .inverse import BackedOut, back_out, costs_of_working, slope_of_chance
from .jump_check import JumpReport, check_jumps
from .jumps import Crossing
from .law import STATUSES, federal, read_schedule
from .piecewise import Piecewise, phased
from .planned import Plan
from .planner import plan, plan_revenue
from .production import ces_output, ces_wages
from .rebates import equal_rebate, targeted_rebate
from .response import Response, potential_income, respond
from .revealed import revealed_weights
from .satisfaction import Satisfaction
from .schedule import Schedule, by_group, from_edges, from_piecewise
from .skills import GeneralisedBeta, Lognormal, Pareto, Skills
from .social_welfare import SocialWelfare
from .sums import running, total
from .tradeoff import Tradeoff, revealed_tradeoff
from .voting import Election, favourite, logit, majority, plurality, utilities
from .workforce import Workforce

__all__ = [
    "STATUSES",
    "Aim",
    "BackedOut",
    "Crossing",
    "Design",
    "Earned",
    "Election",
    "Felt",
    "Gap",
    "GeneralisedBeta",
    "InverseIncome",
    "JumpReport",
    "Lognormal",
    "Pareto",
    "ParetoWeights",
    "Piecewise",
    "Plan",
    "Ranking",
    "Rawlsian",
    "Response",
    "Satisfaction",
    "Schedule",
    "Skills",
    "SocialWelfare",
    "Tradeoff",
    "Utilitarian",
    "Workforce",
    "back_out",
    "best_response_gap",
    "between",
    "brackets",
    "by_group",
    "ces_output",
    "ces_wages",
    "check_jumps",
    "clear",
    "costs_of_working",
    "equal_rebate",
    "favourite",
    "federal",
    "fixed_point",
    "from_edges",
    "from_piecewise",
    "logit",
    "majority",
    "optimal_tax",
    "phased",
    "plan",
    "plan_revenue",
    "plurality",
    "potential_income",
    "read_schedule",
    "respond",
    "respond_balanced",
    "respond_curved",
    "revealed_tradeoff",
    "revealed_weights",
    "running",
    "slope_of_chance",
    "smooth",
    "targeted_rebate",
    "total",
    "utilities",
    "welfare",
]
