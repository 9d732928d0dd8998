"""Runs `vlmpost` commands side by side, in the order their needs allow: the demo's engine.

Each step is a process of its own with one thread and a log file. Nothing here knows what the commands do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vlmpost.errors import VlmpostError


@dataclass(frozen=True)
class Step:
    """One command of a plan; it starts when all of `needs` have ended well."""

    name: str
    title: str
    arguments: tuple[str, ...]
    """What follows `vlmpost` on the command line."""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """Something to show: a step started, ended, or said a new line."""

    kind: str
    """ "start", "end" or "line"."""
    step: Step
    seconds: float
    """Since the plan began ("start", "line"), or what the step took ("end")."""
    text: str = ""


def run_lanes(
    steps: Sequence[Step],
    *,
    num_lanes: int,
    log_dir: Path,
    show: Callable[[Event], None],
    poll_seconds: float = 0.2,
    say_seconds: float = 10.0,
) -> None:
    """Runs all steps, at most `num_lanes` at a time, earlier ones first; one failure ends the rest.

    Raises:
        VlmpostError: A step failed; the message holds the end of its log. The other steps are stopped.
    """
    waiting = list(steps)
    running: dict[str, tuple[Step, subprocess.Popen[bytes], float]] = {}
    done: set[str] = set()
    begin = said = time.monotonic()
    with _stopping(running):
        while waiting or running:
            for step in [step for step in waiting if done.issuperset(step.needs)][: num_lanes - len(running)]:
                waiting.remove(step)
                running[step.name] = (step, _start(step, log_dir=log_dir), time.monotonic())
                show(Event("start", step, time.monotonic() - begin))
            assert running, f"no step can start: {[step.name for step in waiting]}"
            time.sleep(poll_seconds)
            for name, (step, process, started) in list(running.items()):
                if process.poll() is None:
                    continue
                if process.returncode != 0:
                    raise VlmpostError(_failure(step, process.returncode, log_dir=log_dir))
                del running[name]
                done.add(name)
                show(Event("end", step, time.monotonic() - started))
            if time.monotonic() - said > say_seconds:
                said = time.monotonic()
                for step, _, _ in running.values():
                    show(Event("line", step, said - begin, text=_last_line(log_dir / f"{step.name}.log")))


def one_thread_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with one thread per process: tiny models are many times slower with more on a busy machine."""
    return {**environment, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@contextmanager
def _stopping(running: Mapping[str, tuple[Step, subprocess.Popen[bytes], float]]) -> Iterator[None]:
    """Stops what is still running at the end of the block, also when a signal to end comes."""

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        for _, process, _ in running.values():
            process.terminate()
        for _, process, _ in running.values():
            process.wait()


def _start(step: Step, *, log_dir: Path) -> subprocess.Popen[bytes]:
    log_dir.mkdir(parents=True, exist_ok=True)
    with open(log_dir / f"{step.name}.log", "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "vlmpost", *step.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=one_thread_environment(os.environ),
        )


def _failure(step: Step, code: int, *, log_dir: Path) -> str:
    log = log_dir / f"{step.name}.log"
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
    return f"{step.title} ended with exit code {code}: vlmpost {' '.join(step.arguments)}\n{tail}\nThe whole log: {log}"


def _last_line(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - 4096))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
