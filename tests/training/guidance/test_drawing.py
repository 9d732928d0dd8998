"""Steps on traces come first, then as often as their gradients say, and a resumed run draws the same."""

from __future__ import annotations

import json
import statistics

import pytest

from vlmpost.config.guidance import StepsConfig
from vlmpost.errors import ConfigError
from vlmpost.training.guidance.drawing import StepDraw, trace_probability


def draw_of(num_warmup_steps: int = 2, gamma: float = 1.0, seed: int = 0) -> StepDraw:
    return StepDraw(StepsConfig(kind="drawn", num_warmup_steps=num_warmup_steps, gamma=gamma), seed=seed)


@pytest.mark.parametrize(
    ("last", "warmup", "gamma", "probability"),
    [
        (2.0, 2.0, 1.0, 0.5),  # 2 / (2 + 2)
        (1.0, 3.0, 1.0, 0.25),  # 1 / (1 + 3)
        (1.0, 3.0, 3.0, 0.1),  # 1 / (1 + 9)
        (6.0, 2.0, 1.0, 0.75),  # 6 / (6 + 2)
        (0.0, 2.0, 1.0, 0.0),
        (0.0, 0.0, 1.0, 0.0),
        (1.0, 0.0, 1.0, 1.0),
    ],
)
def test_the_probability_is_the_last_gradient_against_the_warm_ups(last: float, warmup: float, gamma: float, probability: float) -> None:
    assert trace_probability(last, warmup, gamma) == pytest.approx(probability, abs=1e-12)


def test_the_warm_up_is_on_traces_alone_and_its_mean_is_what_later_steps_are_compared_with() -> None:
    draw = draw_of()
    assert all(draw.is_on_traces(step) for step in (0, 1))
    draw.record(2.0, step=0)
    draw.record(4.0, step=1)
    assert draw.probability(2) == pytest.approx(4 / 7)  # 4 / (4 + (2 + 4) / 2)
    draw.record(1.0, step=5)
    assert draw.probability(6) == pytest.approx(0.25)  # 1 / (1 + 3): the warm-up's mean stays


def test_steps_are_drawn_with_that_probability_from_seed_and_step() -> None:
    draw = draw_of(num_warmup_steps=1)
    draw.record(3.0, step=0)
    draw.record(1.0, step=1)
    drawn = [draw.is_on_traces(step) for step in range(1, 2001)]
    assert statistics.fmean(drawn) == pytest.approx(0.25, abs=0.05)  # standard deviation sqrt(0.25 x 0.75 / 2000) = 0.0097
    assert drawn == [draw.is_on_traces(step) for step in range(1, 2001)]
    other = draw_of(num_warmup_steps=1, seed=1)
    other.load_state_dict(draw.state_dict())
    assert drawn != [other.is_on_traces(step) for step in range(1, 2001)]


def test_the_warm_up_goes_on_until_a_step_had_traces() -> None:
    draw = draw_of(num_warmup_steps=1)
    assert draw.probability(1) == 1.0  # nothing was recorded: the only step of the warm-up had no trace
    draw.record(3.0, step=1)
    draw.record(1.0, step=2)
    assert draw.probability(3) == pytest.approx(0.25)  # 1 / (1 + 3)


def test_the_state_comes_back_from_json() -> None:
    draw, restored = draw_of(), draw_of()
    restored.load_state_dict(json.loads(json.dumps(draw.state_dict())))
    for one in (draw, restored):
        one.record(0.1, step=0)
    restored.load_state_dict(json.loads(json.dumps(draw.state_dict())))
    for one in (draw, restored):
        one.record(0.3, step=1)
    assert draw.state_dict() == restored.state_dict() and draw.probability(2) == restored.probability(2)


def test_a_draw_without_a_warm_up_has_nothing_to_compare_with() -> None:
    with pytest.raises(ConfigError, match=r"guidance.steps.num_warmup_steps is 0"):
        draw_of(num_warmup_steps=0)
