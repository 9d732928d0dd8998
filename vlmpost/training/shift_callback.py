"""While a run trains: what its model does on a task in each variant, beside what the training has cost so far, in shifts.jsonl.

The figures of arXiv 2501.17161: success, accuracy per reply and recognition in distribution, under another rule and under other looks,
over the compute. At step 0, at every checkpoint or every so many steps, each process plays its part of the episodes and the first one
writes. Training does not notice: the model's mode and all random generators are as they were before.

A row that was not written when the run stopped is made when it goes on, so a signal does not wait for an evaluation.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState

from vlmpost import jsonl, tasks
from vlmpost.config.schema import EpisodeConfig, GenerationConfig, ShiftsConfig, SourceConfig
from vlmpost.errors import ConfigError
from vlmpost.evaluation.compute import Tokens
from vlmpost.evaluation.episodes import Seat, play, row_of
from vlmpost.evaluation.players import ModelPlayer
from vlmpost.evaluation.results import EvalResult, percent, summarize
from vlmpost.evaluation.runner import opener
from vlmpost.evaluation.shifts import draw_shifts, figures_row, shifts_of
from vlmpost.models.loader import LoadedModel
from vlmpost.records import Example
from vlmpost.reports.progress import Progress
from vlmpost.runs.directory import RunDirectory
from vlmpost.tasks.task import Shift
from vlmpost.training import seams
from vlmpost.training.exact import ExactTrainer

UNSHARDED = ("none", "ddp", "zero2")
"""Ways of sharing a model in which each process has all weights, and so can play by itself."""


class ShiftCallback(TrainerCallback):
    """Plays the variants of a task and writes a row for each.

    Args:
        config: The recipe's section.
        run: Where rows go.
        loaded: The processor and what belongs to it; the model is the trainer's.
        trainer: What trains.
        instruction: Text added to each question, as in training.
        progress: Where a line is shown.
        num_iterations: How often each rollout token is trained on. None: there are no rollouts.

    Raises:
        ConfigError: The processes share the weights, so that none can play by itself.
    """

    def __init__(
        self,
        config: ShiftsConfig,
        *,
        run: RunDirectory,
        loaded: LoadedModel,
        trainer: ExactTrainer,
        instruction: str | None,
        progress: Progress,
        num_iterations: int | None,
    ) -> None:
        check_sharding(seams.sharding_kind(trainer))
        self.config = config
        self.run = run
        self.progress = progress
        self.num_iterations = num_iterations
        self._loaded = loaded
        self._trainer = trainer
        self._instruction = instruction
        self._examples = questions(config)
        self._written = {(row.get("step"), row.get("shift")) for row in read_shifts(run)}

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # Any: transformers' callback signature, here and below.
        if state.global_step == 0 or self._is_due(state.global_step):
            self.measure(state.global_step)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.config.every_steps is None or _is_cut_short(state, control):
            return
        if self._is_due(state.global_step) or state.global_step == state.max_steps:
            self.measure(state.global_step)

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.config.every_steps is None and not _is_cut_short(state, control):
            self.measure(state.global_step)

    def measure(self, step: int) -> None:
        """Plays the variants that have no row of this step yet; every process has to take part.

        Raises:
            RunError: The disk refuses.
        """
        results: dict[Shift, EvalResult] = {}
        tokens = self._tokens()
        for shift, examples in self._examples.items():
            if (step, shift) in self._written:
                continue
            start = time.monotonic()
            results[shift] = summarize(self._played(examples), name=shift, settings={})
            self._written.add((step, shift))
            if self.run.writes:
                row = self._row(step, results[shift], tokens=tokens, seconds=time.monotonic() - start)
                jsonl.append(self.run.shifts_path, [row])
        if results and self.run.writes:
            self.progress.note(line_of(self.config.task, results, step=step))

    def _is_due(self, step: int) -> bool:
        """Whether rows belong to this step; at a resume it is a checkpoint's."""
        return self.config.every_steps is None or step % self.config.every_steps == 0

    def _played(self, examples: Sequence[Example]) -> list[dict[str, object]]:
        """The records of all episodes, those of all processes joined, the same on each."""
        rank, world = self._trainer.args.process_index, self._trainer.args.world_size
        seats = [Seat(example, sample) for example in examples for sample in range(self.config.num_samples)][rank::world]
        model = self._trainer.accelerator.unwrap_model(self._trainer.model)
        player = ModelPlayer(replace(self._loaded, model=model), generation=generation_of(self.config), instruction=self._instruction)
        task = tasks.find(self.config.task)
        episode = EpisodeConfig(verify_iterations=self.config.verify_iterations, rewards=self.config.rewards)
        opened = opener({example.id: task for example in examples}, episode=episode)
        with undisturbed(model):
            batches = play(player, seats, opened=opened, seed=self.config.seed, batch_size=self.config.per_device_eval_batch_size)
            rows = [row_of(one, None) for over in batches for one in over]
        joined: list[dict[str, object]] = gather_object(rows)
        return joined

    def _row(self, step: int, result: EvalResult, *, tokens: Tokens, seconds: float) -> dict[str, object]:
        num_parameters = self._loaded.num_parameters
        cost = {
            "num_parameters": num_parameters,
            "trained_tokens": tokens.trained,
            "sampled_tokens": tokens.sampled,
            "flop": tokens.flop(num_parameters),
        }
        facts = {"attempt": self.run.attempt, "step": step, "task": self.config.task, "shift": result.name}
        return {**facts, **figures_row(result), **cost, "seconds/shifts": round(seconds, 3)}

    def _tokens(self) -> Tokens:
        """What this run has trained on and sampled so far, all processes together."""
        if self.num_iterations is None:
            return Tokens(trained=self._trainer.num_trained_tokens)
        batches = int(self._trainer.state.num_input_tokens_seen)
        return Tokens(trained=batches * self.num_iterations, sampled=sum(gather_object([self._trainer.num_sampled_tokens])))


