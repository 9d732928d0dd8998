"""Four kinds of questions about small pictures of 140 x 84 pixels, which the nano VLM was made to read."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from vlmpost.records import IMAGE, Example
from vlmpost.tasks.pictures import card_sums, charts, comparing, counting
from vlmpost.tasks.pictures.picture import PictureProblem, direct_solution, reasoned
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import Style, Task, TaskOptions


class PictureTask(Task):
    """A picture, a question and one right answer; replies are judged by the one judge."""

    difficulties = (1, 2, 3, 4, 5)

    def __init__(self, name: str, pose: Callable[[random.Random, int], PictureProblem]) -> None:
        self.name = name  # type: ignore[misc]  # these four are instances of one class
        self._pose = pose

    def pose(self, rng: random.Random, *, options: TaskOptions, difficulty: int | None) -> Problem:
        """Returns the picture's problem with a reasoned solution."""
        assert difficulty is not None, self.name
        problem = self._pose(rng, difficulty)
        return Problem(
            prompt=(IMAGE, problem.question),
            content=problem.content,
            solution=reasoned(problem.reasoning, problem.answer),
            answer=problem.answer,
            answer_type=problem.answer_type,
            draw=lambda: (problem.draw(),),
            key=problem.key,
        )

    def solve(self, example: Example, *, style: Style = "answer") -> str:
        """Returns the boxed answer, after its reasoning if that is asked for."""
        assert example.solution is not None, example.id
        return direct_solution(example) if style == "answer" else example.solution


PICTURES: Mapping[str, Task] = MappingProxyType(
    {
        "card_sums": PictureTask("card_sums", card_sums.pose),
        "charts": PictureTask("charts", charts.pose),
        "comparing": PictureTask("comparing", comparing.pose),
        "counting": PictureTask("counting", counting.pose),
    }
)
