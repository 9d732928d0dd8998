"""The questions of a guided batch, and what they are asked with."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from vlmpost.data.conversation import to_messages
from vlmpost.records import Example
from vlmpost.training.guidance.traces import Trace
from vlmpost.training.rollouts.collector import Collected, Hint, Row

SHOWN_BEFORE = "Here is the beginning of a solution; go on from it:"
"""Stands before a hint in the prompt."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One question of a batch."""

    place: int
    """Among the questions of all processes."""
    row: Row
    trace: Trace | None
    """None: it is never guided."""
    rate_before: Fraction | None
    """Its pass rate as it was known before this batch."""

    @property
    def example(self) -> Example:
        """What is asked."""
        example: Example = self.row["example"]
        return example


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question with what its rollouts begin with, and what came of it."""

    question: Question
    hints: tuple[Hint, ...]
    """One per rollout; none: nothing is generated."""
    shown: str | None = None
    """A hint that stands in the prompt."""
    holds_trace: bool = False
    """Whether the whole trace is a hint, with nothing to generate behind it, in the place of the rollouts that it would begin."""
    collected: Collected | None = None
    """The rollouts; None until they are sampled, and where there are none."""

    @property
    def counts(self) -> tuple[int, int]:
        """(right, judged) among the rollouts."""
        return self._counted(hinted=True)

    @property
    def unhinted_counts(self) -> tuple[int, int]:
        """(right, judged) among the rollouts without a hint: the only ones that a pass rate knows."""
        return self._counted(hinted=False)

    @property
    def best_reward(self) -> float:
        """The highest reward; minus infinity where none applies."""
        scores = () if self.collected is None else self.collected.batch.scores
        return max((score.total for score in scores if score.total is not None), default=float("-inf"))

    @property
    def hint_share(self) -> float:
        """The largest part of the trace that a rollout was given."""
        return 1.0 if self.holds_trace else max(hint.share for hint in self.hints)

    def row(self, *, instruction: str | None) -> Row:
        """The dataset's row, with a hint that stands in the prompt."""
        if self.shown is None:
            return self.question.row
        told = [*([instruction] if instruction else []), SHOWN_BEFORE, self.shown]
        return {**self.question.row, "prompt": to_messages(self.question.example, instruction="\n".join(told))}

    def _counted(self, *, hinted: bool) -> tuple[int, int]:
        if self.collected is None:
            return 0, 0
        batch = self.collected.batch
        known = [
            verdict.correct
            for verdict, rollout in zip(batch.verdicts, batch.rollouts, strict=True)
            if verdict is not None and (hinted or not rollout.hint_share)
        ]
        return sum(known), len(known)


def rate_of(counts: tuple[int, int]) -> Fraction | None:
    """Returns the share of right ones, exactly; None where nothing was judged.

    >>> rate_of((2, 8)), rate_of((0, 0))
    (Fraction(1, 4), None)
    """
    num_right, num_judged = counts
    return Fraction(num_right, num_judged) if num_judged else None
