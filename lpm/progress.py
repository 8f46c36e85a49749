"""Progress of a run: a bar in a terminal or notebook, a caller's function, or nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Advance = Callable[[int, Callable[[], Any] | None], None]


@contextmanager
def open_progress(
    wish: bool | Callable[[Any], None] | None, total: int, unit: str, title: str
) -> Iterator[Advance]:
    """Yield `advance(steps, trajectory_so_far)`, to be called between segments.

    `None` shows a bar where a person looks: a terminal or a notebook, never a pipe. A function
    is called with the trajectory so far, for a live plot.
    """
    if callable(wish):
        yield lambda _, so_far: wish(so_far()) if so_far is not None else None
        return
    console = Console(stderr=True)
    shown = wish if wish is not None else (console.is_jupyter or sys.stderr.isatty())
    if not shown:
        yield lambda *_: None
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda steps, _: bar.advance(task, steps)
