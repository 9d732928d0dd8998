"""One question about one small picture, before it is a `Problem`.

Each kind of question has one function, `pose(rng, difficulty, options) -> PictureProblem`. It chooses everything that will be visible
(positions and jitter included) before it draws, so that `content` and `looks` name the picture completely. What only looks different
is drawn last from the generator: the same arguments in another look give the same question, answer and split.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image

from vlmpost.records import AnswerType
from vlmpost.tasks.task import TaskOptions

WIDTH_PIXELS = 140
HEIGHT_PIXELS = 84
CELL_PIXELS = 28
"""The picture is five by three cells of this side; each is one image token of a Qwen2.5-VL (14-pixel patches, merged two by two)."""


class PictureOptions(TaskOptions):
    """What can be chosen about every picture; each kind of question adds its `rule`."""

    tones: Literal["plain", "dusk"] = "plain"
    """Plain: bright colours on white paper. Dusk: deep colours on brown paper."""


@dataclass(frozen=True, slots=True)
class PictureProblem:
    """One question about one picture."""

    question: str
    answer: str
    answer_type: AnswerType
    reasoning: str
    """What a patient reader writes down, step by step, without the final answer's box."""
    content: Mapping[str, object]
    """Everything that is in the picture and the question, as JSON values; two problems are equal if question and content are."""
    draw: Callable[[], Image.Image]
    """Draws the picture: RGB, WIDTH_PIXELS x HEIGHT_PIXELS."""
    looks: Mapping[str, object] = field(default_factory=dict)
    """What a changed look adds to what is drawn, as JSON values; it has no part in the split."""

    @property
    def key(self) -> str:
        """The content as one canonical text."""
        return json.dumps([self.question, self.content], sort_keys=True, separators=(",", ":"))


def running_sum(values: list[int]) -> str:
    """Return the values with the sum after each of them but the first.

    >>> running_sum([3, 7, 2]), running_sum([-3, 7, -5])
    ('3, +7=10, +2=12', '-3, +7=4, -5=-1')
    """
    total = values[0]
    steps = [str(total)]
    for value in values[1:]:
        total += value
        steps.append(f"{value:+d}={total}")
    return ", ".join(steps)
