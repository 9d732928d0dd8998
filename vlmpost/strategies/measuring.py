"""What models answer to questions: those they are chosen by, and those they are measured on. Never from a hint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from vlmpost.config.combine import QuestionsAskedConfig
from vlmpost.config.schema import DataConfig, ModelConfig
from vlmpost.data import build
from vlmpost.errors import DataError
from vlmpost.evaluation.results import EvalResult
from vlmpost.evaluation.runner import evaluate
from vlmpost.models import loader
from vlmpost.records import Example
from vlmpost.reports.progress import Progress

_SAID_TIMES: Final = 10


def questions(asked: QuestionsAskedConfig) -> list[Example]:
    """The questions of a section.

    Raises:
        DataError: A source cannot be read, or loses too many rows.
    """
    examples, _ = build(asked.data, data=DataConfig(train=asked.data, max_drop_share=asked.max_drop_share), base_dir=None)
    return examples


def measured(
    model: ModelConfig, path: str, asked: QuestionsAskedConfig, examples: Sequence[Example], folder: Path, *, progress: Progress
) -> EvalResult:
    """What a model answers; goes on where an earlier call stopped."""
    loaded = loader.load(model.model_copy(update={"path": path}), purpose="eval")
    return evaluate(
        loaded,
        examples,
        generation=asked.generation,
        num_samples=asked.num_samples,
        seed=asked.seed,
        out_path=folder,
        instruction=asked.instruction,
        progress=_answered(progress),
        own_tasks={source.task for source in asked.data if source.task is not None},
    )


def score(result: EvalResult) -> float:
    """The accuracy of an evaluation.

    Raises:
        DataError: Nothing could be judged.
    """
    if result.accuracy is None:
        raise DataError(f"{result.name}: the questions of `select` have no answers to judge by, so nothing can be chosen.")
    return result.accuracy.mean


def _answered(progress: Progress) -> Callable[[int, int], None]:
    """Says how many answers there are, now and then."""
    said = 0

    def say(done: int, total: int) -> None:
        nonlocal said
        if done * _SAID_TIMES // total > said or done == total:
            said = done * _SAID_TIMES // total
            progress.phase(f"{done} of {total} answers")

    return say
