"""Noise on purpose: how often verdicts are turned, what it is of, and that it is the same every time."""

from __future__ import annotations

import pytest

from vlmpost.config.schema import RewardTermConfig
from vlmpost.errors import ConfigError
from vlmpost.records import Example, Rollout
from vlmpost.rewards import build
from vlmpost.rewards.noisy import noisy_accuracy, uniform

RIGHT, WRONG = r"So \boxed{7}.", r"So \boxed{8}."


def rollout(text: str, number: int = 0, *, answer: str | None = "7") -> Rollout:
    return Rollout(Example(f"q{number}", "web", (), answer=answer, answer_type="number"), text, (), "stop")


def share(text: str, **noise: object) -> float:
    values = [noisy_accuracy(rollout(text, number), **noise) for number in range(1000)]  # type: ignore[arg-type]
    return sum(value == 1.0 for value in values) / len(values)


def test_without_noise_it_is_accuracy() -> None:
    assert [noisy_accuracy(rollout(text), miss_prob=0.0) for text in (RIGHT, WRONG, "no idea")] == [1.0, 0.0, 0.0]
    assert noisy_accuracy(rollout(WRONG), miss_prob=0.0, wrong=-1.0) == -1.0
    assert noisy_accuracy(rollout(RIGHT, answer=None)) is None


def test_right_answers_are_missed_and_wrong_ones_taken_as_often_as_asked() -> None:
    # 1000 draws: three standard deviations are 3 sqrt(0.3 0.7 / 1000) = 0.043 and 3 sqrt(0.1 0.9 / 1000) = 0.028.
    assert share(RIGHT, miss_prob=0.3, false_alarm_prob=0.1) == pytest.approx(0.7, abs=0.043)
    assert share(WRONG, miss_prob=0.3, false_alarm_prob=0.1) == pytest.approx(0.1, abs=0.028)
    assert (share(RIGHT, miss_prob=1.0), share(WRONG, false_alarm_prob=1.0)) == (0.0, 1.0)


def test_a_wrong_label_turns_all_completions_of_its_question_alike() -> None:
    texts = [f"{RIGHT} Way {number}." for number in range(50)]
    for number in range(20):
        assert len({noisy_accuracy(rollout(text, number), miss_prob=0.5) for text in texts}) == 1
    assert {noisy_accuracy(rollout(text), miss_prob=0.5, noise_of="completion") for text in texts} == {0.0, 1.0}


def test_the_noise_is_the_same_every_time_and_another_with_another_seed() -> None:
    first, again, other = (
        [noisy_accuracy(rollout(RIGHT, number), miss_prob=0.5, seed=seed) for number in range(100)] for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    # SHA-256 of "abc" begins ba7816bf8f01cf (FIPS 180-4, appendix B.1); as a fraction of 2^56 that is 0xba7816bf8f01cf / 2^56.
    assert uniform("abc") == 0xBA7816BF8F01CF / 2**56


@pytest.mark.parametrize("name", ["miss_prob", "false_alarm_prob"])
@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_what_is_no_probability_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} {value} is not a probability"):
        build([RewardTermConfig(name="noisy_accuracy", params={name: value})])
