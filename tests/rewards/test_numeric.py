"""Rewards for numbers that need not be exact."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards import numeric
from vlmpost.rewards.binding import schema_of
from vlmpost.rewards.numeric import (
    PRESETS,
    check_numeric,
    mean_relative_accuracy,
    numeric_closeness,
    numeric_rounded,
    numeric_within,
)

REWARDS: list[Callable[..., float | None]] = [numeric_within, numeric_closeness, numeric_rounded, mean_relative_accuracy]
VIDEO_R1 = {name: PRESETS[name]["video_r1"] for name in ("numeric_closeness", "numeric_rounded")}


def rollout(text: str, answer: str | None = "100", *, kind: str = "number") -> Rollout:
    return Rollout(Example("q1", "sizes", (), answer=answer, answer_type=kind), text, (), "stop")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "absolute", "relative", "value"),
    [
        ("100", 0.0, 0.0, 1.0),
        ("100.01", 0.0, 0.0, 0.0),
        ("105", 0.0, 0.05, 1.0),  # just the tolerance
        ("105.0001", 0.0, 0.05, 0.0),
        ("95", 0.0, 0.05, 1.0),
        ("103", 3.0, 0.0, 1.0),
        ("103.1", 3.0, 0.0, 0.0),
        ("103.1", 3.0, 0.04, 1.0),  # the larger of the two
        ("The answer is 104 cm.", 0.0, 0.05, 1.0),
        (r"<think>7</think> \boxed{1.04 \times 10^{2}}", 0.0, 0.05, 1.0),
        ("<answer>1,040</answer>", 0.0, 0.05, 0.0),
        ("more than it seems", 0.0, 0.05, 0.0),
        ("", 0.0, 0.05, 0.0),
    ],
)
def test_tolerances_by_hand(answer: str, absolute: float, relative: float, value: float) -> None:
    assert numeric_within(rollout(answer), absolute=absolute, relative=relative) == value


@pytest.mark.parametrize(
    ("answer", "gold", "value"),
    [
        ("100", "100", 1.0),
        ("90", "100", 0.9),
        ("110", "100", 0.9),
        ("250", "100", 0.0),
        ("0", "0", 1.0),
        ("0.1", "0", 0.0),
        ("-90", "-100", 0.9),
    ],
)
def test_closeness_by_hand(answer: str, gold: str, value: float) -> None:
    assert numeric_closeness(rollout(answer, gold)) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("answer", "gold", "value"),
    [
        ("<answer>90</answer>", "100", 0.9),
        ("<answer> 1,100 </answer>", "1000", 0.9),
        ("<answer>90</answer><answer>100</answer>", "100", 0.9),  # the first
        ("90", "100", 0.0),
        ("<answer>0</answer>", "0", 0.0),  # (0 + 1e-9) / (0 + 1e-9)
        ("<answer>90 cm</answer>", "100", 0.0),
        ("<answer>inf</answer>", "100", 0.0),
        ("<answer>nan</answer>", "100", 0.0),  # 1.0 there
        ("<answer>" + "9" * 500 + "</answer>", "100", 0.0),
    ],
)
def test_video_r1_regression(answer: str, gold: str, value: float) -> None:
    assert numeric_closeness(rollout(answer, gold), **VIDEO_R1["numeric_closeness"]) == pytest.approx(value, abs=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "gold", "value"),
    [("3.14", "3.141", 1.0), ("3.15", "3.141", 0.0), ("3", "3.0", 0.0), ("3.0", "3", 0.0), ("3", "3", 1.0), ("1,000", "1000.0", 1.0)],
)
def test_video_r1_numerical_wants_the_same_mark(answer: str, gold: str, value: float) -> None:
    wrapped = rollout(f"<answer>{answer}</answer>", gold)
    assert numeric_rounded(wrapped, **VIDEO_R1["numeric_rounded"]) == value  # type: ignore[arg-type]
    if value or "." not in answer + gold or answer == "3.15":
        assert numeric_rounded(wrapped) == value
    else:
        assert numeric_rounded(wrapped) == 1.0  # the mark alone differs


@pytest.mark.parametrize(("decimals", "value"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_rounding_keeps_as_many_digits_as_asked(decimals: int, value: float) -> None:
    assert numeric_rounded(rollout("3.1449", "3.14"), decimals=decimals) == (value if decimals < 2 else 1.0)
    assert numeric_rounded(rollout("3.1451", "3.14"), decimals=decimals) == value


@pytest.mark.parametrize(
    ("answer", "gold", "below", "up_to", "code"),
    [
        ("10", "10", 1.0, 1.0, 1.0),
        ("9", "10", 0.8, 0.9, 0.8),  # error 0.1: below 0.5 ... 0.15; the code's 1 - 0.9 is a little less than 0.1
        ("6", "10", 0.2, 0.3, 0.3),  # error 0.4: below 0.5 and 0.45
        ("5", "10", 0.0, 0.1, 0.1),
        ("4", "10", 0.0, 0.0, 0.0),
        ("9.7", "10", 1.0, 1.0, 1.0),
        ("-10", "10", 0.0, 0.0, 0.0),
        ("10", "-10", 0.0, 0.0, 0.0),
        ("0", "0", 1.0, 1.0, 1.0),
        ("1", "0", 0.0, 0.0, 0.0),
        ("unclear", "10", 0.0, 0.0, 0.0),
    ],
)
def test_mean_relative_accuracy_by_hand(answer: str, gold: str, below: float, up_to: float, code: float) -> None:
    values = [mean_relative_accuracy(rollout(answer, gold), edges=edges) for edges in ("below", "up_to", "vsi_bench")]  # type: ignore[arg-type]
    assert values == pytest.approx([below, up_to, code], abs=1e-9)


def test_a_percent_sign_in_the_gold_allows_a_share() -> None:
    for answer in ("48%", "48", "0.48"):
        assert numeric_closeness(rollout(answer, "50%")) == pytest.approx(0.96)
    assert numeric_closeness(rollout("48%", "0.5")) == 0.0


def test_units_that_differ_are_wrong() -> None:
    assert numeric_closeness(rollout("100 cm", "100 m")) == 0.0
    assert numeric_closeness(rollout("99 m", "100 m")) == pytest.approx(0.99)


def test_no_number_is_left_out_or_an_error() -> None:
    for reward in REWARDS:
        assert reward(rollout("7", None)) is None
        assert reward(rollout("7", "B", kind="choice")) is None
        assert reward(rollout("7", "a dog", kind="text")) is None
        assert reward(rollout("7", "7", kind="text")) == 1.0
        with pytest.raises(GraderError, match="q1"):
            reward(rollout("7", "a dog"))


def test_huge_numbers_do_not_break_it() -> None:
    for reward in REWARDS:
        for gold, answer in (("1e400", "1"), ("1", "1e400"), ("9" * 300, "9" * 299 + "8")):
            value = reward(rollout(answer, gold))
            assert value is not None
            assert 0.0 <= value <= 1.0


@given(st.decimals(-1000, 1000, places=3), st.decimals(-1000, 1000, places=3))
def test_rewards_are_bounded_and_full_for_the_gold(gold: object, answer: object) -> None:
    for reward in REWARDS:
        value = reward(rollout(f"<answer>{answer:f}</answer>", f"{gold:f}"))
        assert value is not None
        assert 0.0 <= value <= 1.0
        assert reward(rollout(f"<answer>{gold:f}</answer>", f"{gold:f}")) == 1.0


def test_every_preset_fits_its_function_and_passes_its_check() -> None:
    num_presets = 0
    for name, named in PRESETS.items():
        defaults = {parameter.name: parameter.default for parameter in schema_of(getattr(numeric, name)).parameters}  # type: ignore[union-attr]
        for preset in ({}, *named.values()):
            num_presets += 1
            assert set(preset) <= set(defaults)
            assert check_numeric({**defaults, **preset}, None) == []
    assert num_presets == 4 + 5


@pytest.mark.parametrize(
    "arguments", [{"absolute": -1.0}, {"relative": float("inf")}, {"decimals": -1}, {"thresholds": ()}, {"thresholds": (1.0,)}]
)
def test_parameters_that_make_no_sense_are_said(arguments: dict) -> None:
    assert len(check_numeric(arguments, None)) == 1
