"""Rewards for numbers that need not be exact: within a tolerance, by relative error, rounded, mean relative accuracy.

Gold: `Example.answer` where it is a plain number; other examples have none, except that one of type "number" must have it. The answer
is read as the judge reads numbers (tag, box, "the answer is", last line) and compared exactly, as a fraction; an answer that is a
formula counts only where the judge finds it equal. Where the gold shows a percent sign, an answer without one is taken as a share or
as percent, whichever is nearer. Different units are wrong. An unread answer is worth 0.

`reading: video_r1` reads as that repository: the first `<answer>` block, commas removed, as Python reads a float; nothing else.
Departures from it: an answer that Python reads as not-a-number is unread, where its `regression` gives it 1.0, the highest reward;
one longer than 400 characters is unread.

Source: tulerfeng/Video-R1 at 59d65c3, `accuracy_reward` of src/r1-v/src/open_r1/grpo.py (problem types regression and numerical).
Mean relative accuracy: VSI-Bench, arXiv 2412.14171, equation 1, and its evaluation code as lmms-eval 75571cfe has it. Relaxed
accuracy: ChartQA, arXiv 2203.10244, section 5.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.answers import judge_reference, reference_of
from vlmpost.answers.values.numbers import Number, parse_number
from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards.places import first_tag

Reading = Literal["judge", "video_r1"]
Edges = Literal["below", "up_to", "vsi_bench"]
MAX_CHARACTERS: Final = 400
"""A longer number is not read by `reading: video_r1`; the judge has its own limit."""
MRA_THRESHOLDS: Final = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
PRESETS: Final[Mapping[str, Mapping[str, Mapping[str, object]]]] = MappingProxyType(
    {
        "numeric_within": {"chartqa": {"relative": 0.05}},
        "numeric_closeness": {"video_r1": {"reading": "video_r1", "epsilon": 1e-9}},
        "numeric_rounded": {"video_r1": {"reading": "video_r1", "decimals": 2, "same_mark": True}},
        "mean_relative_accuracy": {"vsi_bench_paper": {"edges": "below"}, "vsi_bench_repo": {"edges": "vsi_bench"}},
    }
)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Gold and answer of one rollout; `answer` None where none can be read."""

    gold: Fraction
    answer: Fraction | None
    written_gold: str
    written_answer: str


def numeric_within(rollout: Rollout, *, absolute: float = 0.0, relative: float = 0.0) -> float | None:
    """1.0 where the answer is no further from the gold than the larger tolerance, else 0.0; None where the gold is no number.

    Args:
        rollout: What is judged.
        absolute: Tolerance in the unit of the gold.
        relative: Tolerance as a share of the gold's size.

    Raises:
        GraderError: The gold of an example of type "number" is not one.
    """
    pair = _pair(rollout, "judge")
    if pair is None:
        return None
    tolerance = max(_exact(absolute), _exact(relative) * abs(pair.gold))
    return float(pair.answer is not None and abs(pair.answer - pair.gold) <= tolerance)


def numeric_closeness(rollout: Rollout, *, epsilon: float = 0.0, reading: Reading = "judge") -> float | None:
    """1 less the relative error, cut at 0; of a gold 0 only 0 itself is worth 1. None where the gold is no number.

    Args:
        rollout: What is judged.
        epsilon: Added to error and gold, 1e-9 in Video-R1, where 0 for a gold 0 is then worth 0.
        reading: How the answer's number is found.

    Raises:
        GraderError: The gold of an example of type "number" is not one.
    """
    pair = _pair(rollout, reading)
    if pair is None:
        return None
    if pair.answer is None:
        return 0.0
    small = _exact(epsilon)
    error, scale = abs(pair.answer - pair.gold) + small, abs(pair.gold) + small
    if scale == 0:
        return float(error == 0)
    return float(1 - min(Fraction(1), error / scale))


def numeric_rounded(rollout: Rollout, *, decimals: int = 2, same_mark: bool = False, reading: Reading = "judge") -> float | None:
    """1.0 where answer and gold are equal after rounding, else 0.0; None where the gold is no number.

    Args:
        rollout: What is judged.
        decimals: Digits kept after the point; halves go to the even digit.
        same_mark: Whether a point or comma must stand in both or in neither, as Video-R1 wants.
        reading: How the answer's number is found.

    Raises:
        GraderError: The gold of an example of type "number" is not one.
    """
    pair = _pair(rollout, reading)
    if pair is None:
        return None
    if pair.answer is None or (same_mark and _has_mark(pair.written_gold) != _has_mark(pair.written_answer)):
        return 0.0
    if reading == "video_r1":
        return float(round(float(pair.gold), decimals) == round(float(pair.answer), decimals))
    return float(round(pair.gold, decimals) == round(pair.answer, decimals))


