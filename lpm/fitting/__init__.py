"""Fitting: gradients of a loss through a run, and what is done with them."""

from .seam import Estimator as Estimator, Loss as Loss, PerRun as PerRun
