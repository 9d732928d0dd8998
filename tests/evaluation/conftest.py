"""A toy task and a scripted player: episodes whose every figure is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vlmpost import tasks
from vlmpost.evaluation.players import Ask
from vlmpost.models.completion import Completion
from vlmpost.tasks import Task

DOORS = f"{Path(__file__).parent / 'doors.py'}:Doors"


@dataclass
class Script:
    """A player that gives each question's prepared replies one after another. A reply's tokens are its characters' codes, feedback's
    the same below zero."""

    replies: Mapping[str, Sequence[str]]
    """By question id."""
    cut: tuple[str, ...] = ()
    """Replies that the token budget cut."""
    asks: list[list[Ask]] = field(default_factory=list)
    """What was asked, batch by batch."""
    _num_given: dict[str, int] = field(default_factory=dict)

    def complete(self, asks: Sequence[Ask]) -> list[Completion]:
        self.asks.append(list(asks))
        return [self._reply(ask.example.id) for ask in asks]

    def between(self, reply_ids: Sequence[int], feedback: str) -> Sequence[int]:
        return tuple(-ord(letter) for letter in feedback)

    def _reply(self, question: str) -> Completion:
        number = self._num_given.get(question, 0)
        self._num_given[question] = number + 1
        text = self.replies[question][number]
        return Completion(tuple(map(ord, text)), text, "length" if text in self.cut else "stop")


@pytest.fixture
def script() -> Callable[..., Script]:
    """Gives `script({question id: [reply, ...]}) -> Script`."""
    return Script


@pytest.fixture
def doors() -> Task:
    """The toy task."""
    return tasks.find(DOORS)
