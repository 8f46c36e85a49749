"""Networks: who affects whom."""

from .base import AbstractNetwork as AbstractNetwork
from .graph import Graph as Graph
from .groups import Groups as Groups
from .lattice import Lattice as Lattice
from .mixing import Mixing as Mixing