def questions(config: ShiftsConfig) -> dict[Shift, list[Example]]:
    """Returns the questions of each variant.

    Raises:
        ConfigError: There is no such task, variant or option.
    """
    task = tasks.find(config.task)
    source = SourceConfig(
        task=config.task,
        options=config.options,
        split=config.split,
        num_examples=config.num_examples,
        seed=config.data_seed,
        difficulties=config.difficulties,
    )
    return draw_shifts(source, shifts_of(task, config.shifts))


def generation_of(config: ShiftsConfig) -> GenerationConfig:
    """Returns how the replies are sampled: each by a seed of its own."""
    return GenerationConfig(temperature=config.temperature, max_completion_length=config.max_completion_length)


def read_shifts(run: RunDirectory) -> list[Mapping[str, object]]:
    """Returns the rows of a run's shifts.jsonl; none where there is no such file.

    Raises:
        DataError: A line is not JSON.
    """
    if not run.shifts_path.is_file():
        return []
    return [row for _, row in jsonl.read(run.shifts_path, torn_tail=True)]


def line_of(task: str, results: Mapping[Shift, EvalResult], *, step: int) -> str:
    """Returns the figures of a step as one line, e.g. "step 20, general_points: none 41.0 % [31.9, 50.8], rule 3.0 % [1.0, 8.5]"."""
    figures = [f"{shift} {percent(result.accuracy) if result.accuracy else '-'}" for shift, result in results.items()]
    return f"step {step}, {task}: {', '.join(figures)}"


def check_sharding(kind: str) -> None:
    """Refuses ways of sharing the model in which no process has all weights.

    Raises:
        ConfigError: It is one of them.
    """
    if kind not in UNSHARDED:
        raise ConfigError(
            f"shifts: under {kind} no process has all weights, so none can play episodes while the others do something else. Leave the "
            "section out and measure the checkpoints: vlmpost eval RUN/checkpoints/step_000100 --task TASK --shift all (and "
            "checkpoints.save_total_limit: null)."
        )


@contextmanager
def undisturbed(model: torch.nn.Module) -> Iterator[None]:
    """Inside the block anything may draw random numbers; after it all generators and the modes of all modules are as they were."""
    modes = {module: module.training for module in model.modules()}
    states = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=list(devices)):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            for module, mode in modes.items():
                module.training = mode


def _is_cut_short(state: TrainerState, control: TrainerControl) -> bool:
    """Whether the run is about to end before its last step; what is missing is made when it goes on."""
    return control.should_training_stop and state.global_step < state.max_steps
