"""A few described voices whose answers become the behaviour of millions.

Asking: a `Question` goes to a `Respondent` through `ask`, within a `Budget`, every attempt in a
transcript. Nothing is made up: what cannot be used is an error, or a fallback that was chosen.

Using: `Answers` of the anchors of census `Cells` make a `Surface` over a situation, spread to all
cells and corrected by a survey, from which every agent reads the share that fits its cell. Where
networks foretell personas left out better than ridge regression, a `Surrogate` is read instead.
`ask_where_it_matters` spends calls on the answers that an outcome depends on most.
"""

from .anchors import Anchors, choose_anchors
from .answers import Answers, log_odds
from .asking import Sofar, ask
from .attempts import Retries
from .budget import Budget, Price, Spent
from .cells import Band, Cells, cells_of
from .codebook import Codebook, Failure, Number
from .curves import monotone, straight
from .elasticity import Elasticities, elasticities
from .features import attributes, hashed_words, pairs
from .headlines import Digest, Event
from .inquiry import Inquiry, personas_of
from .interview import Fallback, Interview
from .interviewer import Interviewer
from .learning import Learnt, learn
from .legislator import Legislator, Reign, Year, govern
from .memory import lived_by, remember
from .needs import Need, Refinement, ask_where_it_matters, updated, where_to_ask
from .pace import Pace, frontier
from .panel import Panel, Watch
from .planning import Plan, plan
from .probing import Probe, probe
from .question import Persona, Question, Settings
from .recorded import Reason, Recorded, join_recorded
from .replay import Replay
from .replies import About, Fault, Provenance, Reply, Respondent
from .residual import Correction, correct
from .respondents import Http, Local
from .rule_cards import read_rules
from .rules import Rules
from .sheets import Sheet, make_respondent, read_sheet
from .shifts import Shifts, measure_shifts
from .spread import Spread, spread_out
from .surface import Surface, make_surface, shares_of, surface_of
from .surrogate import Surrogate
from .survey import Survey, design_effect_of
from .thresholds import Thresholds, constant_loss, fit_thresholds
from .transcripts import attempts_frame, read_transcript, total_spent
from .within import fit_persistence, leaning

__all__ = [
    "About",
    "Anchors",
    "Answers",
    "Band",
    "Budget",
    "Cells",
    "Codebook",
    "Correction",
    "Digest",
    "Elasticities",
    "Event",
    "Failure",
    "Fallback",
    "Fault",
    "Http",
    "Inquiry",
    "Interview",
    "Interviewer",
    "Learnt",
    "Legislator",
    "Local",
    "Need",
    "Number",
    "Pace",
    "Panel",
    "Persona",
    "Plan",
    "Price",
    "Probe",
    "Provenance",
    "Question",
    "Reason",
    "Recorded",
    "Refinement",
    "Reign",
    "Replay",
    "Reply",
    "Respondent",
    "Retries",
    "Rules",
    "Settings",
    "Sheet",
    "Shifts",
    "Sofar",
    "Spent",
    "Spread",
    "Surface",
    "Surrogate",
    "Survey",
    "Thresholds",
    "Watch",
    "Year",
    "ask",
    "ask_where_it_matters",
    "attempts_frame",
    "attributes",
    "cells_of",
    "choose_anchors",
    "constant_loss",
    "correct",
    "design_effect_of",
    "elasticities",
    "fit_persistence",
    "fit_thresholds",
    "frontier",
    "govern",
    "hashed_words",
    "join_recorded",
    "leaning",
    "learn",
    "lived_by",
    "log_odds",
    "make_respondent",
    "make_surface",
    "measure_shifts",
    "monotone",
    "pairs",
    "personas_of",
    "plan",
    "probe",
    "read_rules",
    "read_sheet",
    "read_transcript",
    "remember",
    "shares_of",
    "spread_out",
    "straight",
    "surface_of",
    "total_spent",
    "updated",
    "where_to_ask",
]