def mean_relative_accuracy(rollout: Rollout, *, thresholds: tuple[float, ...] = MRA_THRESHOLDS, edges: Edges = "below") -> float | None:
    """Share of the thresholds t for which the relative error is below 1 - t, 0 to 1; None where the gold is no number.

    Args:
        rollout: What is judged.
        thresholds: From 0 to below 1.
        edges: "below" as in the paper; "up_to" counts an error of exactly 1 - t; "vsi_bench" does so in floating point, as the
            code: 9 for a gold of 10 then fails t = 0.9, for 1 - 0.9 is a little below 0.1 there.

    Raises:
        GraderError: The gold of an example of type "number" is not one.

    Departures: the error is relative to the gold's size (the code lets any answer to a negative gold pass, and divides by 0).
    """
    pair = _pair(rollout, "judge")
    if pair is None:
        return None
    if pair.answer is None:
        return 0.0
    if pair.gold == 0:
        return float(pair.answer == 0)
    error = abs(pair.answer - pair.gold) / abs(pair.gold)
    return sum(_is_near(error, threshold, edges) for threshold in thresholds) / len(thresholds)


def check_numeric(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Says what is wrong with the parameters of a reward of this module together, one clause per fault."""
    faults = []
    for key in ("absolute", "relative", "epsilon", "decimals"):
        value = arguments.get(key)
        if isinstance(value, int | float) and not 0 <= value < math.inf:
            faults.append(f"{key} {value} must be 0 or a positive number")
    thresholds = arguments.get("thresholds")
    if isinstance(thresholds, Sequence) and (not thresholds or not all(0.0 <= value < 1.0 for value in thresholds)):
        faults.append(f"thresholds {thresholds} must be at least one number from 0 to below 1")
    return faults


def _is_near(error: Fraction, threshold: float, edges: Edges) -> bool:
    if edges == "vsi_bench":
        return error < 2 and float(error) <= 1 - threshold
    limit = 1 - _exact(threshold)
    return error < limit or (edges == "up_to" and error == limit)


def _exact(number: float) -> Fraction:
    """The number as it is written: 0.05 is a twentieth."""
    return Fraction(repr(number))


def _has_mark(written: str) -> bool:
    return "." in written or "," in written


def _pair(rollout: Rollout, reading: Reading) -> _Pair | None:
    example = rollout.example
    gold = _gold(example)
    if gold is None or example.answer is None:
        return None
    if reading == "video_r1":
        block = first_tag(rollout.text)
        written = rollout.text[slice(*block)].strip() if block and block[1] - block[0] <= MAX_CHARACTERS else ""
        gold_value = _python_float(example.answer.strip())
        if gold_value is None:
            raise GraderError(f"Example {example.id!r}: Video-R1 reads plain numbers only, got the answer {example.answer!r:.100}.")
        return _Pair(gold_value, _python_float(written), example.answer, written)
    verdict = judge_reference(rollout.text, replace(reference_of(example), answer_type="number"))
    written = verdict.extracted or ""
    number = parse_number(written) if written else None
    if number is None:
        return _Pair(gold.value, gold.value if verdict.correct else None, example.answer, written)
    return _Pair(gold.value, _comparable(gold, number), example.answer, written)


def _gold(example: Example) -> Number | None:
    if example.answer is None or example.answer_type == "choice":
        return None
    gold = parse_number(example.answer)
    if gold is None and example.answer_type == "number":
        raise GraderError(f"Example {example.id!r}: the reference answer {example.answer!r:.100} is not a plain number.")
    return gold


def _comparable(gold: Number, answer: Number) -> Fraction | None:
    """The answer's value in the unit of the gold; None where the units differ."""
    if gold.unit and answer.unit and gold.unit != answer.unit:
        return None
    if gold.percent and not answer.percent:
        return min(answer.value, answer.value * 100, key=lambda value: abs(value - gold.value))
    return answer.value


def _python_float(written: str) -> Fraction | None:
    try:
        value = float(written.replace(",", ""))
    except ValueError:
        return None
    return Fraction(value) if math.isfinite(value) else None
