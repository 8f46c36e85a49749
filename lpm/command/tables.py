"""Rows of text as a table in the terminal."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(console: Console, rows: Sequence[Mapping[str, str]], title: str = "") -> None:
    """Print rows of cells, the first column and plain text to the left, numbers to the right."""
    if not rows:
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title or None, title_justify="left")
    for name in rows[0]:
        cells = [row[name] for row in rows]
        table.add_column(name, justify="right" if _numeric(cells) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.values()))
    console.print(table)


def _numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell not in ("", "-")]
    return bool(filled) and all(cell[0] in "+-0123456789" for cell in filled)
