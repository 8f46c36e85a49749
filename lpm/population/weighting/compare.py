"""Whether the survey and the publication mean the same by each control."""

import numpy as np
import polars as pl

from .problem import Problem

SCHEMA = {
    "level": pl.String,
    "control": pl.String,
    "survey": pl.Float64,
    "published": pl.Float64,
    "ratio": pl.Float64,
}


def survey_totals(problem: Problem) -> pl.DataFrame:
    """Each control over the whole area: by the design weights, and as published.

    Columns: `level`, `control`, `survey`, `published`, and `ratio`, survey to published, NaN where
    nothing is published. If the design weights are those of the area, ratios differ from one by
    sampling alone. A table whose ratios all differ alike is defined otherwise in the survey: with
    standard errors it pulls the other tables along, so leave it out or define it anew.
    """
    prior = np.maximum(problem.prior, 0.0)
    rows = []
    for level in problem.levels:
        survey, published = prior @ level.incidence, level.target.sum(axis=0)
        for name, ours, theirs in zip(level.controls, survey, published, strict=True):
            ratio = float(ours / theirs) if theirs else float("nan")
            rows.append((level.name, name, float(ours), float(theirs), ratio))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
