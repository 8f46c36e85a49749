"""Weights for survey records so that zones come out as published."""
