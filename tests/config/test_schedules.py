"""Schedules have the values that a hand calculation gives, at both ends and between, in shares of the run and in steps."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vlmpost.config.schedules import Schedule, value_at


def values(schedule: Schedule, steps: list[int], num_steps: int = 100) -> list[float]:
    return [value_at(schedule, step=step, num_steps=num_steps) for step in steps]


def test_a_number_stays_what_it_is() -> None:
    assert [value_at(0.2, step=step, num_steps=10) for step in (0, 5, 9)] == [0.2, 0.2, 0.2]
    assert isinstance(value_at(1, step=0, num_steps=1), float)


def test_constant_is_its_start() -> None:
    assert values(Schedule(kind="constant", start=0.3, end=9.0, begin=0.1, until=0.2), [0, 15, 99]) == [0.3, 0.3, 0.3]


def test_step_changes_when_it_is_until() -> None:
    assert values(Schedule(kind="step", start=1.0, end=0.1, until=0.5), [0, 49, 50, 99]) == [1.0, 1.0, 0.1, 0.1]
    assert values(Schedule(kind="step", start=1.0, end=0.1, until=7, unit="step"), [0, 6, 7, 99]) == [1.0, 1.0, 0.1, 0.1]


def test_linear_falls_evenly_between_begin_and_until() -> None:
    # (t - 20) / 40 of the way from 1 to 0.5: a quarter at 30, half at 40
    schedule = Schedule(kind="linear", start=1.0, end=0.5, begin=0.2, until=0.6)
    assert values(schedule, [0, 20, 30, 40, 60, 99]) == pytest.approx([1.0, 1.0, 0.875, 0.75, 0.5, 0.5])


def test_cosine_falls_slowly_at_both_ends() -> None:
    # (1 - cos(pi x)) / 2: x = 1/3 -> 1/4, x = 1/2 -> 1/2, x = 2/3 -> 3/4 of the way from 1 to 0 between 10 and 70
    schedule = Schedule(kind="cosine", start=1.0, end=0.0, begin=0.1, until=0.7)
    assert values(schedule, [0, 10, 30, 40, 50, 70, 99]) == pytest.approx([1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0], abs=1e-12)


def test_a_schedule_may_rise() -> None:
    # CHORD-mu's 1 - mu: 0.1 to 0.95 over 200 steps, 0.525 in the middle
    schedule = Schedule(kind="cosine", start=0.1, end=0.95, until=200, unit="step")
    assert values(schedule, [0, 100, 200, 5000], num_steps=50) == pytest.approx([0.1, 0.525, 0.95, 0.95])


def test_staged_has_equal_stairs_with_both_ends_among_them() -> None:
    # 4 stairs over 40 steps: 10 steps each of 1, 2/3, 1/3, 0
    schedule = Schedule(kind="staged", start=1.0, end=0.0, until=40, unit="step", num_stages=4)
    assert values(schedule, [0, 9, 10, 19, 20, 29, 30, 39, 40, 99]) == pytest.approx([1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3, 0, 0, 0, 0])


@given(num_stages=st.integers(2, 40), steps_per_stage=st.integers(1, 40))
def test_every_stair_begins_at_its_step_and_not_one_later(num_stages: int, steps_per_stage: int) -> None:
    num_steps = num_stages * steps_per_stage
    schedule = Schedule(kind="staged", start=float(num_stages - 1), end=0.0, num_stages=num_stages)
    firsts = [stage * steps_per_stage for stage in range(num_stages)]
    assert values(schedule, firsts, num_steps) == pytest.approx([float(num_stages - 1 - stage) for stage in range(num_stages)])


def test_alternating_takes_turns_between_begin_and_until() -> None:
    # from step 4 to 9: two of start, two of end, two of start; before and after: start
    schedule = Schedule(kind="alternating", start=1.0, end=0.0, begin=4, until=10, unit="step", period=2)
    assert values(schedule, list(range(13))) == [1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1]
    every = Schedule(kind="alternating", start=1.0, end=0.0)
    assert values(every, list(range(6))) == [1, 0, 1, 0, 1, 0]


@given(begin=st.integers(0, 50), num_steps=st.integers(54, 400))
def test_turns_begin_with_the_start(begin: int, num_steps: int) -> None:
    schedule = Schedule(kind="alternating", start=1.0, end=0.0, begin=begin / num_steps)
    assert values(schedule, [begin, begin + 1, begin + 2], num_steps) == [1.0, 0.0, 1.0]


def test_a_change_of_no_length_is_a_jump() -> None:
    for kind in ("linear", "cosine", "staged"):
        schedule = Schedule(kind=kind, start=1.0, end=0.0, begin=5, until=5, unit="step")
        assert values(schedule, [5, 6]) == [1.0, 0.0]


@given(
    kind=st.sampled_from(["linear", "cosine", "staged"]),
    start=st.floats(-10, 10),
    end=st.floats(-10, 10),
    num_stages=st.integers(2, 9),
    num_steps=st.integers(1, 300),
)
def test_a_change_never_leaves_its_ends_or_turns_back(kind: str, start: float, end: float, num_stages: int, num_steps: int) -> None:
    schedule = Schedule(kind=kind, start=start, end=end, begin=0.1, until=0.8, num_stages=num_stages)
    found = values(schedule, list(range(num_steps)), num_steps)
    low, high = sorted((start, end))
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    assert all((after - before) * (end - start) >= -1e-9 for before, after in itertools.pairwise(found))


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "sine"}, {"start": float("nan")}, {"begin": -0.1}, {"unit": "epoch"}, {"num_stages": 1}, {"period": 0}, {"from": 1.0}],
)
def test_what_is_no_schedule_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Schedule.model_validate(wrong)
