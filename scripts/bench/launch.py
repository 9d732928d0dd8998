"""What the training benchmarks share: a recipe written to a file, vlmpost started as a process of its own, its rows read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
Recipe = dict[str, object]


def sft_recipe(*, max_steps: int, examples_per_step: int, save_steps: int, num_examples: int = 256, freeze: bool = True) -> Recipe:
    """SFT of the nano VLM on drawn tasks."""
    return {
        "model": {"path": "nano", "device": "cpu", "freeze_vision_tower": freeze, "freeze_multi_modal_projector": freeze},
        "data": {"train": [{"task": "card_sums", "num_examples": num_examples}]},
        "training": {"max_steps": max_steps, "examples_per_step": examples_per_step, "learning_rate": 1e-4},
        "checkpoints": {"save_steps": save_steps},
    }


def rl_recipe(*, max_steps: int, prompts_per_step: int, save_steps: int, num_examples: int = 256) -> Recipe:
    """GRPO of the nano VLM on drawn tasks, with one reward."""
    return {
        "model": {"path": "nano", "device": "cpu"},
        "data": {"train": [{"task": "card_sums", "num_examples": num_examples}]},
        "rewards": [{"name": "accuracy"}],
        "algorithm": {"num_generations": 8},
        "generation": {"max_completion_length": 48},
        "training": {"max_steps": max_steps, "prompts_per_step": prompts_per_step, "learning_rate": 1e-5},
        "checkpoints": {"save_steps": save_steps},
    }


GUIDED: dict[str, dict[str, object]] = {
    "interleaved": {},
    "interleaved_buffered": {"steps": {"buffer_size": 3}},
    "progressive": {},
    "chord_mu": {"traces": {"per_step": 4}},
    "luffy": {},
    "bread": {},
    "prefix_rft": {},
    "sasr": {"steps": {"num_warmup_steps": 3}},
}
"""Presets of guidance that between them use every knob and remember all that can be remembered, with what makes them act in few steps."""


def guided_recipe(preset: str, *, max_steps: int, prompts_per_step: int, save_steps: int) -> Recipe:
    """RL of the nano VLM guided by the drawn tasks' solutions, on questions of which it solves about half."""
    hard: Recipe = {"task": "card_sums", "num_examples": 10, "difficulties": [5]}
    return {
        **rl_recipe(max_steps=max_steps, prompts_per_step=prompts_per_step, save_steps=save_steps),
        "data": {"train": [hard, {"task": "counting", "num_examples": 10}]},
        "algorithm": {},
        "guidance": {"preset": preset, **GUIDED[preset]},
    }


def write_recipe(recipe: Recipe, path: Path) -> Path:
    """The recipe as a YAML file."""
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def start(
    kind: str, recipe: Path, run_dir: Path, *flags: str, num_processes: int = 1, program: tuple[str, ...] = ("-m", "vlmpost")
) -> subprocess.Popen[bytes]:
    """`vlmpost KIND RECIPE --run-dir RUN_DIR FLAGS` as a process; its output goes to RUN_DIR.log."""
    launcher = [sys.executable]
    if num_processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(num_processes)]
    command = [*launcher, *program, kind, str(recipe), "--run-dir", str(run_dir), *flags]
    with open(f"{run_dir}.log", "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})


def run(kind: str, recipe: Path, run_dir: Path, *flags: str, num_processes: int = 1, program: tuple[str, ...] = ("-m", "vlmpost")) -> None:
    """As `start`, to its end; ends this script with the run's last lines when it fails."""
    code = start(kind, recipe, run_dir, *flags, num_processes=num_processes, program=program).wait()
    if code:
        tail = Path(f"{run_dir}.log").read_text(errors="replace").splitlines()[-20:]
        sys.exit(f"{kind} run {run_dir} ended with {code}:\n" + "\n".join(tail))


def metrics(run_dir: Path) -> list[dict[str, object]]:
    """The rows of a run's metrics."""
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def last_step(run_dir: Path) -> int:
    """The last step that a killed run logged; a torn last line does not count."""
    lines = (
        (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True) if (run_dir / "metrics.jsonl").exists() else []
    )
    return max((int(json.loads(line)["step"]) for line in lines if line.endswith("\n")), default=0)


def final_weights(run_dir: Path) -> dict[str, bytes]:
    """The bytes of each weight file of the final model."""
    return {path.name: path.read_bytes() for path in sorted((run_dir / "final").glob("*.safetensors"))}
