"""A task to test with: climb the stairs from `step` to `top`, one number after the other. Several states, two tables, two styles."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from PIL import Image

from vlmpost.errors import DataError
from vlmpost.records import IMAGE, Step
from vlmpost.tasks import Task
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import TaskOptions


class ClimbingOptions(TaskOptions):
    """What can be chosen about the stairs."""

    height: int = 3
    """How many steps there are."""
    pictures: bool = False
    """Whether each step is shown."""
    prompt_style: Literal["plain", "varied"] = "plain"
    """How the question is worded."""


class Climbing(Task):
    """Stairs to be climbed. One number after the other."""

    name = "climbing"
    options_type = ClimbingOptions
    shifts: ClassVar = {"none": {}, "rule": {"height": 5}}
    reward_tables = ("paper", "repo")
    verify_iterations = 2

    def pose(self, rng, *, options, difficulty):
        first = rng.randrange(1000)
        return _problem(first, first + options.height, options.pictures, first)

    def from_row(self, row):
        if not isinstance(row.get("step"), int) or not isinstance(row.get("top"), int):
            raise DataError(f"expected step and top, whole numbers, found {', '.join(sorted(row))}.")
        return self.example_of(
            _problem(row["step"], row["top"], bool(row.get("pictures")), row["step"]), id=str(row.get("id", "given")), facts={}
        )

    def verify(self, example, reply, *, rewards="paper"):
        step = example.meta["step"]
        if reply.strip() == str(step + 1):
            return Step(reply, "CORRECT_ACTION", 1.0, correct=True, recognised=True)
        offences = tuple("ILLEGAL" for character in reply if not character.isdigit())
        recognised = None if offences else reply.startswith(str(step)[:1])
        reward = -3.0 * len(offences) if offences else -1.0 if rewards == "paper" else -2.0
        return Step(
            reply,
            "ILLEGAL" if offences else "INCORRECT_ACTION",
            reward,
            correct=False,
            violations=offences,
            recognised=recognised,
            feedback=f"Not {reply[:20]}.",
            extracted=reply[:20],
        )

    def following(self, example):
        step, top, first = example.meta["step"] + 1, example.meta["top"], example.meta["first"]
        if step >= top:
            return None
        moved = self.example_of(_problem(step, top, example.meta["pictures"], first), id=f"{example.id}-at{step}", facts={})
        return moved

    def solve(self, example, *, style="answer"):
        return f"{example.meta['step'] + 1}" if style == "answer" else f" {example.meta['step'] + 1} "

    def wrong_reply(self, example, rng):
        return str(example.meta["step"] + rng.randrange(2, 9))


def _problem(step, top, pictures, first):
    return Problem(
        prompt=(IMAGE, f"You are at {step}.") if pictures else (f"You are at {step}.",),
        content={"step": step, "top": top, "first": first, "pictures": pictures, "pair": (step, top)},
        draw=lambda: [Image.new("RGB", (8, 8), (step % 256, 0, 0))] if pictures else (),
        key=str(first),
    )


class Boasting(Climbing):
    """Its solutions are wrong."""

    name = "boasting"

    def solve(self, example, *, style="answer"):
        return "100000"


class Meek(Climbing):
    """Its wrong replies are right."""

    name = "meek"

    def wrong_reply(self, example, rng):
        return self.solve(example)


class Undrawable(Climbing):
    """Its pictures cannot be drawn."""

    name = "undrawable"

    def from_row(self, row):
        problem = _problem(row["step"], row["top"], True, row["step"])
        return self.example_of(replace(problem, draw=lambda: [1 / 0]), id="x", facts={})


class Chatty(Climbing):
    """It says a lot."""

    name = "chatty"

    def verify(self, example, reply, *, rewards="paper"):
        return replace(super().verify(example, reply, rewards=rewards), feedback=reply)


class Broken(Climbing):
    """It fails."""

    name = "broken"

    def verify(self, example, reply, *, rewards="paper"):
        return 1 / 0
