"""A toy task that even an untrained model solves now and then: a reply is right if it has an even number of characters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from vlmpost.records import Example, Step
from vlmpost.tasks import Task
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import TaskOptions


class EvenOptions(TaskOptions):
    """What can be chosen."""

    wanted: Literal["even", "odd"] = "even"
    """Which number of characters is right."""
    greeting: str = "hello"
    """First word of the prompt."""


class Even(Task):
    """Say something with an even number of characters."""

    name = "even"
    options_type = EvenOptions
    shifts: Mapping = {"none": {}, "rule": {"wanted": "odd"}, "visual": {"greeting": "bonjour"}}

    def pose(self, rng, *, options, difficulty):
        prompt = f"{options.greeting} {rng.randrange(10_000)}"
        return Problem(prompt=(prompt,), content={"wanted": options.wanted, "prompt": prompt})

    def verify(self, example: Example, reply: str, *, rewards: str = "paper") -> Step:
        correct = (len(reply) % 2 == 0) == (example.meta["wanted"] == "even")
        outcome = "CORRECT_SOLUTION" if correct else "NO_SOLUTION"
        return Step(reply, outcome, float(correct), correct=correct, recognised="e" in reply, feedback=None if correct else "again")
