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
    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    begins: dict[str, tuple[float, int]] = {}
    said = 0.0
    tasks = {}

    def show(what: str, done: int, total: int | None) -> None:
        nonlocal said
        now = time.monotonic()
        begin, done_before = begins.setdefault(what, (now, done))
        if now - next(iter(begins.values()))[0] < QUIET_SECONDS:
            return
        if console.is_terminal:
            bar.start()
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total, rate="")
            done_here, seconds = done - done_before, now - begin
            bar.update(
                tasks[what], completed=done, total=total, rate=f"{done_here / seconds:.1f} a second" if done_here and seconds else ""
            )
        elif now - said >= LINE_SECONDS:
            said = now
            print(_line(what, done, total, seconds=now - begin, done_here=done - done_before), file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if console.is_terminal:  # elsewhere `stop` prints an empty line
            bar.stop()


def _line(what: str, done: int, total: int | None, *, seconds: float, done_here: int) -> str:
    """How far it is; with a total also how fast it goes and how long the rest takes.

    >>> _line("rows", 30, 90, seconds=10.0, done_here=20)
    'rows: 30 of 90 (10 s, 2.0 a second, 30 s left)'
    """
    if total is None or done_here == 0 or seconds == 0:
        return f"{what}: {done}{f' of {total}' if total else ''} ({seconds:.0f} s)"
    rate = done_here / seconds
    return f"{what}: {done} of {total} ({seconds:.0f} s, {rate:.1f} a second, {(total - done) / rate:.0f} s left)"
