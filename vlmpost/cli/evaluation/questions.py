"""What `vlmpost eval` asks, and whom: the parts of an evaluation from `--data` or `--task`, and the model's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmpost.config.schema import EpisodeConfig, SourceConfig
    from vlmpost.records import Example
    from vlmpost.tasks import Task


@dataclass(frozen=True)
class Part:
    """Questions that get a result of their own."""

    name: str
    examples: Sequence[Example]
    out_path: Path


@dataclass(frozen=True)
class TaskPlay:
    """A task in some of its variants, and how it is played."""

    task: Task
    parts: tuple[Part, ...]
    """One per variant, named after it."""
    episode: EpisodeConfig


def stored_part(
    texts: Sequence[str], *, split: str, num_examples: int | None, seed: int, levels: Path | None, name: str, out_path: Path
) -> Part:
    """The questions of the `--data` arguments, with the levels of a levels file.

    Raises:
        ConfigError: An argument names nothing.
        DataError: A source cannot be read, or a question has no level.
    """
    from vlmpost import evaluation
    from vlmpost.config.schema import DataConfig
    from vlmpost.data import build

    sources = [source_of(text, split=split, num_examples=num_examples, seed=seed) for text in texts]
    examples, _ = build(sources, data=DataConfig(train=sources), base_dir=None)
    return Part(name, examples if levels is None else evaluation.join_levels(examples, levels), out_path)


def task_play(
    task: Task,
    *,
    options: Mapping[str, object],
    material: str | None,
    split: str,
    num_examples: int | None,
    seed: int,
    difficulties: list[int] | None,
    shifts: Sequence[str],
    verify_iterations: int | None,
    rewards: str | None,
    out_path: Path,
) -> TaskPlay:
    """The questions of a task in each variant, and how they are played.

    Args:
        task: Whose problems.
        options: The task's own options that are given.
        material: Stored material to pose it on. None: it draws.
        split: Of the task's stream.
        num_examples: Questions of each variant.
        seed: Of the task's stream.
        difficulties: Those to take turns with. None: all that the task has.
        shifts: Variants; "all" for all that the task has.
        verify_iterations: Graded attempts at each state. None: the task's own number, else 1.
        rewards: Reward table. None: the task's first.
        out_path: Each variant's records go to a folder in it.

    Raises:
        ConfigError: There is no such variant, table or option, or no number of questions.
    """
    from vlmpost.config.schema import EpisodeConfig, SourceConfig
    from vlmpost.errors import ConfigError
    from vlmpost.evaluation.shifts import draw_shifts, shifts_of
    from vlmpost.tasks.verifying import table_of

    if num_examples is None:
        raise ConfigError(f"--task {task.address}: a drawn task has no end: add --num-examples.")
    episode = EpisodeConfig(verify_iterations=verify_iterations or task.verify_iterations or 1, rewards=table_of(task, rewards))
    source = SourceConfig(
        task=task.address,
        path=material,
        options=dict(options),  # type: ignore[arg-type]  # JSON values, out of YAML
        split=split,
        num_examples=num_examples,
        seed=seed,
        difficulties=difficulties,
    )
    drawn = draw_shifts(source, shifts_of(task, shifts))
    return TaskPlay(task, tuple(Part(shift, examples, out_path / shift) for shift, examples in drawn.items()), episode)


def source_of(text: str, *, split: str, num_examples: int | None, seed: int) -> SourceConfig:
    """The source that a `--data` argument names: a drawn task if there is one of that name, else stored data.

    Raises:
        ConfigError: It is neither, or a drawn task has no number of questions.
    """
    from vlmpost import tasks
    from vlmpost.config.hints import near
    from vlmpost.config.schema import SourceConfig
    from vlmpost.errors import ConfigError

    if text in tasks.names():
        if num_examples is None:
            raise ConfigError(f"--data {text}: a drawn task has no end: add --num-examples.")
        return SourceConfig(task=text, split=split, num_examples=num_examples, seed=seed)
    if not Path(text).exists() and text.count("/") != 1:
        hint = near(text, tasks.names()) or "."
        raise ConfigError(f"--data {text}: no such file or folder, and no drawn task{hint} Tasks: {', '.join(tasks.names())}.")
    return SourceConfig(path=text, split=split, num_examples=num_examples)


def model_path(text: str) -> str:
    """The model folder: that of a run's final model when `text` is a run folder.

    Raises:
        RunError: The run has no final model.
    """
    from vlmpost.errors import RunError
    from vlmpost.runs.directory import open_existing

    if not (Path(text) / "manifest.json").is_file():
        return text
    run = open_existing(text)
    if run.final_dir.is_dir():
        return str(run.final_dir)
    newest = run.latest_checkpoint()
    raise RunError(
        f"{text}: this run is not finished and has no final model. "
        + (f"Give a checkpoint, e.g. {newest}, or finish it with --resume." if newest else "Finish it with --resume.")
    )
