"""Four kinds of questions about small pictures of 140 x 84 pixels, which the nano VLM was made to read."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from vlmpost.records import IMAGE, Example
from vlmpost.tasks.answered import AnsweredTask, reasoned, variants
from vlmpost.tasks.pictures import card_sums, charts, comparing, counting
from vlmpost.tasks.pictures.picture import PictureOptions, PictureProblem
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import Task


class PictureTask(AnsweredTask):
    """A picture, a question and one right answer; replies are judged by the one judge."""

    difficulties = (1, 2, 3, 4, 5)
    _pose: Callable[[random.Random, int, Any], PictureProblem]  # Any: each kind of question has options of its own

    def pose(self, rng: random.Random, *, options: PictureOptions, difficulty: int | None) -> Problem:
        """Returns the picture's problem with a reasoned solution; what differs from the default options stands in the content."""
        assert difficulty is not None, self.name
        changed = options.model_dump(mode="json", exclude_defaults=True)
        problem = type(self)._pose(rng, difficulty, options)
        return Problem(
            prompt=(IMAGE, problem.question),
            content={**problem.content, **problem.looks, **({"options": changed} if changed else {})},
            solution=reasoned(problem.reasoning, problem.answer),
            answer=problem.answer,
            answer_type=problem.answer_type,
            draw=lambda: (problem.draw(),),
            key=problem.key,
        )


class CardSums(PictureTask):
    """Cards to be added up."""

    name = "card_sums"
    options_type = card_sums.CardSumsOptions
    shifts = variants(rule={"rule": "red_double"}, visual={"tones": "dusk", "digits": "segments"})
    _pose = staticmethod(card_sums.pose)


class Charts(PictureTask):
    """Bar charts to be read."""

    name = "charts"
    options_type = charts.ChartsOptions
    shifts = variants(rule={"rule": "sum"}, visual={"tones": "dusk", "paint": "striped"})
    _pose = staticmethod(charts.pose)


class Comparing(PictureTask):
    """The most common colour to be named."""

    name = "comparing"
    options_type = comparing.ComparingOptions
    shifts = variants(rule={"rule": "least"}, visual={"tones": "dusk", "shapes": "tilted"})
    _pose = staticmethod(comparing.pose)

    def wrong_answers(self, example: Example) -> list[str]:
        """Returns the other colours of the picture."""
        items: Any = example.meta["items"]  # Any: JSON
        return sorted({item["colour"] for item in items} - {example.answer})


class Counting(PictureTask):
    """Shapes to be counted."""

    name = "counting"
    options_type = counting.CountingOptions
    shifts = variants(rule={"rule": "without"}, visual={"tones": "dusk", "shapes": "tilted"})
    _pose = staticmethod(counting.pose)


TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in (CardSums(), Charts(), Comparing(), Counting())})
