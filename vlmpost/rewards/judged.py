"""The reward for a right answer where a language model settles what the rules leave open."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from vlmpost.records import Rollout
from vlmpost.rewards.correctness import verdict_of
from vlmpost.rewards.endpoint import Endpoint
from vlmpost.rewards.model_judge import JudgeCounts, ModelJudge


def judged_accuracy(
    group: Sequence[Rollout],
    *,
    model: str,
    profile: str = "generic",
    wrong: float = 0.0,
    max_tokens: int = 512,
    cache: str | None = None,
) -> list[float | None]:
    """1.0 where the answer is right, else `wrong`; unparsed and uncertain answers are put to a model behind an endpoint.

    The address comes from VLMPOST_JUDGE_BASE_URL, a key from VLMPOST_JUDGE_API_KEY. A confident verdict of the rules stands. An
    answer that the model could not be asked about keeps the rules' verdict; the training metrics show the shares.

    Args:
        group: The completions of one prompt; the model is asked about all of them at once.
        model: The model's name at the endpoint.
        profile: Whose rules decide first.
        wrong: What an answer that is not right is worth.
        max_tokens: Token budget of a reply.
        cache: A JSONL file that keeps replies from one run to the next. None: remembered for this run.
    """
    verdicts = [verdict_of(rollout, profile=profile) for rollout in group]
    settled = _judge(model, max_tokens, cache).settle(group, verdicts)
    return [None if verdict is None else 1.0 if verdict.correct else wrong for verdict in settled]


def counts() -> JudgeCounts:
    """Returns what the model judges of this process have done so far."""
    return sum((judge.counts for judge in _JUDGES), JudgeCounts())


_JUDGES: list[ModelJudge] = []


@functools.cache
def _judge(model: str, max_tokens: int, cache: str | None) -> ModelJudge:
    judge = ModelJudge(Endpoint(model, max_tokens=max_tokens), cache=None if cache is None else Path(cache))
    _JUDGES.append(judge)
    return judge
