"""lpm: simulate large populations with differentiable, vectorised transition functions."""

from typing import TYPE_CHECKING

from .aggregates import (
    count as count,
    count_by_segment as count_by,  # noqa: F401 - the door renames it
    share as share,
)
from .axes import Array as Array, Bool as Bool, Float as Float, Int as Int, Scalar as Scalar
from .contacts import hazard as hazard, infections as infections
from .demography import birth as birth, death as death
from .draw import Draw as Draw
from .errors import (
    DataError as DataError,
    FittingError as FittingError,
    LpmError as LpmError,
    PersonaError as PersonaError,
    ScenarioError as ScenarioError,
    SimulationError as SimulationError,
)
from .fields import (
    constant as constant,
    parameter as parameter,
    policy as policy,
    variable as variable,
)
from .graphs import (
    block_graph as block_graph,
    configuration_graph as configuration_graph,
    preferential_attachment as preferential_attachment,
    random_graph as random_graph,
    small_world as small_world,
)
from .later import later
from .networks import Graph as Graph, Groups as Groups, Lattice as Lattice, Mixing as Mixing
from .params import Params as Params
from .personas import Panel as Panel
from .population import Population as Population
from .scenario import Scenario as Scenario, every as every
from .simulation import ensemble as ensemble, simulate as simulate
from .state import State as State
from .streaming import ensemble_to_parquet as ensemble_to_parquet, load_ensemble as load_ensemble
from .trajectory import Trajectory as Trajectory, load as load

# Fits bring the heaviest libraries along, and most runs need none of them.
if TYPE_CHECKING:
    from .fitting import (
        assimilate as assimilate,
        calibrate as calibrate,
        check_coverage as check_coverage,
        check_gradient as check_gradient,
        gradient as gradient,
        optimise as optimise,
        posterior as posterior,
    )

__getattr__, __dir__ = later(
    __name__,
    {
        "fitting": [
            "assimilate",
            "calibrate",
            "check_coverage",
            "check_gradient",
            "gradient",
            "optimise",
            "posterior",
        ]
    },
)
