"""Survey and census files as downloaded, and the fitting problem they make."""

from .acs import read_acs as read_acs
from .assemble import Block as Block, assemble as assemble
from .control_file import read_controls as read_controls
from .controls import Control as Control, family as family
from .members import with_count as with_count, with_member as with_member
from .pums import read_pums as read_pums
from .schema import (
    Column as Column,
    Replicates as Replicates,
    SurveyFile as SurveyFile,
    SurveySchema as SurveySchema,
    read_schema as read_schema,
)
from .summary import summary as summary
from .survey import read_survey as read_survey
from .targets import (
    as_targets as as_targets,
    bracket_targets as bracket_targets,
    wide_targets as wide_targets,
)
