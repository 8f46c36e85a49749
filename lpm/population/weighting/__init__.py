"""Weights for survey records so that zones come out as published."""

from .compare import survey_totals as survey_totals
from .fit import fit_weights as fit_weights
from .gradient import margin_gradient as margin_gradient, prior_gradient as prior_gradient
from .ipf import ipf as ipf
from .priors import zone_priors as zone_priors
from .problem import Fitted as Fitted, Level as Level, Problem as Problem, Rules as Rules
from .reconcile import reconcile_margins as reconcile_margins
from .redraw import redraw_targets as redraw_targets
from .refit import refit as refit, refit_draws as refit_draws
from .slack import choose_slack as choose_slack, importance_errors as importance_errors
from .solution import reached_totals as reached_totals
from .words import explain_fit as explain_fit
