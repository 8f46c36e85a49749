"""People before a run: read from tables, made up, or the five boroughs of New York."""

from .contact_matrices import contact_ages as contact_ages, contact_matrix as contact_matrix
from .fit import fit_report as fit_report
from .new_york import new_york as new_york
from .population import Population as Population
from .store import load_population as load_population, save_population as save_population
