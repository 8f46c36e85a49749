"""Survey and census files as downloaded, and the fitting problem they make."""

from .acs import read_acs as read_acs
from .pums import read_pums as read_pums
from .summary import summary as summary
