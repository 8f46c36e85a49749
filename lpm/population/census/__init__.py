"""Survey and census files as downloaded, and the fitting problem they make."""

from .acs import read_acs as read_acs
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
