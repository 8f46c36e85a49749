"""The command line: one module for each of its verbs."""

from .entry import main as main
