"""Where drawn people spend the day: schools, workplaces, care homes, and the friends they have."""

from .flows import gravity_flows as gravity_flows, read_flows as read_flows
from .friends import tie_friends as tie_friends
from .places import place_people as place_people
from .zones import Zones as Zones, read_zones as read_zones
