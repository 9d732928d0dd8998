"""A GRPO step of `vlmpost rl` against the shortest plain TRL script: `python scripts/bench/grpo_speed.py [--by cpu] [--table]`.

Same model (the shipped nano VLM, made endless), rows, seed and lengths on both sides; one thread; started as processes in turn. A prompt
has the image tokens asked for and 30 text tokens; 8 prompts with 8 completions of 48 tokens make a step; all weights train. The first two
steps are left out, and a run's time is the median over its steps; ratios are of the medians over the runs. vlmpost stands twice: as it
comes, and with `training.shared_prompt: off`. "update" is forward and backward pass of the loss. Its peak memory is what tensors hold
above what they held before it, from torch's record of allocations in one further step (`step_clock.py`).

Ends with 1 when a target is missed: at 100 image tokens an update 3.8 times and a step 3.0 times as fast, at 400 a step 5.5 times, and
less memory at both. With --table a grid over image tokens, completions and their length instead, without targets: where it pays.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from types import MappingProxyType

from equal_lengths import endless_nano, sides_of, write_rows
from two_sides import OFF, OURS, PLAIN, SIDES, Row, Setting, Side, alternated, median_of, phases_of

NUM_TEXT_TOKENS = 30
NUM_WARMUP_STEPS = 2
GRID = MappingProxyType({"image_tokens": (0, 100, 400), "num_generations": (2, 8, 16), "completion_tokens": (16, 48, 192)})
NUM_TABLE_PROMPTS = 2
NUM_TABLE_STEPS = 3
MIB = 2**20


@dataclass(frozen=True)
class Target:
    """The least that plain TRL's time over vlmpost's must be."""

    step: float
    update: float | None = None


TARGETS = MappingProxyType({100: Target(step=3.0, update=3.8), 400: Target(step=5.5)})


def main() -> int:
    """Prints the figures; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-tokens", type=int, nargs="+", default=[100, 400])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--steps", type=int, default=7, help="steps of a run: two warm up, the last one records memory")
    parser.add_argument("--by", default="wall", choices=["wall", "cpu"], help="the clock that targets are judged by")
    parser.add_argument("--table", action="store_true", help="the grid, one run of three steps in each place")
    parser.add_argument("--without-off", action="store_true", help="leave out vlmpost with shared_prompt: off")
    parser.add_argument("--json", type=Path, help="write all timed steps here")
    args = parser.parse_args()
    if args.steps < NUM_WARMUP_STEPS + 2:
        parser.error(
            f"--steps {args.steps}: {NUM_WARMUP_STEPS} warm up and the last one records memory, so give {NUM_WARMUP_STEPS + 2} or more"
        )
    found: dict[str, object] = {}
    sides = [side for side in SIDES if side.name != OFF or not args.without_off]
    with tempfile.TemporaryDirectory(prefix="vlmpost-grpo-") as name:
        folder = Path(name)
        model = endless_nano(folder / "model")
        if args.table:
            missed = table(model, folder, sides=sides, by=args.by, found=found)
        else:
            missed = [
                line
                for num_image_tokens in args.image_tokens
                for line in compare(
                    model, folder, num_image_tokens, sides=sides, repeats=args.repeats, steps=args.steps, by=args.by, found=found
                )
            ]
    if args.json:
        args.json.write_text(json.dumps(found), encoding="utf-8")
    for line in missed:
        print(f"MISSED: {line}")
    return int(bool(missed))


def setting_of(
    model: Path, folder: Path, *, image_tokens: int, num_generations: int, completion_tokens: int, prompts: int, steps: int
) -> Setting:
    """The setting, with its rows written."""
    rows = folder / f"rows-{image_tokens}"
    if not rows.exists():
        write_rows(
            rows,
            model,
            num_rows=64,
            image_sides=[sides_of(image_tokens)] if image_tokens else [],
            num_text_tokens=NUM_TEXT_TOKENS,
            num_solution_tokens=1,
        )
    return Setting(
        kind="grpo",
        model=str(model),
        rows=str(rows / "rows.jsonl"),
        steps=steps,
        prompts_per_step=prompts,
        num_generations=num_generations,
        num_completion_tokens=completion_tokens,
        rows_per_forward=prompts * num_generations,
    )


