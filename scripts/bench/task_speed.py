"""How many examples of a task one core makes in a second: `python scripts/bench/task_speed.py [CASE ...] [--num N] [--runs R] [--core C]`.

A CASE is a task's name, with options and a few settings behind it: `general_points:mode=text`, `general_points:mode=vision,resolution=448`,
`counting:difficulty=3`, `general_points:mode=text,shift=rule,split=test`. Without one, the cases with a bar are run: text hands (2,000 a
second) and hands on pictures of 448 pixels (150 a second), encoded as PNG. Each run makes examples that no run before it made, in one
thread of this process on one core; the first, untimed run fills what the tasks keep (faces of cards, solved hands).
Figures are the median over the runs, by seconds of the processor, so that other users of the machine do not count; wall seconds stand
beside them. Exit status 1: a case with a bar is below it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass

import yaml

from vlmpost import tasks

BARS = {"general_points:mode=text": 2_000.0, "general_points:mode=vision,resolution=448": 150.0}


@dataclass(frozen=True)
class Case:
    """What is made."""

    name: str
    task: str
    split: str
    shift: str
    difficulty: int | None
    options: dict[str, object]


def main() -> int:
    """Prints the figures; 1 when one is below its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(BARS))
    parser.add_argument("--num", type=int, default=500, help="examples of a run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--core", type=int, default=0)
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})
    failed = False
    print(f"{'case':58} {'a second':>9} {'slowest':>8} {'by wall':>8} {'bar':>6}   (load {os.getloadavg()[0]:.1f})")
    for name in args.cases:
        by_processor, by_wall = rates(case_of(name), num=args.num, runs=args.runs)
        rate, bar = statistics.median(by_processor), BARS.get(name)
        below = bar is not None and rate < bar
        failed |= below
        said = f"{bar:6,.0f}" if bar is not None else f"{'-':>6}"
        slowest, wall = min(by_processor), statistics.median(by_wall)
        print(f"{name:58} {rate:9,.0f} {slowest:8,.0f} {wall:8,.0f} {said}{'  FAILED' if below else ''}")
    return int(failed)


def case_of(name: str) -> Case:
    """The case that a text names; values are read as YAML."""
    task, _, settings = name.partition(":")
    options = {key: yaml.safe_load(value) for key, _, value in (item.partition("=") for item in settings.split(",") if item)}
    found = tasks.find(task)
    difficulty = options.pop("difficulty", found.difficulties[0] if found.difficulties else None)
    return Case(name, task, str(options.pop("split", "train")), str(options.pop("shift", "none")), difficulty, options)


def rates(case: Case, *, num: int, runs: int) -> tuple[list[float], list[float]]:
    """Examples a second of each run, by seconds of the processor and by wall."""
    by_processor, by_wall = [], []
    for run in range(runs + 1):
        processor, wall = time.process_time(), time.perf_counter()
        for index in range(run * num, (run + 1) * num):
            tasks.make(case.task, split=case.split, index=index, difficulty=case.difficulty, options=case.options, shift=case.shift)
        if run:
            by_processor.append(num / (time.process_time() - processor))
            by_wall.append(num / (time.perf_counter() - wall))
    return by_processor, by_wall


if __name__ == "__main__":
    sys.exit(main())
