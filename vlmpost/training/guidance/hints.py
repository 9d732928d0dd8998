r"""How many tokens of a trace a hint has: laws of the step and of chance, and cuts. Pure functions of numbers; sees no token.

A hint is always the first $n$ of the $|y^*|$ tokens of a stored trace: text is never cut and encoded again. $n = |y^*|$ is the whole
trace, its end-of-turn token included, with nothing left to generate; $n = |y^*| - 1$ leaves the policy to end the reply.
`hint.num_left` keeps the hint shorter than that.

| law | tokens | source |
|---|---|---|
| schedule | round(share |y*|) | The Synergy Dilemma, arXiv 2507.07562: c = round(rho(t) |y*|) |
| schedule, segments | the first round(share L) of L segments | UFT's `stage`, liumy2010/UFT |
| binomial | l segments, l ~ Binomial(L, share) | UFT |
| uniform | round(u |y*|), u ~ U(share, upper) | Prefix-RFT, ZeroYuHuang/prefix_rft |
| uniform, segments | l segments, l uniform over the whole numbers of [share L, upper L] | R3, in UFT's code |

With $L = \min$(`num_segments`, $|y^*|$). A binomial law without segments has one segment for each token.

Departures: 1. halves are rounded away from zero, where Python's `round` in UFT's cuts rounds them to the even neighbour; 2. Prefix-RFT
rounds down, has a shortest prefix, and counts a trace without its end-of-turn token; 3. UFT cuts lists of sentences, which leave out the
final answer.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

from vlmpost.config.guidance import HintConfig
from vlmpost.config.schedules import value_at


def hint_length(config: HintConfig, num_tokens: int, *, step: int, num_steps: int, seed: int) -> int:
    """Returns how many tokens of a trace its hint has, by the laws none, schedule, binomial and uniform.

    Args:
        config: The law.
        num_tokens: Of the whole trace, its end-of-turn token included.
        step: Optimizer steps done, from 0.
        num_steps: Of the whole run.
        seed: What chance is drawn from; `hint_seed` gives one.

    >>> hint_length(HintConfig(law="schedule", share=0.5), 5, step=0, num_steps=1, seed=0)
    3
    """
    if config.law == "none" or are_over(config, step=step):
        return 0
    share = value_at(config.share, step=step, num_steps=num_steps)
    assert 0 <= share <= 1, f"hint.share is {share} at step {step}"
    if config.law == "schedule":
        return _scheduled(config, num_tokens, share)
    generator = np.random.default_rng(seed)
    if config.law == "binomial":
        num_segments = _num_segments(config.num_segments or num_tokens, num_tokens)
        return _left(config, num_tokens, cut_at_segments(num_tokens, num_segments, int(generator.binomial(num_segments, share))))
    assert config.law == "uniform", f"the law {config.law} tries lengths: see `search`"
    return _uniform(config, num_tokens, share, generator)


def levels_length(config: HintConfig, num_tokens: int, level: float) -> int:
    """Returns how many tokens a hint has at a level of a search (`search.Search`).

    It leaves one token at least, since a search judges what is generated.

    Args:
        config: Law ascending: a level is a share of the trace. Law binary: a number of segments.
        num_tokens: Of the whole trace.
        level: To be tried; 0 is no hint.

    >>> levels_length(HintConfig(law="ascending", levels=[0.0, 0.25]), 10, 0.25)
    3
    """
    if config.law == "binary":
        assert config.num_segments is not None, "hint.law binary without hint.num_segments"
        num_segments = _num_segments(config.num_segments, num_tokens)
        length = cut_at_segments(num_tokens, num_segments, min(int(level), num_segments))
    else:
        length = _scheduled(config, num_tokens, level)
    return max(0, min(length, num_tokens - max(1, config.num_left)))


def are_over(config: HintConfig, *, step: int) -> bool:
    """Returns whether the run is past its hints."""
    return config.num_steps is not None and step >= config.num_steps


def cut_at_segments(num_tokens: int, num_segments: int, num_chosen: int) -> int:
    """Returns how many tokens the first segments of a trace have.

    Args:
        num_tokens: Of the whole trace.
        num_segments: Parts it is cut into, equal but for rounding; no more than it has tokens.
        num_chosen: How many of them.

    >>> [cut_at_segments(7, 5, chosen) for chosen in range(6)]
    [0, 1, 3, 4, 6, 7]
    """
    num_segments = _num_segments(num_segments, num_tokens)
    assert 0 <= num_chosen <= num_segments, f"{num_chosen} of {num_segments} segments"
    return (2 * num_chosen * num_tokens + num_segments) // (2 * num_segments) if num_segments else 0


def binomial_chances(num_segments: int, share: float) -> list[float]:
    """Returns the chance of each number of segments, 0 to all, under the law binomial.

    >>> binomial_chances(2, 0.5)
    [0.25, 0.5, 0.25]
    """
    return [math.comb(num_segments, chosen) * share**chosen * (1 - share) ** (num_segments - chosen) for chosen in range(num_segments + 1)]


def hint_seed(seed: int, step: int, example_id: str) -> int:
    """Returns the seed of a question's hint in a step: the same in every process, of every Python, on every machine.

    Args:
        seed: The run's.
        step: Optimizer steps done.
        example_id: The question's.
    """
    return int.from_bytes(hashlib.blake2b(f"hint/{seed}/{step}/{example_id}".encode(), digest_size=8).digest(), "big")


def _scheduled(config: HintConfig, num_tokens: int, share: float) -> int:
    if config.num_segments is None:
        return _left(config, num_tokens, _rounded(share * num_tokens))
    num_segments = _num_segments(config.num_segments, num_tokens)
    return _left(config, num_tokens, cut_at_segments(num_tokens, num_segments, _rounded(share * num_segments)))


def _uniform(config: HintConfig, num_tokens: int, share: float, generator: np.random.Generator) -> int:
    assert share <= config.upper, f"hint.share is {share}, above hint.upper {config.upper}"
    if config.num_segments is None:
        drawn = share + (config.upper - share) * generator.random()
        return _left(config, num_tokens, _rounded(drawn * num_tokens))
    num_segments = _num_segments(config.num_segments, num_tokens)
    fewest, most = math.ceil(share * num_segments), math.floor(config.upper * num_segments)
    chosen = int(generator.integers(min(fewest, most), most, endpoint=True))
    return _left(config, num_tokens, cut_at_segments(num_tokens, num_segments, chosen))


def _left(config: HintConfig, num_tokens: int, length: int) -> int:
    return max(0, min(length, num_tokens - config.num_left))


def _num_segments(num_segments: int, num_tokens: int) -> int:
    return min(num_segments, num_tokens)


def _rounded(number: float) -> int:
    """To the nearest whole number, halves up; numbers here are not negative."""
    return math.floor(number + 0.5)
