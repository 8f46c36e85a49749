"""The lineage adjoint: gradients of epidemics in homes and on networks by any number of fields."""

from .estimator import Lineage as Lineage
