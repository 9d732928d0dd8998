"""Step time of SFT against the shortest plain TRL script: `python scripts/bench/step_time.py [--repeats 5] [--steps 12] [--by cpu]`.

Same model, data, seed and batch, one thread, both started as processes in turn. A repeat's step time is the median over its steps, the
first two left out; the ratio is of the medians over the repeats. Passes at a ratio of at most 1.05 with equal losses. Wall seconds and
CPU seconds of the process are both shown; `--by cpu` judges by the latter, for a machine that others use.

GRPO samples in its own way, so two runs never hold the same completions: `grpo_speed.py` compares its time at equal lengths, and
tests/training/test_step.py its losses and weights on the same completions.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import launch

MAX_RATIO = 1.05
MAX_LOSS_DIFFERENCE = 1e-6
"""A few units in the last place of float32: both sides add the same numbers, not always in memory of the same alignment."""
NUM_WARMUP_STEPS = 2
CLOCKS = {"wall": "time", "cpu": "time_cpu"}
"""Clocks, and their columns in vlmpost's metrics."""
Timed = tuple[dict[str, float], list[float]]
"""(seconds of a step by clock, losses)."""


def main() -> int:
    """Prints a table; 1 when the ratio or a loss is off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--by", default="wall", choices=list(CLOCKS))
    args = parser.parse_args()
    sides = {"plain TRL": plain_trl, "vlmpost": vlmpost}
    found: dict[str, list[Timed]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory(prefix="vlmpost-time-") as folder:
        for _ in range(args.repeats):
            for name, side in sides.items():
                found[name].append(side(Path(folder), steps=args.steps))
    print(f"SFT: {args.steps} steps, median of {args.repeats} runs each, OMP_NUM_THREADS=1")
    ratios = {clock: compared(found, clock) for clock in CLOCKS}
    last_losses = [runs[-1][1] for runs in found.values()]
    difference = max(abs(ours - theirs) for ours, theirs in zip(*last_losses, strict=True))
    print(f"  ratio by {args.by} {ratios[args.by]:.3f} (limit {MAX_RATIO}), largest difference of a loss {difference:.1e}", flush=True)
    return int(ratios[args.by] > MAX_RATIO or difference > MAX_LOSS_DIFFERENCE)


def compared(found: dict[str, list[Timed]], clock: str) -> float:
    """Prints a line per side; vlmpost's median step time over plain TRL's."""
    seconds = {name: [step_seconds[clock] for step_seconds, _ in runs] for name, runs in found.items()}
    base = statistics.median(seconds["plain TRL"])
    for name, runs in seconds.items():
        median = statistics.median(runs)
        print(f"  {name:12s} {median:.3f} {clock} s/step   x {median / base:.3f}   ({' '.join(f'{value:.3f}' for value in runs)})")
    return statistics.median(seconds["vlmpost"]) / base


def plain_trl(folder: Path, *, steps: int) -> Timed:
    """One run of the plain script."""
    out = folder / "plain.json"
    script = Path(__file__).with_name("plain_trl.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    subprocess.run([sys.executable, str(script), str(steps), str(out)], check=True, capture_output=True, env=environment)
    found = json.loads(out.read_text(encoding="utf-8"))
    return {"wall": _median_step(found["times"]), "cpu": _median_step(found["cpu_times"])}, found["losses"]


def vlmpost(folder: Path, *, steps: int) -> Timed:
    """One run of `vlmpost sft`."""
    recipe = launch.sft_recipe(max_steps=steps, examples_per_step=16, save_steps=10 * steps, freeze=False)
    run_dir = folder / "run"
    program = (str(Path(__file__).with_name("timed.py")),)
    launch.run("sft", launch.write_recipe(recipe, folder / "recipe.yaml"), run_dir, program=program)
    rows = launch.metrics(run_dir)
    shutil.rmtree(run_dir)
    seconds = {clock: _median_step([float(str(row[column])) for row in rows]) for clock, column in CLOCKS.items()}
    return seconds, [float(str(row["loss"])) for row in rows]


def _median_step(times: list[float]) -> float:
    return statistics.median(later - earlier for earlier, later in pairwise(times[NUM_WARMUP_STEPS - 1 :]))


if __name__ == "__main__":
    sys.exit(main())
