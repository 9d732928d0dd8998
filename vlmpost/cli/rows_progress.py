"""A progress display for work on rows: a bar in a terminal, a line every few seconds elsewhere; nothing for short work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_SECONDS = 2.0
"""Work shorter than this shows nothing."""
LINE_SECONDS = 10.0


@contextmanager
def rows_progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Gives a function to call with (what, done, total or None); it writes to stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    begin: float | None = None
    said = 0.0
    tasks = {}

    def show(what: str, done: int, total: int | None) -> None:
        nonlocal begin, said
        now = time.monotonic()
        begin = now if begin is None else begin
        if now - begin < QUIET_SECONDS:
            return
        if console.is_terminal:
            bar.start()
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)
        elif now - said >= LINE_SECONDS:
            said = now
            print(f"{what}: {done}{f' of {total}' if total else ''} ({now - begin:.0f} s)", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if console.is_terminal:  # elsewhere `stop` prints an empty line
            bar.stop()
