"""A reward with noise put in on purpose: what does training do when the labels or the verifier are wrong some of the time?

The noise stands for that of silver labels (`silver.py`) on questions whose answers are known: with it the clean accuracy can be measured
beside the noisy reward. It is drawn from a seed and what it is of, so that a run, its resume and a second process see the same.

Source of the question: arXiv 2502.03373, section 5, whose labels are a model's extractions; the shares here are the user's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from vlmpost.records import Rollout
from vlmpost.rewards.correctness import check_profile, verdict_of


def noisy_accuracy(
    rollout: Rollout,
    *,
    miss_prob: float = 0.1,
    false_alarm_prob: float = 0.0,
    noise_of: Literal["example", "completion"] = "example",
    seed: int = 0,
    wrong: float = 0.0,
    profile: str = "generic",
) -> float | None:
    """1.0 where the answer is called right, else `wrong`; some verdicts are turned round. None where the example has no answer.

    Args:
        rollout: What is judged.
        miss_prob: How often a right answer is called wrong.
        false_alarm_prob: How often a wrong answer is called right.
        noise_of: "example" turns the verdicts on all completions of a question alike, as a wrong label does; "completion" each by itself,
            as a careless verifier does; equal texts are judged alike.
        seed: Of the noise.
        wrong: What an answer that is called wrong is worth.
        profile: Whose rules say what is right.
    """
    verdict = verdict_of(rollout, profile=profile)
    if verdict is None:
        return None
    what = rollout.example.id if noise_of == "example" else f"{rollout.example.id}/{rollout.text}"
    is_turned = uniform(f"{seed}/{verdict.correct}/{what}") < (miss_prob if verdict.correct else false_alarm_prob)
    return 1.0 if verdict.correct != is_turned else wrong


def check_noisy(arguments: Mapping[str, object], max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `noisy_accuracy`."""
    faults = [
        f"{name} {arguments[name]} is not a probability: it must be from 0 to 1"
        for name in ("miss_prob", "false_alarm_prob")
        if not _is_probability(arguments[name])
    ]
    return [*faults, *check_profile(arguments, max_completion_length)]


def uniform(key: str) -> float:
    """Returns a number in [0, 1) that looks drawn and is the same for the same key on every machine.

    >>> uniform("a") == uniform("a"), 0 <= uniform("b") < 1
    (True, True)
    """
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:7], "big") / 2**56


def _is_probability(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1
