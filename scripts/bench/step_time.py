"""Step time of vlmpost against the shortest plain TRL script: `python scripts/bench/step_time.py [--repeats 5] [--steps 12] [--by cpu]`.

Same model, data, seed and batch, one thread, both started as processes in turn. A repeat's step time is the median over its steps, the
first two left out; the ratio is of the medians over the repeats. Passes at a ratio of at most 1.05 with equal losses. For GRPO,
vlmpost runs with `generation.seeding: batch`, which samples as TRL does; the time with `seeding: sample`, the default, is shown beside it.
Wall seconds and CPU seconds of the process are both shown; `--by cpu` judges by the latter, for a machine that others use.
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
Timed = tuple[dict[str, float], list[float]]
"""(seconds of a step by clock, losses)."""


def main() -> int:
    """Prints a table; 1 when a ratio or a loss is off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--kinds", nargs="+", default=["sft", "rl"], choices=["sft", "rl"])
    parser.add_argument("--by", default="wall", choices=["wall", "cpu"])
    args = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory(prefix="vlmpost-time-") as folder:
        for kind in args.kinds:
            failed |= compare(kind, Path(folder), repeats=args.repeats, steps=args.steps, by=args.by)
    return int(failed)


def compare(kind: str, folder: Path, *, repeats: int, steps: int, by: str) -> bool:
    """Prints the figures of one kind; whether they fail."""
    variants = ["plain TRL", "vlmpost"] + (["vlmpost, seeding sample"] if kind == "rl" else [])
    seconds: dict[str, dict[str, list[float]]] = {clock: {name: [] for name in variants} for clock in ("wall", "cpu")}
    losses: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name in variants:
            step_seconds, losses[name] = timed(kind, name, folder, steps=steps)
            for clock, value in step_seconds.items():
                seconds[clock][name].append(value)
    print(f"{kind}: {steps} steps, median of {repeats} runs each, OMP_NUM_THREADS=1")
    for clock, by_name in seconds.items():
        base = statistics.median(by_name["plain TRL"])
        for name in variants:
            median = statistics.median(by_name[name])
            runs = " ".join(f"{value:.3f}" for value in by_name[name])
            print(f"  {name:24s} {median:.3f} {clock} s/step   x {median / base:.3f}   ({runs})")
    difference = max(abs(ours - theirs) for ours, theirs in zip(losses["vlmpost"], losses["plain TRL"], strict=True))
    ratio = statistics.median(seconds[by]["vlmpost"]) / statistics.median(seconds[by]["plain TRL"])
    print(f"  ratio by {by} {ratio:.3f} (limit {MAX_RATIO}), largest difference of a loss {difference:.1e}", flush=True)
    return ratio > MAX_RATIO or difference > MAX_LOSS_DIFFERENCE


def timed(kind: str, name: str, folder: Path, *, steps: int) -> Timed:
    """One run of one variant."""
    if name == "plain TRL":
        out = folder / "plain.json"
        script = Path(__file__).with_name("plain_trl.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        subprocess.run([sys.executable, str(script), kind, str(steps), str(out)], check=True, capture_output=True, env=environment)
        found = json.loads(out.read_text(encoding="utf-8"))
        return {"wall": _median_step(found["times"]), "cpu": _median_step(found["cpu_times"])}, found["losses"]
    seeding = "sample" if name.endswith("sample") else "batch"
    if kind == "sft":
        recipe = launch.sft_recipe(max_steps=steps, examples_per_step=16, save_steps=10 * steps, freeze=False)
    else:
        recipe = launch.rl_recipe(max_steps=steps, prompts_per_step=8, save_steps=10 * steps, freeze=False, seeding=seeding)
    run_dir = folder / "run"
    program = (str(Path(__file__).with_name("timed.py")),)
    launch.run(kind, launch.write_recipe(recipe, folder / "recipe.yaml"), run_dir, program=program)
    rows = launch.metrics(run_dir)
    shutil.rmtree(run_dir)
    clocks = {"wall": "time", "cpu": "time_cpu"}
    seconds = {clock: _median_step([float(str(row[key])) for row in rows]) for clock, key in clocks.items()}
    return seconds, [float(str(row["loss"])) for row in rows]


def _median_step(times: list[float]) -> float:
    return statistics.median(later - earlier for earlier, later in pairwise(times[NUM_WARMUP_STEPS - 1 :]))


if __name__ == "__main__":
    sys.exit(main())
