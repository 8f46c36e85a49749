"""What could not be met or had to be changed, in words."""

import numpy as np

from .problem import Fitted
from .solution import reached_totals

EXACT = 1e-6  # Relative miss below which an exact total counts as met.
INSIDE = 1.645  # Standard errors, which hold nine of ten totals that differ by their noise alone.


def explain_fit(fitted: Fitted) -> str:
    """One line for each zone with totals out of reach, then what was reconciled and met.

    Totals of a zone are named from the worst to the least, three at most.
    """
    lines = []
    for (level, zone), rows in fitted.infeasible.group_by("level", "zone", maintain_order=True):
        named = [
            f"{row['control']} {row['target']:g} (nearest {row['reached']:.4g})"
            for row in rows.head(3).rows(named=True)
        ]
        more = f" and {rows.height - 3} more" if rows.height > 3 else ""
        sure = "No weights" if rows["proven"].all() else "It seems that no weights"
        lines.append(
            f"{level} {zone}: {sure} meet all its totals; off are {', '.join(named)}{more}."
        )
    if not fitted.reconciled.is_empty():
        changed = fitted.reconciled.with_columns(
            by=fitted.reconciled["used"] - fitted.reconciled["published"]
        )
        zones = changed.select("level", "zone").unique().height
        lines.append(
            f"{changed.height} totals of {zones} zones contradicted others by rounding and were "
            f"changed, by {changed['by'].abs().max():.3g} at most."
        )
    return "\n".join([*lines, *_counted(fitted), *fitted.notes])


def _counted(fitted: Fitted) -> list[str]:
    """Whether exact totals are met, and how many of the others are within their errors."""
    exact = inside = count = 0
    met = fitted.infeasible.is_empty()
    for level in fitted.problem.levels:
        soft = level.error > 0
        miss = np.abs(reached_totals(level, fitted.weights) - level.target)
        met = met and bool((miss <= EXACT * (np.abs(level.target) + 1))[~soft].all())
        exact += int((~soft).sum())
        inside += int((miss[soft] < INSIDE * level.error[soft]).sum())
        count += int(soft.sum())
    told = [f"All {exact:,} exact totals are met."] if exact and met else []
    if count:
        told.append(
            f"{inside:,} of {count:,} totals with an error are within {INSIDE} of it "
            f"({inside / count:.0%})."
        )
    return told
