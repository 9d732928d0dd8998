"""`python side_vlmpost.py OUT [--memory-step N] [--random-weights] KIND RECIPE FLAGS`: vlmpost's command with a `StepClock` in its trainer.

OUT gets a row for each step. With --random-weights the model is made on its device from the folder's config.json, no weight file is
read, and no checkpoint or final folder is written: models of 7B would fill the disk. Nothing else differs from `vlmpost KIND RECIPE`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from gpu_shapes import random_model
from step_clock import StepClock, split_generation
from transformers import PreTrainedModel

from vlmpost.cli.app import main as vlmpost
from vlmpost.config.schema import ModelConfig
from vlmpost.models import loader
from vlmpost.training import callbacks, exact, executor


def main() -> None:
    """Runs the command and writes the rows, whatever becomes of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--memory-step", type=int)
    parser.add_argument("--random-weights", action="store_true")
    args, rest = parser.parse_known_args()
    clock = StepClock(memory_step=args.memory_step)
    split_generation(clock)
    exact.PhaseClock = lambda: clock  # type: ignore[assignment, misc]
    _note_figures(clock)
    if args.random_weights:
        _without_weight_files()
    sys.argv = ["vlmpost", *rest]
    try:
        vlmpost()
    finally:
        clock.write(args.out)


def _note_figures(clock: StepClock) -> None:
    """Adds loss and lengths to the clock's rows, which begin when the trainer logs."""
    plain = callbacks.metrics_row

    def noted(logs: Any, **kwargs: Any) -> dict[str, object]:  # Any: as `metrics_row`
        row = plain(logs, **kwargs)
        clock.note(loss=row["loss"], length=row.get("length_tokens"), reward_std=row.get("reward_std"), num_tokens=row.get("num_tokens"))
        return row

    callbacks.metrics_row = noted


def _without_weight_files() -> None:
    """Puts a model made on its device in the place of one that is read, and nothing in the place of what is written."""
    loader._read_model = _made  # type: ignore[assignment]
    loader.weight_files = _no_files
    loader.weights_hash = _no_hash
    exact.ExactTrainer._save_checkpoint = _nothing  # type: ignore[method-assign]
    executor._save_final = _nothing


def _made(folder: Path, config: ModelConfig, *, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    return random_model(folder, device=device, dtype=dtype, attention=config.attn_implementation)


def _no_files(folder: Path) -> tuple[Path, ...]:  # noqa: ARG001
    return ()


def _no_hash(files: Sequence[Path]) -> str:  # noqa: ARG001
    return "none: the weights are random"


def _nothing(*args: object) -> None:
    """Saves nothing."""


if __name__ == "__main__":
    main()
