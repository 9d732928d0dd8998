"""Looks over the shoulder of training runs: what each optimizer step learned from, its loss, and the weights at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vlmpost import jsonl
from vlmpost.config.schema import RlConfig
from vlmpost.runs.directory import RunDirectory, open_existing
from vlmpost.runs.resume import open_for_resume
from vlmpost.training.callbacks import SIDE_KEYS
from vlmpost.training.executor import run_rl
from vlmpost.training.policy import PolicyTrainer
from vlmpost.training.update.mini_batch import MiniBatch

Weights = dict[str, torch.Tensor]


class Watch:
    """Notes the optimizer steps of runs in this process; `fresh` forgets those of the last run.

    Args:
        monkeypatch: Takes the watch off when the test ends.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fresh()
        compute, measure = PolicyTrainer.compute_loss, PolicyTrainer._loss

        def watched(trainer, model, inputs, *args, **kwargs):
            self.trainer = trainer
            self.batches.append(inputs)
            self.num_passes.append(0)
            loss = compute(trainer, model, inputs, *args, **kwargs)
            self.losses.append(float(loss.detach()))
            return loss

        def counted(trainer, *args, **kwargs):
            self.num_passes[-1] += 1
            return measure(trainer, *args, **kwargs)

        monkeypatch.setattr(PolicyTrainer, "compute_loss", watched)
        monkeypatch.setattr(PolicyTrainer, "_loss", counted)

    def fresh(self) -> None:
        self.trainer: PolicyTrainer | None = None
        self.batches: list[MiniBatch] = []
        self.losses: list[float] = []
        self.num_passes: list[int] = []

    @property
    def completions(self) -> list[tuple[tuple[int, ...], ...]]:
        """Of each step, token for token."""
        return [batch.experience.completions for batch in self.batches]

    @property
    def weights(self) -> Weights:
        """Those that are trained, as they are now."""
        return {name: value.detach().clone() for name, value in self.trainer.model.named_parameters() if value.requires_grad}


def distance(ours: Weights, theirs: Weights) -> float:
    """The norm of the difference of all tensors over their norm."""
    assert ours.keys() == theirs.keys()
    difference = sum(float((ours[name].detach() - theirs[name].detach()).double().square().sum()) for name in ours)
    return (difference / sum(float(value.detach().double().square().sum()) for value in theirs.values())) ** 0.5


def rows(path: Path) -> list[dict[str, object]]:
    """The rows of a run's file without what tells of the machine."""
    return [{key: value for key, value in row.items() if not key.startswith((*SIDE_KEYS, "attempt"))} for _, row in jsonl.read(path)]


def figures(run: RunDirectory, name: str) -> list[float]:
    """A metric of each step that has it."""
    return [row[name] for row in rows(run.metrics_path) if name in row]


def resumed(straight: RunDirectory, config: RlConfig, *, at_step: int, last_step: int) -> RunDirectory:
    """A finished run of two checkpoints as it goes on from the first of them, in a folder beside it."""
    folder = straight.path.with_name(f"{straight.path.name}_cut")
    shutil.copytree(straight.path, folder)
    shutil.rmtree(folder / "final")
    shutil.rmtree(folder / "checkpoints" / f"step_{last_step:06d}")
    run = open_for_resume(folder, config)
    assert run.latest_checkpoint().name == f"step_{at_step:06d}"
    run_rl(config, run, resume=True)
    return run


def same_run(ours: RunDirectory, theirs: RunDirectory, *, last_step: int) -> bool:
    """Whether two runs have the same weights, critics, figures and rollouts, bit for bit."""
    files = [sorted(run.checkpoint_path(last_step).glob("**/*.safetensors")) for run in (ours, theirs)]
    assert files[0] and [path.name for path in files[0]] == [path.name for path in files[1]]
    for path, other in zip(*files, strict=True):
        tensors, others = load_file(path), load_file(other)
        if tensors.keys() != others.keys() or not all(torch.equal(tensors[name], others[name]) for name in tensors):
            return False
    return rows(ours.metrics_path) == rows(theirs.metrics_path) and rows(ours.rollouts_path) == rows(theirs.rollouts_path)


def two_processes(config: RlConfig, folder: Path, *, timeout_seconds: float = 240) -> RunDirectory:
    """The run of a recipe by two processes on the CPU."""
    recipe = folder.with_suffix(".json")
    recipe.write_text(config.model_dump_json())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", port]
    process = subprocess.run(
        [*launcher, str(Path(__file__).parent / "drive.py"), "rl", str(recipe), str(folder)],
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return open_existing(folder)
