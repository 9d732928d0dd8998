r"""Rewards that depend on how long a completion is: classic, cosine, length-scaled, soft overlong, and the length reward of a group.

What is right is the verdict of `correctness.verdict_of`: everything but "correct" counts as wrong, also an answer whose comparison
could not be finished (else a hostile answer would pay better than a wrong one). An example without an answer gives None.
A length is the number of sampled tokens, the end-of-turn token included, or the characters of the text.

Paper and code differ; each difference is a parameter, and each reading a preset:
1. Over-length. arXiv 2502.03373 tests n = L, its repository n + 16 >= L: `margin`. Both let it override correctness; the cases as
   printed, read from the top, would not: `over_length_for`.
2. Past L the cosine rises again: it is held at L in TRL, goes on in open-r1 and ms-swift: `clamp`.
3. open-r1 counts characters: `unit`.
4. The paper prints the call with the two ends exchanged; text, figures and code all mean the first value at length 0, as here.
5. DAPO (arXiv 2503.14476) stops at -1, verl and ms-swift go on falling: `floored`.
Not here: the repository's clip of every reward to [-10, 10], which none of the presets reaches, and Kimi's warm-up without length reward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from vlmpost.errors import ConfigError
from vlmpost.records import Rollout
from vlmpost.rewards.correctness import verdict_of

Unit = Literal["tokens", "characters"]


def classic(
    rollout: Rollout,
    *,
    correct: float = 1.0,
    wrong: float = 0.0,
    unanswered: float | None = None,
    over_length: float | None = None,
    margin: int = 0,
    max_length: int | None = None,
    max_completion_length: int | None = None,
    profile: str = "generic",
) -> float | None:
    """One of four values: `over_length`, `correct`, `wrong`, `unanswered`; by default 1 for a right answer, else 0.

    Args:
        rollout: What is judged.
        correct: Value of a right answer.
        wrong: Value of any other.
        unanswered: Value where no answer is found or none is given. None: as `wrong`.
        over_length: Value of a completion of at least `max_length - margin` tokens, right or wrong. None: not looked at.
        margin: In tokens.
        max_length: L in tokens. None: `max_completion_length`.
        max_completion_length: The recipe's token budget.
        profile: Whose rules say what is right.

    Raises:
        ConfigError: `over_length` is set and neither length is known.

    Source: arXiv 2502.03373 sections 4 and 6; eddycmu/demystify-long-cot e90cf9b, reward/classic.py.
    """
    if rollout.example.answer is None:
        return None
    if over_length is not None and len(rollout.token_ids) + margin >= _limit(max_length, max_completion_length):
        return over_length
    verdict = verdict_of(rollout, profile=profile)
    if verdict is None:
        return None
    if verdict.correct:
        return correct
    return unanswered if unanswered is not None and verdict.outcome in ("unparsed", "refusal") else wrong


def cosine(
    rollout: Rollout,
    *,
    correct_at_zero: float = 1.0,
    correct_at_max: float = 0.5,
    wrong_at_zero: float = -1.0,
    wrong_at_max: float = -0.5,
    over_length: float | None = None,
    over_length_for: Literal["all", "wrong"] = "all",
    margin: int = 0,
    max_length: int | None = None,
    max_completion_length: int | None = None,
    unit: Unit = "tokens",
    clamp: bool = True,
    profile: str = "generic",
) -> float | None:
    r"""Half a cosine wave from one value at length 0 to another at L, one pair for right answers and one for wrong ones.

    $f(n; a, b, L) = b + \frac{1}{2} (a - b) (1 + \cos(\pi n / L))$. It never leaves the span of its two values: in [0.5, 1] right
    and [-1, -0.5] wrong by default, in [-10, 2] with the preset "demystify_paper" or "demystify_repo".

    Args:
        rollout: What is judged.
        correct_at_zero: Value of a right answer at length 0.
        correct_at_max: Value of a right answer at length L.
        wrong_at_zero: Value of any other answer at length 0.
        wrong_at_max: Value of any other answer at length L.
        over_length: Value from length `L - margin` on. None: no such value.
        over_length_for: Whether it is for "all" answers or leaves right ones their cosine ("wrong").
        margin: In `unit`s.
        max_length: L in `unit`s. None: `max_completion_length`.
        max_completion_length: The recipe's token budget.
        unit: What lengths count.
        clamp: Whether lengths past L count as L. False: the wave goes on and rises again.
        profile: Whose rules say what is right.

    Raises:
        ConfigError: Neither length is known.

    Source: arXiv 2502.03373 appendix C.1; eddycmu/demystify-long-cot e90cf9b, reward/cosine.py; huggingface/open-r1 1416fa0,
        rewards.py; trl 1.16.0, rewards/accuracy_rewards.py; modelscope/ms-swift 3602360.
    """
    if rollout.example.answer is None:
        return None
    limit = _limit(max_length, max_completion_length)
    length = _length(rollout, unit)
    over = over_length is not None and length + margin >= limit
    if over and over_length_for == "all":
        return over_length
    verdict = verdict_of(rollout, profile=profile)
    if verdict is None:
        return None
    if verdict.correct:
        return half_wave(length, limit, at_zero=correct_at_zero, at_max=correct_at_max, clamp=clamp)
    return over_length if over else half_wave(length, limit, at_zero=wrong_at_zero, at_max=wrong_at_max, clamp=clamp)


def half_wave(length: int, limit: int, *, at_zero: float, at_max: float, clamp: bool = True) -> float:
    """Returns the value between `at_zero` and `at_max` that stands at `length` on half a cosine wave ending at `limit`.

    >>> [round(half_wave(n, 100, at_zero=2.0, at_max=1.0), 9) for n in (0, 50, 100, 200)]
    [2.0, 1.5, 1.0, 1.0]
    """
    progress = min(length / limit, 1.0) if clamp else length / limit
    return at_max + 0.5 * (at_zero - at_max) * (1.0 + math.cos(math.pi * progress))


def length_scaled(
    rollout: Rollout,
    *,
    risk: float = 0.5,
    over_length: float = 0.0,
    margin: int = 16,
    max_length: int | None = None,
    max_completion_length: int | None = None,
    profile: str = "generic",
) -> float | None:
    """(k + (1 - k) c)(1 - c) for a right answer and c - 1 for a wrong one, where c = n / L; in [-1, 1] where `over_length` is.

    Deprecated by its authors and in no paper; it is here to repeat old runs. Use `cosine`.

    Args:
        rollout: What is judged.
        risk: k, from 0 to 1: what a right answer of length 0 is worth.
        over_length: Value of a completion of at least `max_length - margin` tokens, right or wrong.
        margin: In tokens.
        max_length: L in tokens. None: `max_completion_length`.
        max_completion_length: The recipe's token budget.
        profile: Whose rules say what is right.

    Raises:
        ConfigError: Neither length is known.

    Source: eddycmu/demystify-long-cot e90cf9b, reward/length_scaled.py.
    """
    if rollout.example.answer is None:
        return None
    limit = _limit(max_length, max_completion_length)
    length = len(rollout.token_ids)
    if length + margin >= limit:
        return over_length
    verdict = verdict_of(rollout, profile=profile)
    if verdict is None:
        return None
    share = length / limit
    return (risk + (1 - risk) * share) * (1 - share) if verdict.correct else share - 1


def soft_overlong(
    rollout: Rollout, *, cache: int, max_length: int | None = None, max_completion_length: int | None = None, floored: bool = True
) -> float:
    """0 up to L - C tokens, then falling in a line to -1 at L tokens and -1 beyond; in [-1, 0], whatever the answer.

    Args:
        rollout: What is measured.
        cache: C, over how many tokens it falls. 0: there is no slope, 0 up to L and -1 beyond.
        max_length: L in tokens. None: `max_completion_length`.
        max_completion_length: The recipe's token budget.
        floored: Whether it stays at -1 beyond L. False: it goes on falling, without bound.

    Raises:
        ConfigError: Neither length is known.

    Source: DAPO, arXiv 2503.14476 equation 13, added there to +1 or -1 for the answer; verl b178a3c (not floored).
    """
    limit = _limit(max_length, max_completion_length)
    excess = len(rollout.token_ids) - (limit - cache)
    if excess <= 0:
        return 0.0
    if cache == 0:
        return -1.0
    return max(-excess / cache, -1.0) if floored else -excess / cache


def length_group(group: Sequence[Rollout], *, unit: Unit = "tokens", profile: str = "generic") -> list[float | None]:
    """0.5 for the shortest completion of a prompt to -0.5 for the longest, a wrong one at most 0; all 0 where all are equally long.

    Values are in [-0.5, 0.5]. None where the example has no answer.

    Args:
        group: All completions of one prompt.
        unit: What lengths count.
        profile: Whose rules say what is right.

    Source: Kimi k1.5, arXiv 2501.12599 section 2.3.3 (tokens); huggingface/open-r1 1416fa0, `len_reward` (characters).
    """
    lengths = [_length(rollout, unit) for rollout in group]
    shortest, span = min(lengths), max(lengths) - min(lengths)
    values: list[float | None] = []
    for rollout, length in zip(group, lengths, strict=True):
        verdict = verdict_of(rollout, profile=profile)
        if verdict is None:
            values.append(None)
            continue
        value = 0.5 - (length - shortest) / span if span else 0.0
        values.append(value if verdict.correct else min(0.0, value))
    return values


def _limit(max_length: int | None, max_completion_length: int | None) -> int:
    limit = max_completion_length if max_length is None else max_length
    if limit is None:
        raise ConfigError("A reward that depends on length needs max_length, or the recipe's max_completion_length; neither is set.")
    return limit


def _length(rollout: Rollout, unit: Unit) -> int:
    return len(rollout.token_ids) if unit == "tokens" else len(rollout.text)
