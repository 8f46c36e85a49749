"""People before a run: read from tables, made up, drawn from census files, or of New York."""

from typing import TYPE_CHECKING

from lpm.later import later

from .contact_matrices import contact_ages as contact_ages, contact_matrix as contact_matrix
from .new_york import new_york as new_york
from .population import Population as Population
from .store import load_population as load_population, save_population as save_population
from .subsample import subsample as subsample
from .workers import (
    reweighted as reweighted,
    workers as workers,
    workers_from as workers_from,
)

# Fits of recipes bring optimisers along, which most runs do without.
if TYPE_CHECKING:
    from .build import Built as Built, fit_recipe as fit_recipe, whole_fit as whole_fit
    from .fit import fit_report as fit_report
    from .from_recipe import people_of as people_of
    from .recipe import Recipe as Recipe, find_recipe as find_recipe, read_recipe as read_recipe
    from .recipe_people import count_records as count_records, draw_recipe as draw_recipe
    from .variance import standard_error as standard_error

__getattr__, __dir__ = later(
    __name__,
    {
        "build": ["Built", "fit_recipe", "whole_fit"],
        "fit": ["fit_report"],
        "from_recipe": ["people_of"],
        "recipe": ["Recipe", "find_recipe", "read_recipe"],
        "recipe_people": ["count_records", "draw_recipe"],
        "variance": ["standard_error"],
    },
)
