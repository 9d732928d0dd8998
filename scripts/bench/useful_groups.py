"""Useful groups for the tokens they cost, plain against pools and dynamic sampling: `python scripts/bench/useful_groups.py [--steps 40]`.

Runs recipes/demo/grpo_signal.yaml, whose questions are of mixed difficulty, without its `signal` and with it. A group is useful when its
completions do not all earn the same; tokens are those of all groups that were sampled, refills included; useful groups that find no place
in the batch are not counted as useful. The share of useful groups is of all that were sampled. Passes when signal gives at least twice as
many useful groups per 1000 tokens over the whole run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import launch

TARGET = 2.0
RECIPE = launch.ROOT / "recipes" / "demo" / "grpo_signal.yaml"
PLAIN = ("--set", "signal.prompt_pools=false", "--set", "signal.dynamic_sampling=false")
RUNS: dict[str, tuple[str, ...]] = {"plain": PLAIN, "signal": ()}


def main() -> int:
    """Prints useful groups, tokens and their ratio by half and whole of each run; 1 when the ratio of the runs is too small."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--out", type=Path, help="folder to keep the runs in; without it they are deleted")
    args = parser.parse_args()
    print("          steps    useful groups    share    tokens sampled    useful groups per 1000 tokens", flush=True)
    with tempfile.TemporaryDirectory(prefix="vlmpost-useful-") as scratch:
        rates = {name: run_rate(name, args.out or Path(scratch), steps=args.steps) for name in RUNS}
    ratio = rates["signal"] / rates["plain"]
    print(f"signal / plain over all steps: {ratio:.2f} (target {TARGET})")
    return int(ratio < TARGET)


def run_rate(name: str, folder: Path, *, steps: int) -> float:
    """Makes one run and prints its figures; returns its useful groups per 1000 sampled tokens over all steps."""
    folder.mkdir(parents=True, exist_ok=True)
    launch.run("rl", RECIPE, folder / name, *RUNS[name], "--set", f"training.max_steps={steps}")
    rows = launch.metrics(folder / name)
    half = len(rows) // 2
    for part in (rows[:half], rows[half:], rows):
        span = f"{part[0]['step']}-{part[-1]['step']}"
        useful, tokens = total(part, "useful_groups"), total(part, "sampled_tokens")
        share = 1 - (total(part, "flat_right_share") + total(part, "flat_wrong_share")) / len(part)
        print(f"{name:8s}{span:>7s}{useful:17.0f}{share:9.2f}{tokens:18.0f}{rate(part):33.2f}", flush=True)
    return rate(rows)


def rate(rows: list[dict[str, object]]) -> float:
    """Useful groups per 1000 sampled tokens."""
    return 1000 * total(rows, "useful_groups") / total(rows, "sampled_tokens")


def total(rows: list[dict[str, object]], name: str) -> float:
    """The sum of a figure over rows."""
    return sum(float(str(row[name])) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
