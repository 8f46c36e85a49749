"""People before a run: read from tables, made up, drawn from census files, or of New York."""

from .build import Built as Built, fit_recipe as fit_recipe, whole_fit as whole_fit
from .contact_matrices import contact_ages as contact_ages, contact_matrix as contact_matrix
from .fit import fit_report as fit_report
from .from_recipe import people_of as people_of
from .new_york import new_york as new_york
from .population import Population as Population
from .recipe import Recipe as Recipe, find_recipe as find_recipe, read_recipe as read_recipe
from .recipe_people import count_records as count_records, draw_recipe as draw_recipe
from .store import load_population as load_population, save_population as save_population
from .subsample import subsample as subsample
from .variance import standard_error as standard_error
from .workers import (
    reweighted as reweighted,
    workers as workers,
    workers_from as workers_from,
)
