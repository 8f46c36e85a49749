"""A bar that shows how many runs a fit has spent, and the lowest loss so far."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Runs so far, and the lowest loss; not a number where nothing is lowered.
Watch: TypeAlias = Callable[[int, float], None]


@contextmanager
def open_watch(wish: bool | None, budget: int, title: str) -> Iterator[Watch]:
    """Yield a function to be told of progress.

    `None` shows a bar where a person looks: a terminal or a notebook, never a pipe.
    """
    console = Console(stderr=True)
    shown = wish if wish is not None else (console.is_jupyter or sys.stderr.isatty())
    if not shown:
        yield lambda runs, loss: None  # noqa: ARG005
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task(title, total=budget, loss="")
        yield lambda runs, loss: bar.update(
            task, completed=runs, loss="" if math.isnan(loss) else f", loss {loss:.6g}"
        )
