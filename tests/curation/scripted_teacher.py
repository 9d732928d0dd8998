"""A teacher that says what it was told to say, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from vlmpost.curation.records import Answer, Ask, Failure


class Killed(BaseException):
    """Stands for the moment at which a process dies."""


class ScriptedTeacher:
    """Answers by a function of the question's id and the sample's number, text standing for an answer of as many tokens as words.

    Args:
        says: What comes of one ask.
        dies_after: Asks after which it raises `Killed`. None: never.
    """

    name = "scripted"

    def __init__(self, says: Callable[[Ask], str | Answer | Failure], *, dies_after: int | None = None) -> None:
        self._says = says
        self._dies_after = dies_after
        self.asked: list[Ask] = []

    @property
    def keys(self) -> list[tuple[str, int]]:
        """What was asked, as (question, sample)."""
        return [(ask.example.id, ask.sample) for ask in self.asked]

    def answer(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Answer | Failure]]:
        """Yields what came of each ask, the last one first."""
        for ask in reversed(asks):
            if len(self.asked) == self._dies_after:
                raise Killed
            self.asked.append(ask)
            said = self._says(ask)
            yield ask, Answer(said, len(said.split()), "stop", self.name) if isinstance(said, str) else said
