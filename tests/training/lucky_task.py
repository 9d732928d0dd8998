"""A task that a random model solves now and then: the reply must have an even number of letters e and o."""

from __future__ import annotations

import random

from vlmpost.records import Example, Step
from vlmpost.tasks import Task
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import TaskOptions


class Lucky(Task):
    name = "lucky"

    def pose(self, rng: random.Random, *, options: TaskOptions, difficulty: int | None) -> Problem:
        number = rng.randrange(1000)
        return Problem(prompt=(f"Say {number}.",), content={"number": number})

    def verify(self, example: Example, reply: str, *, rewards: str = "paper") -> Step:
        count = sum(letter in "eo" for letter in reply)
        right = count % 2 == 0
        return Step(
            reply, "EVEN" if right else "ODD", 1.0 + len(reply) / 64 if right else -0.25, correct=right, feedback=f"{count} is odd."
        )
