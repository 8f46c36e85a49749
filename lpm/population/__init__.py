"""People before a run: read from tables, made up, or the five boroughs of New York."""

from .population import Population as Population
