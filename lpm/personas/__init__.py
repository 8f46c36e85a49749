"""A few described voices whose answers become the behaviour of millions.

Asking: a `Question` goes to a `Respondent` through `ask`, within a `Budget`, every attempt in a
transcript. Nothing is made up: what cannot be used is an error, or a fallback that was chosen.
"""

from .answers import Answers as Answers, Fallback as Fallback
from .asking import Sofar as Sofar, ask as ask
from .attempts import Retries as Retries
from .budget import Budget as Budget, Price as Price, Spent as Spent
from .codebook import Codebook as Codebook, Failure as Failure, Number as Number
from .planning import Plan as Plan, plan as plan
from .probing import Probe as Probe, probe as probe
from .question import Persona as Persona, Question as Question, Settings as Settings
from .replay import Replay as Replay
from .replies import (
    About as About,
    Fault as Fault,
    Provenance as Provenance,
    Reply as Reply,
    Respondent as Respondent,
)
from .respondents import Http as Http, Local as Local
from .sheets import Sheet as Sheet, make_respondent as make_respondent, read_sheet as read_sheet
from .shifts import Shifts as Shifts, measure_shifts as measure_shifts
from .transcripts import (
    attempts_frame as attempts_frame,
    read_transcript as read_transcript,
    total_spent as total_spent,
)
