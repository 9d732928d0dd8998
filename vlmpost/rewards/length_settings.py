"""Presets of the rewards in `lengths.py`, each named after its source, and what their parameters must agree on.

A preset is data: parameter names and values. Where a source leaves L to the token budget the preset does too.
A check answers with clauses for the user, one per fault; what is only unusual is let pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from vlmpost.rewards.correctness import check_profile

Presets = Mapping[str, Mapping[str, object]]
Arguments = Mapping[str, object]

CLASSIC: Final[Presets] = MappingProxyType(
    {
        # The scripts of section 4 give an over-long answer 0; the code has no value for a missing answer.
        "demystify": {"correct": 1.0, "wrong": 0.0, "over_length": 0.0, "margin": 16},
        "section6": {"correct": 1.0, "wrong": -0.5, "unanswered": -1.0},
    }
)


def _cosine(
    correct_at_zero: float, correct_at_max: float, wrong_at_zero: float, wrong_at_max: float, **others: object
) -> Mapping[str, object]:
    values = {
        "correct_at_zero": correct_at_zero,
        "correct_at_max": correct_at_max,
        "wrong_at_zero": wrong_at_zero,
        "wrong_at_max": wrong_at_max,
    }
    return MappingProxyType({**values, **others})


_DEMYSTIFY = _cosine(2.0, 1.0, -10.0, 0.0, over_length=-10.0, margin=16)

COSINE: Final[Presets] = MappingProxyType(
    {
        # As the published runs went, which is the repository's reading; the paper prints no margin.
        "demystify": _DEMYSTIFY,
        "demystify_repo": _DEMYSTIFY,
        "demystify_paper": _cosine(2.0, 1.0, -10.0, 0.0, over_length=-10.0, margin=0),
        # What the fork's flags default to.
        "demystify_defaults": _cosine(1.0, 0.0, -1.0, 0.0, over_length=0.0, margin=16),
        # Rewards A, B and C of section 4.3, as its scripts ran them.
        "demystify_a": _cosine(0.0, 10.0, 0.0, 0.0, over_length=-10.0, margin=16),
        "demystify_b": _cosine(6.0, 5.0, -10.0, 0.0, over_length=-10.0, margin=16),
        "demystify_c": _cosine(10.0, 9.0, -10.0, 0.0, over_length=-10.0, margin=16),
        "open_r1": _cosine(1.0, 0.5, -1.0, -0.5, max_length=1000, unit="characters", clamp=False),
        # The defaults of open-r1's script turn the wrong pair round: a long wrong answer is worth less than a short one.
        "open_r1_script": _cosine(1.0, 0.5, 0.0, -0.5, max_length=1000, unit="characters", clamp=False),
        "trl": _cosine(1.0, 0.5, -1.0, -0.5, clamp=True),
        "ms_swift": _cosine(1.0, 0.5, -0.5, 0.0, clamp=False),
    }
)

LENGTH_SCALED: Final[Presets] = MappingProxyType({"demystify_repo": {"risk": 0.5, "over_length": 0.0, "margin": 16}})

SOFT_OVERLONG: Final[Presets] = MappingProxyType(
    {
        "dapo": {"max_length": 20480, "cache": 4096, "floored": True},
        "verl": {"max_length": 20480, "cache": 4096, "floored": False},
        "open_r1": {"max_length": 16384, "cache": 4096, "floored": True},
        "trl": {"max_length": 16384, "cache": 4096, "floored": True},
    }
)

LENGTH_GROUP: Final[Presets] = MappingProxyType({"kimi": {"unit": "tokens"}, "open_r1": {"unit": "characters"}})


def check_classic(arguments: Arguments, max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `classic` together."""
    faults = [*_not_finite(arguments), *check_profile(arguments, max_completion_length)]
    for name in ("wrong", "unanswered"):
        value = arguments[name]
        if value is not None and _number(value) >= _number(arguments["correct"]):
            faults.append(f"{name} {value} is not below correct {arguments['correct']}: a right answer would not pay")
    if arguments["over_length"] is not None:
        faults += _over_length(arguments, max_completion_length)
    return faults


