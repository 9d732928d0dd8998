"""A toy task of several states, as a user would write one: `tests/evaluation/doors.py:Doors`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vlmpost.records import Example, Message, Step
from vlmpost.tasks import Task
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import TaskOptions


class DoorOptions(TaskOptions):
    """What can be chosen about the doors."""

    num_doors: int = 1
    """Doors in a row."""
    colour: str = "red"
    """Of the doors."""


class Doors(Task):
    """A row of doors. A reply names colour and key, e.g. "red 3"; the right key opens a door, a wrong colour is a misreading."""

    name = "doors"
    options_type = DoorOptions
    shifts: Mapping = {"none": {}, "rule": {"num_doors": 3}, "visual": {"colour": "blue"}}
    reward_tables = ("paper", "repo")

    def pose(self, rng, *, options, difficulty):
        keys = [rng.randrange(1, 10_000) for _ in range(options.num_doors)]
        return Problem(prompt=(_words(options.colour, keys[0]),), content={"keys": keys, "colour": options.colour, "place": 0})

    def verify(self, example: Example, reply: str, *, rewards: str = "paper") -> Step:
        key = example.meta["keys"][example.meta["place"]]
        colour, _, number = reply.partition(" ")
        if colour != example.meta["colour"]:
            return Step(reply, "INCORRECT_VISION", -1.5, correct=False, violations=("COLOUR",), recognised=False, feedback="look")
        if number != str(key):
            return Step(reply, "NO_SOLUTION", -1.0, correct=False, violations=("KEY", "KEY"), recognised=True, feedback="again")
        return Step(reply, "CORRECT_SOLUTION", 5.0, correct=True, recognised=True, extracted=number)

    def following(self, example: Example) -> Example | None:
        place, keys = example.meta["place"] + 1, example.meta["keys"]
        if place == len(keys):
            return None
        prompt = (Message("user", (_words(example.meta["colour"], keys[place]),)),)
        return replace(example, prompt=prompt, meta={**example.meta, "place": place})


class OneKind(Doors):
    """The same without variants."""

    shifts: Mapping = {"none": {}}


def _words(colour: str, key: int) -> str:
    return f"{colour} door {key}"
