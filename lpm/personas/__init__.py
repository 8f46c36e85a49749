"""Personas: a few voices whose answers, as surfaces over a situation, move many agents."""

from .anchors import Anchors, choose_anchors
from .answers import Answers, log_odds
from .cells import Band, Cells, cells_of
from .curves import monotone, straight
from .features import attributes, hashed_words, pairs
from .residual import Correction, correct
from .rules import Rules, read_rules
from .spread import Spread, spread_out
from .surface import Surface, make_surface, shares_of, surface_of
from .survey import Survey, design_effect_of
from .within import fit_persistence, leaning

__all__ = [
    "Anchors",
    "Answers",
    "Band",
    "Cells",
    "Correction",
    "Rules",
    "Spread",
    "Surface",
    "Survey",
    "attributes",
    "cells_of",
    "choose_anchors",
    "correct",
    "design_effect_of",
    "fit_persistence",
    "hashed_words",
    "leaning",
    "log_odds",
    "make_surface",
    "monotone",
    "pairs",
    "read_rules",
    "shares_of",
    "spread_out",
    "straight",
    "surface_of",
]
