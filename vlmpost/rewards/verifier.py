"""The reward of an episode: what the task's own verifier gave for its replies.

With V attempts the replies r_1 ... r_n of one problem earn R_1 ... R_n. A group-relative method has one number for the whole
completion: `sum` is the discounted return of the first reply, R_1 + gamma R_2 + ...; `last` looks at the outcome only; `success` at
whether the problem was solved. A method with a critic wants each reply's reward at its last token: `verifier_per_turn`.

Source: arXiv 2501.17161, section 3 and appendix C (gamma 0.9); which of the three a group-relative method should take is open there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.errors import GraderError
from vlmpost.records import Rollout

Aggregate = Literal["sum", "last", "success"]
VERIFIER: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {"sft_vs_rl": {"aggregate": "sum", "gamma": 0.9}, "outcome": {"aggregate": "last"}, "success": {"aggregate": "success"}}
)


def verifier(rollout: Rollout, *, aggregate: Aggregate = "sum", gamma: float = 1.0, scale: float = 1.0) -> float:
    """What the task's verifier gave for the replies: their discounted sum, the last one's, or 1 for a solved problem and else 0.

    Args:
        rollout: A played episode.
        aggregate: "sum", "last" or "success".
        gamma: Factor per attempt in the sum.
        scale: Factor of the result, e.g. 0.2 to bring +5 to 1.

    Raises:
        GraderError: The rollout was not played.
    """
    _check(rollout)
    if aggregate == "success":
        return scale * float(rollout.steps[-1].correct)
    if aggregate == "last":
        return scale * rollout.steps[-1].reward
    return scale * sum(gamma**attempt * step.reward for attempt, step in enumerate(rollout.steps))


def verifier_per_turn(rollout: Rollout, *, scale: float = 1.0) -> tuple[float, ...]:
    """What the task's verifier gave for each reply, at the reply's last token, and 0 at every other token.

    Args:
        rollout: A played episode.
        scale: Factor of every value.

    Raises:
        GraderError: The rollout was not played.
    """
    _check(rollout)
    lengths = rollout.reply_lengths or (len(rollout.token_ids),)
    values = [0.0] * len(rollout.token_ids)
    end = 0
    for length, step in zip(lengths, rollout.steps, strict=True):
        end += length
        values[end - 1] = scale * step.reward
    return tuple(values)


def check_verifier(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Says what is wrong with the parameters together, one clause per fault."""
    gamma = arguments.get("gamma", 1.0)
    if isinstance(gamma, int | float) and not 0.0 <= gamma <= 1.0:
        return [f"gamma {gamma} must be from 0 to 1"]
    return []


def _check(rollout: Rollout) -> None:
    if not rollout.steps:
        raise GraderError(
            "the rollout was not played, so that no verifier has seen it. Add a section `episode:` to the recipe, with tasks as its data."
        )