def check_cosine(arguments: Arguments, max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `cosine` together."""
    faults = [*_not_finite(arguments), *check_profile(arguments, max_completion_length)]
    for end in ("at_zero", "at_max"):
        correct, wrong = _number(arguments[f"correct_{end}"]), _number(arguments[f"wrong_{end}"])
        if wrong > 0:
            faults.append(f"wrong_{end} {wrong} is positive: a wrong answer would be rewarded")
        if correct < wrong:
            faults.append(f"correct_{end} {correct} is below wrong_{end} {wrong}: a right answer would be worth less than a wrong one")
    if arguments["over_length"] is not None:
        return [*faults, *_over_length(arguments, max_completion_length)]
    limit = _limit(arguments)
    faults += _no_limit(limit)
    if limit is not None and max_completion_length is not None and limit < max_completion_length and not arguments["clamp"]:
        # Beyond this many tokens a text surely has more characters too.
        faults.append(
            f"max_length {limit} {_units(arguments)}is below max_completion_length {max_completion_length}: past max_length the cosine "
            "rises again; set clamp: true, or a longer max_length"
        )
    return faults


def check_length_scaled(arguments: Arguments, max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `length_scaled` together."""
    faults = [*_not_finite(arguments), *check_profile(arguments, max_completion_length)]
    if not 0 <= _number(arguments["risk"]) <= 1:
        faults.append(f"risk {arguments['risk']} is not between 0 and 1")
    return [*faults, *_over_length(arguments, max_completion_length)]


def check_soft_overlong(arguments: Arguments, max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `soft_overlong` together."""
    limit, cache = _limit(arguments), int(_number(arguments["cache"]))
    faults = _no_limit(limit)
    if cache < 0:
        faults.append(f"cache {cache} is negative")
    if cache == 0 and not arguments["floored"]:
        faults.append("cache 0 has no slope to go on falling; set floored: true, or a cache")
    if limit is None:
        return faults
    if cache >= limit:
        faults.append(f"cache {cache} is not below max_length {limit}: every completion would be penalised")
    elif max_completion_length is not None and limit - cache >= max_completion_length:
        faults.append(
            f"max_length {limit} less cache {cache} is {limit - cache}, and max_completion_length {max_completion_length} is no more: "
            "no completion would be penalised; set max_length to the token budget and a cache below it"
        )
    return faults


def check_length_group(arguments: Arguments, max_completion_length: int | None) -> Sequence[str]:
    """Returns what is wrong with the parameters of `length_group`."""
    return check_profile(arguments, max_completion_length)


def _over_length(arguments: Arguments, budget: int | None) -> list[str]:
    """What is wrong with a value for over-long completions."""
    limit, margin, value = _limit(arguments), int(_number(arguments["margin"])), _number(arguments["over_length"])
    faults = _no_limit(limit)
    if value > 0:
        faults.append(f"over_length {value} is positive: running out of tokens would be rewarded")
    if margin < 0:
        faults.append(f"margin {margin} is negative")
    if limit is None:
        return faults
    if margin >= limit:
        faults.append(f"margin {margin} is not below max_length {limit}: every completion would be over-long")
    if budget is None or arguments.get("unit", "tokens") != "tokens":
        return faults
    if limit < budget:
        faults.append(
            f"max_length {limit} is below max_completion_length {budget}: completions that were not cut would get over_length; "
            f"leave max_length out, or set it to {budget}"
        )
    elif budget + margin < limit:
        faults.append(
            f"max_length {limit} is above max_completion_length {budget}: no completion gets so long and over_length never applies; "
            f"leave max_length out, or set it to {budget}"
        )
    return faults


def _limit(arguments: Arguments) -> int | None:
    value = arguments["max_completion_length"] if arguments["max_length"] is None else arguments["max_length"]
    return None if value is None else int(_number(value))


def _no_limit(limit: int | None) -> list[str]:
    if limit is None:
        return ["max_length must be given, as the token budget of a completion is not known"]
    return [f"max_length {limit} is not a length"] if limit < 1 else []


def _units(arguments: Arguments) -> str:
    return "" if arguments.get("unit", "tokens") == "tokens" else f"{arguments['unit']} "


def _not_finite(arguments: Arguments) -> Iterator[str]:
    for name, value in arguments.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{name} {value} is not finite"


def _number(value: object) -> float:
    assert isinstance(value, int | float), f"the schema has seen to it: {value!r}"
    return value
