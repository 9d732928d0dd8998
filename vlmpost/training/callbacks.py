"""What a run leaves behind while it trains: metrics.jsonl, rollouts.jsonl, status.json, the progress display, the doctor's findings.

Only the first process writes. Every process asks the doctor, so that all stop together.
"""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState

from vlmpost import jsonl
from vlmpost.reports.progress import Progress
from vlmpost.runs.directory import RunDirectory
from vlmpost.runs.metrics import append_metrics
from vlmpost.runs.status import write_status
from vlmpost.training.doctor import Doctor, Finding
from vlmpost.training.rollouts.batch import RolloutBatch, rollout_rows
from vlmpost.training.stop_request import StopRequest

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 2.0
"""Least time between two writes of status.json."""

NAMES: Mapping[str, str] = {
    "completions/mean_length": "length_tokens",
    "completions/min_length": "length_min_tokens",
    "completions/max_length": "length_max_tokens",
    "completions/clipped_ratio": "truncated_share",
    "completions/mean_terminated_length": "length_finished_tokens",
    "frac_reward_zero_std": "flat_group_share",
    "clip_ratio/region_mean": "clipped_share",
    "clip_ratio/low_mean": "clipped_low_share",
    "clip_ratio/high_mean": "clipped_high_share",
    "mean_token_accuracy": "token_accuracy",
}
"""TRL's names of figures and ours."""
_DROPPED = frozenset(
    {"completions/min_terminated_length", "completions/max_terminated_length", "clip_ratio/low_min", "clip_ratio/high_max", "step_time"}
)
SIDE_KEYS = ("seconds/", "memory_gib", "time")
"""Beginnings of the keys that tell of the machine, not of the model: two equal runs differ in them."""


def metrics_row(logs: Mapping[str, Any], *, step: int) -> dict[str, object]:  # Any: numbers and None
    """A row of metrics.jsonl from what `Trainer` logs."""
    kept = {NAMES.get(key, key): value for key, value in logs.items() if key not in _DROPPED}
    return {"step": step, **kept, "memory_gib": round(memory_bytes() / 2**30, 3), "time": round(time.time(), 3)}


def memory_bytes() -> int:
    """The most memory held so far: on the GPU where there is one, else of this process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class RunCallback(TrainerCallback):
    """Writes metrics and status, shows progress, asks the doctor, obeys signals.

    Args:
        run: Where files go.
        phase: "sft" or "rl".
        progress: The display; a silent one on all processes but the first.
        doctor: Keeps the findings.
        on_fatal: What a fatal finding does.
        stop_request: Set by SIGTERM and SIGINT.
        cycle_steps: Optimizer steps that share one batch of rollouts: the run stops only between them.
    """

    def __init__(
        self,
        *,
        run: RunDirectory,
        phase: str,
        progress: Progress,
        doctor: Doctor,
        on_fatal: Literal["stop", "warn", "off"],
        stop_request: StopRequest,
        cycle_steps: int,
    ) -> None:
        self.run = run
        self.phase = phase
        self.progress = progress
        self.doctor = doctor
        self.on_fatal = on_fatal
        self.stop_request = stop_request
        self.cycle_steps = cycle_steps
        self.fatal: Finding | None = None
        self.stopped_by_signal = False
        self._last_beat = 0.0
        self._device = torch.device("cpu")

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # Any: transformers' callback signature, here and below.
        self._device = args.device
        if self.run.writes:
            self.progress.start(self.phase, num_steps=state.max_steps, done=state.global_step)
            self._beat(state, force=True)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        between_cycles = state.global_step % self.cycle_steps == 0
        if between_cycles and self.stop_request.on_any_process(self._device):
            self.stopped_by_signal = True
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if not logs or "loss" not in logs:
            return
        row = metrics_row(logs, step=state.global_step)
        if self.run.writes:
            append_metrics(self.run, row)
            self.progress.step(row)
            self._beat(state)
        if self.on_fatal != "off":
            for finding in self.doctor.examine(row):
                self._report(finding, control)

    def _report(self, finding: Finding, control: TrainerControl) -> None:
        logger.info("doctor: %s", finding)
        if self.run.writes:
            self.progress.note(f"doctor: {finding}")
        if finding.fatal and self.on_fatal == "stop" and self.fatal is None:
            self.fatal = finding
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.run.writes:
            self._beat(state, force=True)

    def _beat(self, state: TrainerState, *, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self._last_beat >= HEARTBEAT_SECONDS:
            self._last_beat = now
            write_status(self.run, state="running", phase=self.phase, step=state.global_step, num_steps=state.max_steps)


class RolloutCallback(TrainerCallback):
    """Writes a batch of rollouts every `every_steps` steps, the first step included; every process has to take part.

    Args:
        run: Where files go.
        batch: Gives the newest rollouts of this process.
        every_steps: Steps between batches.
        limit: Rollouts of each batch, whole groups where it is a multiple of them.
    """

    def __init__(self, *, run: RunDirectory, batch: Callable[[], RolloutBatch | None], every_steps: int, limit: int) -> None:
        self.run = run
        self.batch = batch
        self.every_steps = every_steps
        self.limit = limit

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        batch = self.batch()
        if batch is None or (state.global_step != 1 and state.global_step % self.every_steps):
            return
        parts = gather_object([batch.first(self.limit)])
        if self.run.writes:
            rows = rollout_rows(RolloutBatch.joined(parts), step=state.global_step, limit=self.limit, images_dir=self.run.images_dir)
            jsonl.append(self.run.rollouts_path, rows)
