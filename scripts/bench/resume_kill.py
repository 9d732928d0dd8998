"""Kill -9 at random moments, resume, compare: `python scripts/bench/resume_kill.py [--kills 10] [--seed 0] [--kinds ppo pools]`.

For SFT, GRPO, PPO, GRPO with all of signal (pools, dynamic sampling, replay) and RL guided by stored traces each: one run to its end,
then as many runs killed at a random moment and resumed. Half of the kills wait for a checkpoint to be in the middle of its writing.
Passes when every resumed run ends with the same bytes of weights.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import launch

POLL_SECONDS = 0.001
STEPS = 12
_RL = launch.rl_recipe(max_steps=STEPS, prompts_per_step=2, save_steps=2, num_examples=10)
_SIGNAL = {"prompt_pools": True, "dynamic_sampling": True, "max_sampling_rounds": 2, "replay_size": 8}
_MOSTLY_HOPELESS = [
    {"task": "card_sums", "num_examples": 10},
    {"task": "card_sums", "num_examples": 30, "options": {"rule": "red_minus"}, "seed": 1},
]
KINDS: dict[str, tuple[str, launch.Recipe]] = {
    "sft": ("sft", launch.sft_recipe(max_steps=STEPS, examples_per_step=8, save_steps=2, num_examples=40)),
    "rl": ("rl", _RL),
    "ppo": ("rl", _RL | {"algorithm": {"kind": "ppo", "num_generations": 8}}),
    "pools": ("rl", _RL | {"data": {"train": _MOSTLY_HOPELESS}, "signal": _SIGNAL}),
    **{name: ("rl", launch.guided_recipe(name, max_steps=STEPS, prompts_per_step=2, save_steps=2)) for name in launch.GUIDED},
}
"""The command and the recipe of each kind of run."""


def main() -> int:
    """Prints a line per kill and the count; 1 when a resumed run differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    args = parser.parse_args()
    random_source = random.Random(args.seed)
    num_same = num_all = 0
    with tempfile.TemporaryDirectory(prefix="vlmpost-kill-") as folder:
        for kind in args.kinds:
            command, recipe = KINDS[kind][0], launch.write_recipe(KINDS[kind][1], Path(folder) / f"{kind}.yaml")
            straight = Path(folder) / f"{kind}-straight"
            start = time.monotonic()
            launch.run(command, recipe, straight)
            weights = launch.final_weights(straight)
            rows = launch.metrics(straight)
            step_seconds = (float(str(rows[-1]["time"])) - float(str(rows[0]["time"]))) / (STEPS - 1)
            print(f"{kind}: {STEPS} steps without a break in {time.monotonic() - start:.0f} s, {step_seconds:.2f} s a step", flush=True)
            if kind == "pools":
                print(f"pools: {used_signal(rows)}", flush=True)
            for number in range(args.kills):
                said, same = kill_and_resume(
                    command,
                    recipe,
                    Path(folder) / f"{kind}-{number}",
                    weights,
                    step_seconds=step_seconds,
                    writing=number % 2 == 1,
                    source=random_source,
                )
                print(f"{kind} kill {number + 1:2d}: {said}; resumed: {'identical' if same else 'DIFFERENT'}", flush=True)
                num_same, num_all = num_same + same, num_all + 1
    print(f"{num_same} of {num_all} resumed runs have the weights of the run without a break, bit for bit")
    return int(num_same != num_all)


def used_signal(rows: list[dict[str, object]]) -> str:
    """How much of signal a run needed, so that a resume has something to lose."""
    num_refilled = sum(row["sampling_rounds"] != 1 for row in rows)
    num_replayed = sum(float(str(row["replayed_groups"])) for row in rows)
    return f"{num_refilled} of {len(rows)} batches were refilled, {num_replayed:.0f} groups were replayed"


def kill_and_resume(
    command: str, recipe: Path, run_dir: Path, weights: dict[str, bytes], *, step_seconds: float, writing: bool, source: random.Random
) -> tuple[str, bool]:
    """Where the kill fell, and whether the resumed run ended with `weights`."""
    while not _killed(command, recipe, run_dir, step_seconds=step_seconds, writing=writing, source=source):
        shutil.rmtree(run_dir)  # it had ended by itself
    said = where(run_dir)
    launch.run(command, recipe, run_dir, "--resume")
    same = launch.final_weights(run_dir) == weights
    shutil.rmtree(run_dir)
    return said, same


def _killed(command: str, recipe: Path, run_dir: Path, *, step_seconds: float, writing: bool, source: random.Random) -> bool:
    process = launch.start(command, recipe, run_dir)
    if writing:
        wait_for_writing(run_dir / "checkpoints", process, which=source.randint(1, STEPS // 2))
        time.sleep(source.uniform(0, 0.05))
    else:
        wait_for_step(run_dir, process, step=source.randint(0, STEPS - 1))
        time.sleep(source.uniform(0, step_seconds))
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def where(run_dir: Path) -> str:
    """What the killed run had reached."""
    names = sorted(path.name for path in (run_dir / "checkpoints").iterdir())
    half = [name for name in names if name.startswith(".")]
    whole = [name for name in names if not name.startswith(".")]
    text = f"after step {launch.last_step(run_dir)}, newest checkpoint {whole[-1] if whole else 'none'}"
    return f"{text}, half written {half[0]}" if half else text


def wait_for_step(run_dir: Path, process: subprocess.Popen[bytes], *, step: int) -> None:
    """Until a step is logged; step 0 is the beginning of the run's folder."""
    while process.poll() is None:
        if (run_dir / "manifest.json").is_file() and launch.last_step(run_dir) >= step:
            return
        time.sleep(POLL_SECONDS)


def wait_for_writing(folder: Path, process: subprocess.Popen[bytes], *, which: int) -> None:
    """Until the checkpoint number `which` is being written."""
    seen: set[str] = set()
    while process.poll() is None:
        if folder.is_dir():
            seen |= {name for name in os.listdir(folder) if name.startswith(".tmp-writing")}
            if len(seen) >= which:
                return
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
