"""The reward for a right answer, by the generic judge."""

from __future__ import annotations

from vlmpost.answers import judge
from vlmpost.records import Rollout, Verdict


def accuracy(rollout: Rollout) -> float | None:
    """1.0 where the answer is right, else 0.0 (unparsed, refused and uncertain answers too); None where the example has no answer.

    A completion cut by its token budget is judged like any other: no answer form, no reward.
    """
    verdict = verdict_of(rollout)
    return None if verdict is None else float(verdict.correct)


def verdict_of(rollout: Rollout) -> Verdict | None:
    """Returns the judge's verdict on a rollout; None where the example has no reference answer.

    Raises:
        GraderError: The reference answer cannot be judged.
    """
    example = rollout.example
    if example.answer is None:
        return None
    return judge(rollout.text, answer=example.answer, answer_type=example.answer_type, choices=example.choices)
