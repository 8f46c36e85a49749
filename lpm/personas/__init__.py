"""A few described voices whose answers become the behaviour of millions.

In the order in which a newcomer needs them:

1. **Asking.** A `Question` has a `Persona`, a template with numbers, news if any, and a `Codebook`:
   the numbers that make up an answer. `print(question.as_sent)` is what a model reads. `plan` says
   what asking takes; `ask` puts questions to a `Respondent` (`Http`, `Local`, a `Replay` of a
   transcript, or `Rules`, which are no language model) within a `Budget`, every attempt on record,
   and gives an `Interview`. Nothing is made up: what cannot be used is an error, or a `Fallback`
   that was chosen. `read_sheet` reads all of it from a file; `probe` finds out what an endpoint
   honours; `measure_shifts` what an event does to answers.
2. **A surface.** An `Inquiry` is one question about a whole situation: actions or a number, at
   every knot of its variables. `inquiry.answers(ask(inquiry.questions(people), ...))` are
   `Answers`; `surface_of` them is a `Surface`, which a step of a run reads at its own situation,
   for each persona, with derivatives.
3. **More cells than personas.** `cells_of` cuts a population by `Band`s, `choose_anchors` picks the
   few that are asked (`personas_of`), `spread_out` foretells the others by ridge regression and
   says how well; `learn` sets networks beside it and takes them (a `Surrogate`) only where they
   foretell better. `where_to_ask` and `ask_where_it_matters` spend further calls on the answers
   that an outcome depends on most.
4. **Correcting.** `correct` bends a surface to a small `Survey`, for cells that were not surveyed
   as well, with intervals; `surface.shifted` has two numbers that outcome data can fit.
5. **In a run.** Answers fixed beforehand stand in the state: `surface.share(action, cell, ...)` is
   each agent's probability, and `leaning` lets the same people act again, as often as
   `fit_persistence` says. People who are asked while it runs are a `Panel` of the scenario, with
   dated `Event`s and a `Watch` on what may drift; `lpm.simulate(..., respondent=...)` takes who
   answers, or an `Interviewer` with budget and transcript. `Recorded` is what they said.
6. **Memory and pace.** `remember` keeps what the people of each cell lived through, in numbers that
   a panel can be told; a `Pace` bounds how far answers move between two rounds.
7. **Taxes.** `elasticities` of work from answers about hours, `fit_thresholds` of what is bearable;
   `govern` lets a `Legislator` set rates, year by year, from what came of past ones.

Points 1 to 3, answered by rules:

    >>> import jax.numpy as jnp
    >>> import lpm
    >>> from lpm import personas
    >>> from scenarios.isolation import PERSONAS
    >>> cells = personas.cells_of(lpm.Population.toy(1_000), PERSONAS)
    >>> anchors = personas.choose_anchors(cells, 8)
    >>> inquiry = personas.Inquiry(
    ...     knots={"payment": (0.0, 1.0), "prevalence": (0.001, 0.01, 0.1), "trend": (-1.0, 1.0)},
    ...     wordings=("Ill are {prevalence:.1%} of the town, in logs {trend:+.0f} this week.",),
    ...     actions=("go out as usual", "stay at home"),
    ...     along="payment",
    ...     level="where {payment:.0%} of lost wages are paid",
    ... )
    >>> people = personas.personas_of(cells, anchors.cell)
    >>> told = personas.ask(inquiry.questions(people), personas.read_rules("isolation"))
    >>> len(told.questions)
    48
    >>> few = personas.surface_of(inquiry.answers(told))
    >>> everybody = personas.spread_out(few, anchors, cells).surface
    >>> now = {"payment": 0.8, "prevalence": 0.02, "trend": 0.0}
    >>> cell = jnp.asarray(cells.cell_of)  # of each agent; in a run a field of the state
    >>> everybody.share("stay at home", cell, **now).shape
    (1000,)
"""

from typing import TYPE_CHECKING

from ..later import later
from .anchors import Anchors, choose_anchors
from .answers import Answers, log_odds
from .asking import Sofar, ask
from .attempts import Retries
from .budget import Budget, Price, Spent
from .cells import Band, Cells, cells_of
from .codebook import Codebook, Failure, Number
from .curves import monotone, straight
from .elasticity import Elasticities, elasticities
from .features import attributes
from .headlines import Event
from .inquiry import Inquiry, personas_of
from .interview import Fallback, Interview
from .interviewer import Interviewer
from .legislator import Legislator, Reign, Year, govern
from .memory import lived_by, remember
from .needs import Need, Refinement, ask_where_it_matters, updated, where_to_ask
from .pace import Pace, frontier
from .panel import Panel, Watch
from .planning import Plan, plan
from .probing import Probe, probe
from .question import Persona, Question, Settings
from .recorded import Reason, Recorded
from .replay import Replay
from .replies import About, Fault, Provenance, Reply, Respondent
from .respondents import Http, Local
from .response import shares_of
from .rule_cards import read_rules
from .rules import Rules
from .sheets import Sheet, make_respondent, read_sheet
from .shifts import Shifts, measure_shifts
from .spread import Spread, spread_out
from .surface import Surface, make_surface, surface_of
from .survey import Survey, design_effect_of
from .thresholds import Thresholds, constant_loss, fit_thresholds
from .transcripts import attempts_frame, read_transcript, total_spent

# What learns brings the heaviest libraries along, and a run with a panel needs none of it.
if TYPE_CHECKING:
    from .learning import Learnt, learn
    from .residual import Correction, correct
    from .surrogate import Surrogate
    from .within import fit_persistence, leaning
__getattr__, __dir__ = later(
    __name__,
    {
        "learning": ["Learnt", "learn"],
        "residual": ["Correction", "correct"],
        "surrogate": ["Surrogate"],
        "within": ["fit_persistence", "leaning"],
    },
)

__all__ = [
    "About",
    "Anchors",
    "Answers",
    "Band",
    "Budget",
    "Cells",
    "Codebook",
    "Correction",
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
    "leaning",
    "learn",
    "lived_by",
    "log_odds",
    "make_respondent",
    "make_surface",
    "measure_shifts",
    "monotone",
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
