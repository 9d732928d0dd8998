"""The reward for a right answer: by the generic judge, or by a benchmark's own rules."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from vlmpost.answers import Reference, profiles, reference_of
from vlmpost.errors import ConfigError
from vlmpost.records import Outcome, Rollout, Verdict
from vlmpost.rewards.permutation import grade_order

MAX_REMEMBERED_CHARACTERS = 20_000
"""Verdicts on longer texts are not remembered."""


def accuracy(rollout: Rollout, *, profile: str = "generic", wrong: float = 0.0) -> float | None:
    """1.0 where the answer is right, else `wrong` (unparsed, refused and uncertain answers too); None where the example has no answer.

    A completion cut by its token budget is judged like any other: no answer form, no reward.

    Args:
        rollout: What is judged.
        profile: Whose rules decide: "generic", or a benchmark's (`vlmpost reward ls`).
        wrong: What an answer that is not right is worth; -1 in DAPO.
    """
    verdict = verdict_of(rollout, profile=profile)
    if verdict is None:
        return None
    return 1.0 if verdict.correct else wrong


def verdict_of(rollout: Rollout, *, profile: str = "generic") -> Verdict | None:
    """Returns the verdict on a rollout; None where the example has no reference answer. An order (`meta.order`) is right only as it is.

    Raises:
        GraderError: The reference answer cannot be judged.
        ConfigError: There is no such profile.
    """
    if rollout.example.answer is None:
        return None
    order = rollout.example.meta.get("order")
    if isinstance(order, list | tuple) and sorted(order, key=str) == sorted(range(1, len(order) + 1), key=str):
        return _order_verdict(rollout, order)
    reference = reference_of(rollout.example)
    if len(rollout.text) > MAX_REMEMBERED_CHARACTERS:
        return profiles.find(profile).function(rollout.text, reference)
    return _verdict(rollout.text, reference, profile)


def _order_verdict(rollout: Rollout, order: Sequence[int]) -> Verdict:
    """The verdict on an order of pieces, which the judge of answers would take for a set."""
    grade = grade_order(rollout, order)
    outcome: Outcome = "correct" if grade.outcome == "EXACT" else "wrong" if grade.items else "unparsed"
    extracted = ",".join(map(str, grade.items)) if grade.items else None
    return Verdict(outcome, extracted, "order", normalised=extracted)


def check_profile(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the profile's name."""
    try:
        profiles.find(str(arguments["profile"]))
    except ConfigError as error:
        return [f"params.profile: {str(error).rstrip('.')}"]
    return []


@functools.lru_cache(maxsize=4096)
def _verdict(text: str, reference: Reference, profile: str) -> Verdict:
    """Several rewards of a recipe ask for the verdict on the same rollout one after the other."""
    return profiles.find(profile).function(text, reference)
