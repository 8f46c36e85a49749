"""Streams of reports taken in week by week."""

from .feed import Feed as Feed
from .rounds import assimilate as assimilate
from .stream import Stream as Stream
from .weeks import Assimilation as Assimilation, Week as Week
