"""Tasks with one right answer that the judge knows: the boxed forms of their replies, and wrong replies to learn revision from."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType

from vlmpost.errors import ConfigError
from vlmpost.records import Example
from vlmpost.tasks.task import Shift, Style, Task

_NEARBY = (-2, -1, 1, 2)


class AnsweredTask(Task):
    """A task whose problems have an answer and a reasoned solution that ends in its box; replies are judged by the one judge."""

    def solve(self, example: Example, *, style: Style = "answer") -> str:
        """Returns the boxed answer, after its reasoning if that is asked for.

        Raises:
            ConfigError: The example came without what is asked for.
        """
        if style == "answer":
            return direct_solution(example)
        if example.solution is None or not example.solution.endswith(direct_solution(example)):
            raise ConfigError(f"Example {example.id!r} of task {self.name!r} came without a reasoned solution.")
        return example.solution

    def wrong_reply(self, example: Example, rng: random.Random) -> str:
        """Returns one of the wrong answers in its box."""
        return boxed(rng.choice(self.wrong_answers(example)))

    def wrong_answers(self, example: Example) -> list[str]:
        """Returns plausible answers that are wrong: the other options, or the numbers nearby; other kinds of answers need their own."""
        assert example.answer is not None, example.id
        if example.choices:
            letters = [option_letter(place) for place in range(len(example.choices))]
            return [letter for letter in letters if letter != example.answer]
        right = int(example.answer)
        return [str(right + step) for step in _NEARBY if right < 0 or right + step >= 0]


def variants(*, rule: Mapping[str, object], visual: Mapping[str, object]) -> Mapping[Shift, Mapping[str, object]]:
    """Returns the shifts of a task that has both: which options the changed rule and the changed looks set."""
    return MappingProxyType({"none": {}, "rule": rule, "visual": visual})


def option_letter(place: int) -> str:
    """Returns the letter of an option, counted from 0.

    >>> option_letter(2)
    'C'
    """
    return chr(ord("A") + place)


def boxed(answer: str) -> str:
    r"""Returns the answer alone in its box.

    >>> boxed("7")
    '\\boxed{7}'
    """
    return f"\\boxed{{{answer}}}"


def reasoned(reasoning: str, answer: str) -> str:
    r"""Returns the reasoning between think tags, then the boxed answer.

    >>> reasoned("3, +4=7", "7")
    '<think>3, +4=7</think>\\boxed{7}'
    """
    return f"<think>{reasoning}</think>{boxed(answer)}"


def direct_solution(example: Example) -> str:
    """Returns the example's boxed answer without any reasoning."""
    assert example.answer is not None, example.id
    return boxed(example.answer)
