"""Whether the splits of the drawn tasks share a problem: `python scripts/bench/task_splits.py [TASK ...] [--num-problems 100000]`.

Poses problems (nothing is drawn), the difficulties taking turns, until there are `--num-problems` in each task, 8 of 10 asked for in train
and one each in validation and test. Compares the splits by the problems' keys, and by what the model reads together with the facts of the
problem, which must not meet either where a task's key says less than the prompt. Prints a table; 1 where two splits share anything.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time

from vlmpost import tasks
from vlmpost.tasks.task import SHIFTS, split_of

TASKS = ("card_sums", "charts", "comparing", "counting", "general_points", "geometry")
SHARES = {"train": 8, "validation": 1, "test": 1}
PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))


def main() -> int:
    """Prints the counts and returns how many tasks overlap, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=TASKS, metavar="TASK")
    parser.add_argument("--num-problems", type=int, default=100_000)
    parser.add_argument("--shift", choices=SHIFTS, default="none")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    failed = False
    print("task             problems  keys: train  validation    test  shared keys  shared problems  seconds")
    for name in args.tasks:
        started = time.perf_counter()
        keys, problems = posed(name, num_problems=args.num_problems, shift=args.shift, seed=args.seed)
        shared = [sum(len(found[one] & found[other]) for one, other in PAIRS) for found in (keys, problems)]
        failed |= any(shared)
        train, validation, test = (len(found) for found in keys.values())
        counts = f"{train:>13}{validation:>12}{test:>8}{shared[0]:>13}{shared[1]:>17}"
        print(f"{name:<16}{args.num_problems:>9}{counts}{time.perf_counter() - started:>9.1f}", flush=True)
    print("splits overlap" if failed else "no split shares a problem with another")
    return int(failed)


def posed(name: str, *, num_problems: int, shift: str, seed: int) -> tuple[dict[str, set[str]], dict[str, set[int]]]:
    """Returns the keys, and hashes of the problems themselves, by split."""
    task = tasks.find(name)
    options = task.options_of({}, shift=shift)
    turns = task.difficulties or (None,)
    keys: dict[str, set[str]] = {split: set() for split in SHARES}
    problems: dict[str, set[int]] = {split: set() for split in SHARES}
    for split, share in SHARES.items():
        for index in range(num_problems * share // 10):
            difficulty, attempt = turns[index % len(turns)], 0
            while True:
                rng = random.Random(f"{name}|{split}|{seed}|{index}|{difficulty}|{attempt}")
                problem = task.pose(rng, options=options, difficulty=difficulty)
                if split_of(problem.split_key) == split:
                    break
                attempt += 1
            keys[split].add(problem.split_key)
            texts = [part for part in problem.prompt if isinstance(part, str)]
            problems[split].add(hash(json.dumps([texts, problem.content], sort_keys=True)))
    return keys, problems


if __name__ == "__main__":
    sys.exit(main())
