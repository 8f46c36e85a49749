"""Weights for survey records so that zones come out as published."""

from .fit import fit_weights as fit_weights, reached_totals as reached_totals
from .problem import Fitted as Fitted, Level as Level, Problem as Problem
from .reconcile import reconcile_margins as reconcile_margins
