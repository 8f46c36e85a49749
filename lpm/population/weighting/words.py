"""What could not be met or had to be changed, in words."""

from .problem import Fitted


def explain_fit(fitted: Fitted) -> str:
    """One line for each zone with totals out of reach, then what was reconciled, and the notes.

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
    return "\n".join([*lines, *fitted.notes]) or "All totals are met or within their errors."
