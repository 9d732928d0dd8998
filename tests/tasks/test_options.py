"""A task's options: defaults, what a shift changes, what is given above both, and all faults at once."""

from __future__ import annotations

import random
from types import MappingProxyType
from typing import Literal

import pytest
from pydantic import Field

from vlmpost.errors import ConfigError
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import Task, TaskOptions


class ClockOptions(TaskOptions):
    hands: int = Field(default=2, ge=1, le=3)
    face: Literal["plain", "roman"] = "plain"
    radius: float = 0.5


class Clock(Task):
    name = "clock"
    options_type = ClockOptions
    shifts = MappingProxyType({"none": {}, "visual": {"face": "roman", "hands": 3}})

    def pose(self, rng: random.Random, *, options: ClockOptions, difficulty: int | None) -> Problem:
        return Problem(prompt=("?",), content={"salt": rng.random(), "hands": options.hands})


def test_defaults_then_the_shift_then_what_is_given() -> None:
    clock = Clock()
    assert clock.options_of({}) == ClockOptions()
    assert clock.options_of({}, shift="visual") == ClockOptions(face="roman", hands=3)
    assert clock.options_of({"hands": 1, "radius": 2.0}, shift="visual") == ClockOptions(face="roman", hands=1, radius=2.0)


def test_all_faults_come_in_one_message_with_near_names() -> None:
    with pytest.raises(ConfigError) as caught:
        Clock().options_of({"hand": 2, "hands": 9, "face": "round"})
    message = str(caught.value)
    assert message.startswith("Options of task 'clock': ")
    assert "there is no option hand (did you mean hands?); options: face, hands, radius" in message
    assert "hands: Input should be less than or equal to 3, got 9" in message
    assert "face: Input should be 'plain' or 'roman', got 'round'" in message


def test_a_shift_that_the_task_lacks_is_said_with_those_it_has() -> None:
    with pytest.raises(ConfigError, match=r"Task 'clock' has no shift 'rule'\. It has: none, visual\."):
        Clock().options_of({}, shift="rule")


def test_options_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Clock().options_of({}).hands = 3


def test_changed_options_and_shift_stand_in_the_id() -> None:
    clock = Clock()
    plain = clock.make(split="train", index=0)
    other = clock.make(split="train", index=0, options=clock.options_of({"hands": 1}))
    visual = clock.make(split="train", index=0, shift="visual")
    assert len({plain.id, other.id, visual.id}) == 3
    assert "visual" in visual.id and visual.meta["shift"] == "visual"
    assert "shift" not in plain.meta and plain.meta["hands"] == 2 and visual.meta["hands"] == 3
