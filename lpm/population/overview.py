"""How a population looks: a frame, a page of text, a table in a notebook."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import polars as pl

_HEADER = ("column", "type", "min", "mean", "max", "")


def as_frame(
    columns: Mapping[str, np.ndarray], slot: np.ndarray, labels: Mapping[str, Sequence[str]]
) -> pl.DataFrame:
    """One row per person; columns with labels as polars Enum, where a code of -1 is null."""
    frame = pl.DataFrame({"slot": slot, **columns})
    return frame.with_columns(
        _labelled(name, columns[name], names) for name, names in labels.items() if name in columns
    )


def _labelled(name: str, codes: np.ndarray, names: Sequence[str]) -> pl.Series:
    known = pl.Series(name, [*names, None], dtype=pl.Enum(list(names)))
    return known.gather(np.where(codes < 0, len(names), codes))


def as_text(
    title: str, columns: Mapping[str, np.ndarray], labels: Mapping[str, Sequence[str]]
) -> str:
    """Title and one line per column with its type and range."""
    lines = [_HEADER, *_lines(columns, labels)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADER))]
    texts = [
        "  ".join(
            [line[0].ljust(widths[0]), line[1].ljust(widths[1])]
            + [cell.rjust(width) for cell, width in zip(line[2:5], widths[2:5], strict=True)]
            + [line[5]]
        ).rstrip()
        for line in lines
    ]
    return "\n".join([title, *("  " + text for text in texts)])


def as_html(
    title: str, columns: Mapping[str, np.ndarray], labels: Mapping[str, Sequence[str]]
) -> str:
    """The same as a table."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in _HEADER)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>"
        for line in _lines(columns, labels)
    )
    return (
        f"<div><strong>{escape(title)}</strong>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _lines(
    columns: Mapping[str, np.ndarray], labels: Mapping[str, Sequence[str]]
) -> list[tuple[str, ...]]:
    return [
        (
            name,
            str(values.dtype),
            _number(float(values.min())),
            "" if name.endswith("_id") else _number(float(values.mean(dtype=np.float64))),
            _number(float(values.max())),
            _note(name, values, labels),
        )
        for name, values in columns.items()
    ]


def _note(name: str, values: np.ndarray, labels: Mapping[str, Sequence[str]]) -> str:
    if name in labels:
        shown = ", ".join(labels[name][:6])
        return shown + (", ..." if len(labels[name]) > 6 else "")
    without = int((values < 0).sum()) if name.endswith("_id") else 0
    return f"{without:,} without" if without else ""


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