def compare(
    model: Path,
    folder: Path,
    num_image_tokens: int,
    *,
    sides: Sequence[Side],
    repeats: int,
    steps: int,
    by: str,
    found: dict[str, object],
) -> list[str]:
    """Prints the figures of one prompt length; the targets that are missed."""
    setting = setting_of(model, folder, image_tokens=num_image_tokens, num_generations=8, completion_tokens=48, prompts=8, steps=steps)
    setting = replace(setting, memory_step=steps)
    runs = alternated(sides, setting, repeats=repeats, num_warmup_steps=NUM_WARMUP_STEPS)
    found[f"image_tokens={num_image_tokens}"] = runs
    print(f"\n{num_image_tokens} image + {NUM_TEXT_TOKENS} text tokens, 8 x 8 completions of 48, {repeats} runs of {steps} steps each")
    for clock in ("wall", "cpu"):
        print_seconds(runs, clock)
    print_memory(runs)
    return misses(runs, TARGETS.get(num_image_tokens), by=by, where=f"{num_image_tokens} image tokens")


def print_seconds(runs: dict[str, list[list[Row]]], clock: str) -> None:
    """A markdown table: phases down, sides across, and plain TRL's time over each side's."""
    others = [name for name in runs if name != PLAIN]
    print(f"\n| {clock} s/step | {PLAIN} | " + " | ".join(f"{name} | x" for name in others) + " |")
    print("|---|---:|" + "---:|---:|" * len(others))
    phases = dict.fromkeys(phase for by_side in runs.values() for phase in phases_of(by_side))
    for phase in (None, *phases):
        base = median_of(runs[PLAIN], clock, phase)
        cells = []
        for name in others:
            seconds = median_of(runs[name], clock, phase)
            cells.append(f"{seconds:.3f} | {_ratio(base, seconds)}")
        print(f"| {phase or 'whole step'} | {base:.3f} | " + " | ".join(cells) + " |")


def _ratio(base: float, seconds: float) -> str:
    return f"{base / seconds:.2f}" if seconds > 0 else ""


def print_memory(runs: dict[str, list[list[Row]]]) -> None:
    """A line for each side."""
    print()
    for name, by_run in runs.items():
        print(f"peak memory of the update, {name}: {peak_bytes(by_run) / MIB:.0f} MiB")


def peak_bytes(runs: Sequence[Sequence[Row]]) -> float:
    """The median over runs of the most bytes that an update held."""
    return statistics.median(max(row["update_bytes"] for row in rows if row["update_bytes"] is not None) for rows in runs)


def misses(runs: dict[str, list[list[Row]]], target: Target | None, *, by: str, where: str) -> list[str]:
    """What falls short of the targets, a line each."""
    if target is None:
        return []
    lines = []
    for phase, least in ((None, target.step), ("update", target.update)):
        ratio = median_of(runs[PLAIN], by, phase) / median_of(runs[OURS], by, phase)
        if least is not None and ratio < least:
            lines.append(f"{where}: {phase or 'step'} {ratio:.2f} times as fast by {by}, target {least}")
    if peak_bytes(runs[OURS]) >= peak_bytes(runs[PLAIN]):
        lines.append(f"{where}: the update's peak memory is not below plain TRL's")
    return lines


def table(model: Path, folder: Path, *, sides: Sequence[Side], by: str, found: dict[str, object]) -> list[str]:
    """Prints the grid as a markdown table; it has no targets."""
    names = [side.name for side in sides]
    others = [name for name in names if name != OURS]
    print(f"{NUM_TABLE_PROMPTS} prompts with {NUM_TEXT_TOKENS} text tokens; median {by} seconds of {NUM_TABLE_STEPS - 1} steps of one run")
    print("\n| image tokens | G | completion tokens | " + " | ".join([*names, *(f"x {name}" for name in others)]) + " |")
    print("|" + "---:|" * (3 + len(names) + len(others)))
    for image_tokens, num_generations, completion_tokens in product(*GRID.values()):
        setting = setting_of(
            model,
            folder,
            image_tokens=image_tokens,
            num_generations=num_generations,
            completion_tokens=completion_tokens,
            prompts=NUM_TABLE_PROMPTS,
            steps=NUM_TABLE_STEPS,
        )
        runs = alternated(sides, setting, repeats=1, num_warmup_steps=1)
        found[f"{image_tokens}/{num_generations}/{completion_tokens}"] = runs
        seconds = {name: median_of(runs[name], by) for name in names}
        figures = [*(f"{seconds[name]:.2f}" for name in names), *(f"{seconds[name] / seconds[OURS]:.2f}" for name in others)]
        print(f"| {image_tokens} | {num_generations} | {completion_tokens} | " + " | ".join(figures) + " |", flush=True)
    return []


if __name__ == "__main__":
    sys.exit(main())
