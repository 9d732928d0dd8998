"""What a run shows while it goes on: a live line on a terminal, plain lines elsewhere.

Holds no training: it is told the phase, the number of steps and each row of metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as RichBar

MetricsRow = Mapping[str, object]

SHOWN: tuple[tuple[str, str, str], ...] = (
    ("loss", "loss", "{:.4g}"),
    ("reward", "reward", "{:.3f}"),
    ("accuracy", "accuracy", "{:.3f}"),
    ("success", "success", "{:.3f}"),
    ("replies", "replies", "{:.1f}"),
    ("length_tokens", "length", "{:.0f}"),
    ("truncated_share", "cut", "{:.0%}"),
    ("flat_group_share", "flat", "{:.0%}"),
    ("explained_variance", "explained", "{:.2f}"),
    ("memory_gib", "mem", "{:.1f}G"),
)
"""(key of metrics.jsonl, label, format) in the order shown; a row shows those it has."""


class Progress(Protocol):
    """Where a run says how far it is."""

    def phase(self, text: str) -> None:
        """Says what happens now, e.g. "loading the model"."""

    def start(self, name: str, *, num_steps: int, done: int) -> None:
        """Begins the steps; `done` of them were taken before a resume."""

    def step(self, row: MetricsRow) -> None:
        """Shows a row of metrics; it has "step"."""

    def note(self, text: str) -> None:
        """Shows a remark that must not be missed: a finding, a fallback."""

    def stop(self) -> None:
        """Ends the display, whatever happened."""


class SilentProgress:
    """Shows nothing: every process but the first, and tests."""

    def phase(self, text: str) -> None:
        """Nothing."""

    def start(self, name: str, *, num_steps: int, done: int) -> None:
        """Nothing."""

    def step(self, row: MetricsRow) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class _Rate:
    """Steps per second and the time left, from the steps of this attempt only."""

    def __init__(self, *, num_steps: int, done: int, clock: Callable[[], float]) -> None:
        self.num_steps = num_steps
        self._done = done
        self._clock = clock
        self._start = clock()

    def text(self, step: int) -> str:
        """Rate and time left, e.g. "2.0 steps/s  eta 0:01:40"."""
        seconds = self._clock() - self._start
        taken = step - self._done
        if taken <= 0 or seconds <= 0:
            return "-"
        rate = taken / seconds
        shown = f"{rate:.1f} steps/s" if rate >= 1 else f"{1 / rate:.1f} s/step"
        return f"{shown}  eta {clock_text((self.num_steps - step) / rate)}"


class PlainProgress:
    """One line per row, at most one every `every_seconds`, the last step always.

    Args:
        console: Where lines go.
        every_seconds: Least time between two lines of steps.
        clock: Seconds that only grow.
    """

    def __init__(self, console: Console, *, every_seconds: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._every_seconds = every_seconds
        self._clock = clock
        self._last: float | None = None
        self._name = ""
        self._rate = _Rate(num_steps=0, done=0, clock=clock)

    def phase(self, text: str) -> None:
        """A line of its own."""
        self._print(text)

    def start(self, name: str, *, num_steps: int, done: int) -> None:
        """Says the name and the number of steps."""
        self._name, self._last = name, None
        self._rate = _Rate(num_steps=num_steps, done=done, clock=self._clock)
        self._print(f"{name}: {num_steps} steps" + (f", going on after step {done}" if done else ""))

    def step(self, row: MetricsRow) -> None:
        """A line with rate, time left and the figures."""
        step, now = int(str(row["step"])), self._clock()
        if self._last is not None and step < self._rate.num_steps and now - self._last < self._every_seconds:
            return
        self._last = now
        self._print(f"{self._name} {step}/{self._rate.num_steps}  {self._rate.text(step)}  {figures_text(row)}")

    def note(self, text: str) -> None:
        """A line of its own."""
        self._print(text)

    def stop(self) -> None:
        """Nothing to end."""

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveProgress:
    """A bar with the figures of the last row, on a terminal."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._bar: RichBar | None = None
        self._task: TaskID | None = None
        self._rate = _Rate(num_steps=0, done=0, clock=clock)

    def phase(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(text, markup=False, highlight=False)

    def start(self, name: str, *, num_steps: int, done: int) -> None:
        """Draws the bar."""
        self.stop()
        self._rate = _Rate(num_steps=num_steps, done=done, clock=self._clock)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
        )
        self._bar = RichBar(*columns, console=self._console)
        self._task = self._bar.add_task(name, total=num_steps, completed=done, figures="")
        self._bar.start()

    def step(self, row: MetricsRow) -> None:
        """Moves the bar."""
        if self._bar is not None and self._task is not None:
            step = int(str(row["step"]))
            self._bar.update(self._task, completed=step, figures=f"{self._rate.text(step)}  {figures_text(row)}")

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def make_progress(console: Console) -> Progress:
    """A live bar on a terminal, plain lines elsewhere."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)


def figures_text(row: MetricsRow) -> str:
    """The shown figures of a row, those it has, e.g. "loss 0.5  reward 0.250"."""
    parts = []
    for key, label, form in SHOWN:
        value = row.get(key)
        if isinstance(value, int | float):
            parts.append(f"{label} {form.format(value)}")
    return "  ".join(parts)


def clock_text(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> clock_text(3700)
    '1:01:40'
    """
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
