"""Fitting: gradients of a loss through a run, and what is done with them."""

from .assimilation import (
    Assimilation as Assimilation,
    Feed as Feed,
    Stream as Stream,
    Week as Week,
    assimilate as assimilate,
)
from .averaging import (
    Average as Average,
    LogMeanExp as LogMeanExp,
    Mean as Mean,
    WorstShare as WorstShare,
)
from .calibration import calibrate as calibrate
from .checks import GradientCheck as GradientCheck, check_gradient as check_gradient
from .coverage import Coverage as Coverage, check_coverage as check_coverage
from .differences import Differences as Differences
from .distances import (
    energy_distance as energy_distance,
    moment_distance as moment_distance,
    moment_weight as moment_weight,
    quantile_distance as quantile_distance,
)
from .filtering import (
    Band as Band,
    Filtered as Filtered,
    particle_filter as particle_filter,
)
from .fit import Fit as Fit
from .forecasts import weighted_interval_score as weighted_interval_score
from .gradients import Gradient as Gradient, gradient as gradient
from .iterated import Iterated as Iterated, iterated_filtering as iterated_filtering
from .lagrangian import at_least as at_least, at_most as at_most, equal as equal
from .lineage import Lineage as Lineage
from .losses import (
    Series as Series,
    Together as Together,
    log_mean_exp as log_mean_exp,
    synthetic_likelihood as synthetic_likelihood,
    together as together,
)
from .misfit import check_fit as check_fit
from .noise import (
    BetaBinomial as BetaBinomial,
    DirichletMultinomial as DirichletMultinomial,
    LogNormal as LogNormal,
    NegativeBinomial as NegativeBinomial,
    Normal as Normal,
    Poisson as Poisson,
)
from .pareto import pareto as pareto
from .policies import optimise as optimise
from .policy import Policy as Policy
from .posterior import Posterior as Posterior, posterior as posterior
from .readings import Reports as Reports
from .regional import calibrate_regions as calibrate_regions, load_regions as load_regions
from .regional_fit import RegionalFit as RegionalFit
from .seam import Estimator as Estimator, Loss as Loss, PerRun as PerRun
from .selection import Only as Only
from .sensitivity import Elasticities as Elasticities, elasticities as elasticities
from .shapes import Allocation as Allocation, Spline as Spline, Steps as Steps
from .sobol import Sobol as Sobol, sobol as sobol
