"""Tables of a report of a fit, as HTML."""

from collections.abc import Sequence
from html import escape

import numpy as np
import polars as pl
from jaxtyping import Int

from ..population.accuracy import INSIDE, accuracy
from ..population.fidelity import copies, tell_copies
from ..population.weight_spread import expansion_report, weight_report
from ..population.weighting import Fitted
from .page import table
from .summary import number

_WORST = 12
_SMALL = 1e-9  # What rounding leaves of an exact fit.
_COUNTS = {"cells": "totals", "total": "sum"}
_SHARES = {"tae_share": "TAE / sum", "largest": "largest", "inside": f"|z| < {INSIDE}"}
_REST = {"srmse": "SRMSE", "freeman_tukey": "Freeman-Tukey"}


def accuracy_table(cells: pl.DataFrame) -> str:
    """Measures of fit by level and family, and how to read them."""
    measures = accuracy(cells)
    lines = [
        {"level": row["level"], "table": row["family"]}
        | {title: _cell(row[name]) for name, title in _COUNTS.items()}
        | {title: _share(row[name]) for name, title in _SHARES.items()}
        | {title: _cell(row[name]) for name, title in _REST.items()}
        for row in measures.iter_rows(named=True)
    ]
    return table(lines, "numbers") + (
        "<p class=note>TAE: sum of the absolute differences. Largest: greatest difference over its "
        f"total. |z| &lt; {INSIDE}: totals within their 90% margin of error; about 90% is as near "
        "as they are known, a dash means that they are exact. SRMSE: root mean square difference "
        "over the mean total.</p>"
    )


def worst_table(cells: pl.DataFrame) -> str:
    """The totals that were missed most: in standard errors, exact ones in proportion first."""
    exact = pl.col("error") == 0
    gap = pl.col("difference").abs() / pl.max_horizontal(pl.col("target").abs(), 1.0)
    missed = pl.when(exact).then(gap > 1e-6).otherwise(pl.col("z").abs() > INSIDE)
    worst = cells.filter(missed).sort(exact, gap * exact, pl.col("z").abs(), descending=True)
    if worst.is_empty():
        return "<p>Every total is met, or missed by less than its margin of error.</p>"
    lines = [
        {"zone": f"{row['level']} {row['zone']}", "control": row["control"]}
        | {name: _cell(row[name]) for name in ("target", "reached", "error", "z")}
        for row in worst.head(_WORST).iter_rows(named=True)
    ]
    told = (
        f"<p>{worst.height:,} of {cells.height:,} totals are missed by more than their noise.</p>"
    )
    return told + table(lines, "numbers")


def infeasible_table(infeasible: pl.DataFrame) -> str:
    """Totals that no weights can meet, by name, and what is missing."""
    if infeasible.is_empty():
        return "<p>None: weights exist that meet every exact total.</p>"
    worst = infeasible.sort(pl.col("missing").abs(), descending=True)
    return _named(worst, ("target", "reached", "missing"), "No weights meet these totals")


def reconciled_table(reconciled: pl.DataFrame) -> str:
    """Totals that were changed because margins disagreed."""
    if reconciled.is_empty():
        return "<p>None: exact totals agreed.</p>"
    worst = reconciled.sort((pl.col("used") - pl.col("published")).abs(), descending=True)
    return _named(worst, ("published", "used"), "Margins disagreed, and these totals gave way")


def spread_table(fitted: Fitted) -> str:
    """Weights over all zones, those of the zones that rest on fewest records, and the extremes."""
    report = weight_report(fitted.problem, fitted.weights)
    zones = report.slice(1).filter(pl.col("total") > 0).sort("effective").head(_WORST // 2)
    lines = [
        {"zone": row["zone"] or "all zones"}
        | {
            "sum of weights": _cell(row["total"]),
            "records used": _cell(row["records"]),
            "effective records": _cell(row["effective"]),
            "largest over an equal share": _cell(row["largest"]),
        }
        for row in pl.concat([report.head(1), zones]).iter_rows(named=True)
    ]
    factors = expansion_report(fitted.problem, fitted.weights)
    quantiles = {
        f"{row['quantile']:.0%}": _cell(row["expansion"]) for row in factors.rows(named=True)
    }
    return (
        table(lines, "values")
        + "<h3>Expansion factors</h3>"
        + table([{"of the records": "weight / design weight"} | quantiles], "values")
    )


def joints_table(joints: pl.DataFrame) -> str:
    """Scores of joint distributions that were not fitted."""
    lines = [
        {"joint": row["variables"]}
        | {name: _cell(row[name]) for name in ("cells", "score", "noise")}
        for row in joints.sort("score").head(_WORST).iter_rows(named=True)
    ]
    mean = joints["score"].mean()
    return (
        f"<p>k-marginal score {mean:.0f} of 1,000, joints: {joints.height:,}, lowest first.</p>"
        + table(lines, "values")
        + "<p class=note>Noise: what a simple random sample of the survey would score.</p>"
    )


def privacy_note(counts: Int[np.ndarray, "zone record"]) -> str:
    """How often survey records were copied."""
    found = copies(counts)
    lines = [{"": row["measure"], "value": _cell(row["value"])} for row in found.rows(named=True)]
    return f"<p>{escape(tell_copies(found))}</p>" + table(lines, "values")


def sources_table(fitted: Fitted, notes: Sequence[str], provenance: Sequence[str]) -> str:
    """Where numbers came from, and how well the solver did."""
    lines = [{"what": "source", "value": line} for line in provenance]
    lines += [{"what": "note", "value": line} for line in (*notes, *fitted.notes)]
    gap = float(fitted.gap.max(initial=0.0))
    lines.append({"what": "largest relative gap to the optimum", "value": f"{gap:.1e}"})
    low, high = fitted.rules.bounds
    lines.append({"what": "factor on standard errors", "value": number(fitted.rules.slack)})
    limits = f"{low:g} to {high:g}" if np.isfinite(high) or low > 0 else "none"
    lines.append({"what": "limits on the factor of a weight", "value": limits})
    return table(lines, "pairs")


def _named(frame: pl.DataFrame, numbers: Sequence[str], told: str) -> str:
    lines = [
        {"zone": f"{row['level']} {row['zone']}", "control": row["control"]}
        | {name: _cell(row[name]) for name in numbers}
        for row in frame.head(_WORST).iter_rows(named=True)
    ]
    more = f", the first {_WORST} of {frame.height:,}" if frame.height > _WORST else ""
    return f"<p>{told}{more}.</p>" + table(lines, "numbers")


def _cell(value: float | int | None) -> str:
    return "-" if value is None else number(0.0 if abs(value) < _SMALL else float(value))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1%}"
