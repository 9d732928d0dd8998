"""The mixin that makes a `Trainer` resume exactly, stop between steps and never step on a number that is not finite.

Shared by the SFT and the policy trainer. Everything private it touches stands in `seams.SEAMS`.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from vlmpost.errors import TrainingStopped
from vlmpost.runs.directory import RunDirectory
from vlmpost.training import checkpointing, seams
from vlmpost.training.nonfinite import describe_nonfinite, save_batch
from vlmpost.training.order import PromptSampler, StepSampler

logger = logging.getLogger(__name__)


class PhaseClock:
    """Seconds spent in named parts of a step; parts inside a part are taken off the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time of the block to `name`."""
        before, self._inner = self._inner, 0.0
        start = time.perf_counter()
        try:
            yield
        finally:
            total = time.perf_counter() - start
            self.seconds[name] += total - self._inner
            self._inner = before + total

    def drain(self) -> dict[str, float]:
        """The seconds by name since the last call."""
        seconds, self.seconds = dict(self.seconds), defaultdict(float)
        return seconds


class ExactTrainer(Trainer):
    """Mixin, placed before a TRL trainer.

    Args:
        run: Where checkpoints go, and the batch behind a loss that is not finite.
        save_total_limit: Newest checkpoints kept; None keeps all.
    """

    order: StepSampler | PromptSampler

    def __init__(self, *args: Any, run: RunDirectory, save_total_limit: int | None, **kwargs: Any) -> None:
        # Any: TRL's own arguments, handed on untouched.
        self.run = run
        self.clock = PhaseClock()
        self._save_total_limit = save_total_limit
        self._saving_into: Path | None = None
        self._resumed_from: Path | None = None
        self.last_inputs: dict[str, Any] = {}  # Any: the tensors of the last micro-batch
        self.num_sampled_tokens = 0  # read and generated in rollouts by this process; a chat counts anew for each of its replies
        self._last_loss = 0.0
        super().__init__(*args, **kwargs)
        self.remove_callback(PrinterCallback)
        self.add_callback(_Restorer(self))

    # --- saving ---

    def _get_output_dir(self, trial: Any) -> str:  # Any: never used, we search no hyperparameters
        return str(self._saving_into) if self._saving_into is not None else super()._get_output_dir(trial)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Writes nothing: the run directory tells where a model comes from."""

    def _send_telemetry(self) -> None:
        """Sends nothing: TRL would report each trainer it makes."""

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        step = self.state.global_step
        scratch = checkpointing.scratch_path(self.run, step)
        written = scratch / f"checkpoint-{step}"
        with checkpointing.disk_errors(self.run, step):
            if self.args.process_index == 0:
                shutil.rmtree(scratch, ignore_errors=True)
                scratch.mkdir(parents=True)
            self.accelerator.wait_for_everyone()
            self._saving_into = scratch
            try:
                super()._save_checkpoint(model, trial)
                name = checkpointing.STATE_NAME.format(rank=self.args.process_index)
                (written / name).write_text(json.dumps(self._loop_state()), encoding="utf-8")
                self.accelerator.wait_for_everyone()
                if self.args.process_index == 0:
                    checkpointing.seal(written, step=step, world_size=self.args.world_size)
                    shutil.rmtree(self.run.temporary_checkpoint_path(step), ignore_errors=True)
                    os.rename(written, self.run.temporary_checkpoint_path(step))
                    self.run.publish_checkpoint(step)
                    checkpointing.rotate(self.run, save_total_limit=self._save_total_limit)
            finally:
                self._saving_into = None
                if self.args.process_index == 0:
                    shutil.rmtree(scratch, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    # --- resuming ---

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        self._resumed_from = Path(resume_from_checkpoint)
        target = model if model is not None else self.model
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        elif isinstance(target, PeftModel):
            seams.check_adapter_fits(target, resume_from_checkpoint)
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            seams.load_weights_strictly(target, resume_from_checkpoint)

    def _loop_state(self) -> dict[str, Any]:  # Any: JSON values
        state = {
            "loss_since_log": float(self._tr_loss),
            "loss_total": float(self._total_loss_scalar),
            "step_of_last_log": int(self._globalstep_last_logged),
            "figures_since_log": {key: list(values) for key, values in self._metrics["train"].items()},
            "num_sampled_tokens": self.num_sampled_tokens,
        }
        if hasattr(self, "_total_train_tokens"):  # SFT counts here, GRPO in its TrainerState
            state["_total_train_tokens"] = self._total_train_tokens
        return state

    def load_finished(self, checkpoint: Path) -> None:
        """Puts the weights of the last checkpoint of a run in place, when all that was lost is the final folder."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        self._restore_token_counts(self._saved_loop_state())

    def restore_loop_state(self) -> None:
        """Puts back what `Trainer` forgets between a checkpoint and the next log."""
        state = self._saved_loop_state()
        if state is None:
            return
        self._tr_loss += state["loss_since_log"]
        self._total_loss_scalar = state["loss_total"]
        self._globalstep_last_logged = state["step_of_last_log"]
        for key, values in state["figures_since_log"].items():
            self._metrics["train"][key].extend(values)
        self._restore_token_counts(state)

    def _saved_loop_state(self) -> dict[str, Any] | None:  # Any: JSON values
        """What the checkpoint that was loaded says of this process's loop; None where none was, or it says nothing."""
        if self._resumed_from is None:
            return None
        path = self._resumed_from / checkpointing.STATE_NAME.format(rank=self.args.process_index)
        if not path.is_file():
            logger.warning("%s: this number of processes did not write it; the first logged loss covers fewer steps.", path)
            return None
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return state

    def _restore_token_counts(self, state: dict[str, Any] | None) -> None:
        for name in ("num_sampled_tokens", "_total_train_tokens"):
            if state is not None and name in state:
                setattr(self, name, state[name])

    @property
    def num_trained_tokens(self) -> int:
        """Tokens that SFT has trained on in this run, all processes together."""
        return int(self._total_train_tokens)

    # --- finite numbers only ---

    def training_step(self, model: torch.nn.Module, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        with self.clock.phase("update"):
            loss = super().training_step(model, inputs, num_items_in_batch)
        self._last_loss = loss
        return loss

    def compute_loss(self, model: torch.nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self.last_inputs = inputs
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        grad_norm = super()._get_grad_norm(model, grad_norm)
        loss, norm = float(self._last_loss), 0.0 if grad_norm is None else float(grad_norm)  # None: DeepSpeed keeps it to itself
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._stop_nonfinite(loss, norm)
        return grad_norm

    def _stop_nonfinite(self, loss: float, grad_norm: float) -> None:
        step = self.state.global_step + 1
        cause = describe_nonfinite(self.model, self.last_inputs, loss=loss, grad_norm=grad_norm)
        saved = save_batch(self.run.logs_dir, self.last_inputs, step=step, rank=self.args.process_index)
        kept = self.run.latest_checkpoint()
        last = f"{kept.name} is intact" if kept else "no checkpoint was written yet"
        raise TrainingStopped(
            f"step {step}: {cause}. The weights were not changed by this step and its batch is in {saved}; {last}. "
            "Look at the batch, or lower training.learning_rate or training.max_grad_norm in another run, from a checkpoint of this one."
        )

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:
            logs.update({f"seconds/{name}": seconds for name, seconds in self.clock.drain().items()})
        super().log(logs, *args, **kwargs)


class _Restorer(TrainerCallback):
    """Hands the epoch to the sampler and the saved state to the loop; `Trainer` does neither when it resumes."""

    def __init__(self, trainer: ExactTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # Any: transformers' callback signature
        self._trainer.restore_loop_state()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.order.set_epoch(int(state.epoch or 0))
