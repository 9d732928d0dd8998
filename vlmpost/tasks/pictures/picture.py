"""One question about one small picture, before it is a `Problem`, and the two texts that answer it.

Each module of this room has one function, `pose(rng, difficulty) -> PictureProblem`. It chooses everything that will be visible
(positions and jitter included) before it draws, so that `PictureProblem.content` names the picture completely.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from vlmpost.records import AnswerType, Example

WIDTH_PIXELS = 140
HEIGHT_PIXELS = 84
CELL_PIXELS = 28
"""The picture is five by three cells of this side; each is one image token of a Qwen2.5-VL (14-pixel patches, merged two by two)."""


@dataclass(frozen=True, slots=True)
class PictureProblem:
    """One question about one picture."""

    question: str
    answer: str
    answer_type: AnswerType
    reasoning: str
    """What a patient reader writes down, step by step, without the final answer's box."""
    content: Mapping[str, object]
    """Everything that is in the picture and the question, as JSON values; two problems are equal if their contents are."""
    draw: Callable[[], Image.Image]
    """Draws the picture: RGB, WIDTH_PIXELS x HEIGHT_PIXELS."""

    @property
    def key(self) -> str:
        """The content as one canonical text."""
        return json.dumps([self.question, self.content], sort_keys=True, separators=(",", ":"))


def boxed(answer: str) -> str:
    r"""Return the answer alone in its box.

    >>> boxed("7")
    '\\boxed{7}'
    """
    return f"\\boxed{{{answer}}}"


def reasoned(reasoning: str, answer: str) -> str:
    r"""Return the reasoning between think tags, then the boxed answer.

    >>> reasoned("3, +4=7", "7")
    '<think>3, +4=7</think>\\boxed{7}'
    """
    return f"<think>{reasoning}</think>{boxed(answer)}"


def direct_solution(example: Example) -> str:
    """Return the example's boxed answer without any reasoning."""
    assert example.answer is not None, example.id
    return boxed(example.answer)


def running_sum(values: list[int]) -> str:
    """Return the values with the sum after each of them but the first.

    >>> running_sum([3, 7, 2])
    '3, +7=10, +2=12'
    """
    total = values[0]
    steps = [str(total)]
    for value in values[1:]:
        total += value
        steps.append(f"+{value}={total}")
    return ", ".join(steps)
