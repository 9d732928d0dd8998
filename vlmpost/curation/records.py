"""The nouns of curation: what a teacher is asked, what it says, and an answer that may be kept.

Nothing here loads a model or opens a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from vlmpost.records import Example, StopReason, Verdict


@dataclass(frozen=True, slots=True)
class Ask:
    """One answer that is wanted."""

    example: Example
    """The question as the teacher sees it, the recipe's instruction not yet added."""
    sample: int
    """Which of the answers to this question, from 0."""
    seed: int
    """Of this answer's sampling; the same for the same question and sample, whenever it is asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a teacher said."""

    text: str
    """The whole reply, thinking included."""
    num_tokens: int | None
    """Its tokens as the teacher counts them. None: it does not say."""
    stop_reason: StopReason
    """ "length" when the reply was cut by its token budget."""
    teacher: str
    """Who said it."""
    actions: tuple[tuple[str, str], ...] = ()
    """Action prompting: (action, thought) in order. Empty: one reply."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Nothing came; the next call asks again, unless that would not help."""

    reason: str
    """In a few words, the same for like causes, so that failures can be counted by it."""
    teacher: str
    lasting: bool = False
    """Whether asking again would bring the same: a picture that cannot be opened, a question that is refused or too long."""
    detail: str = ""
    """What was said of this one; empty where the reason says all."""


class Teacher(Protocol):
    """Whoever answers questions."""

    @property
    def name(self) -> str:
        """The model and what else tells it from other teachers."""
        ...

    def answer(self, asks: Sequence[Ask]) -> Iterator[tuple[Ask, Answer | Failure]]:
        """Yields what came of each ask, exactly once each, in any order, as they finish."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer that was judged and may be kept."""

    example: Example
    sample: int
    answer: Answer
    verdict: Verdict | None
    """None: the question has no reference answer."""
    index: int
    """Place of the question among all that were read, from 0."""
