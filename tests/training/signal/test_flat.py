from __future__ import annotations

import pytest

from vlmpost.training.signal.flat import GroupReport, figures_of_rows, grouped_reports, is_high, signal_figures


def report(*, flat: bool, reward: float = 0.0, correct: bool | None = None, num_tokens: int = 100) -> GroupReport:
    return GroupReport(index=0, flat=flat, reward=reward, correct=correct, num_tokens=num_tokens)


def test_a_verdict_decides_before_the_reward():
    # A format reward of 0.1 on eight wrong answers is above a mean of 0, and still wrong.
    assert not is_high(report(flat=True, reward=0.1, correct=False), mean_reward=0.0)
    assert is_high(report(flat=True, reward=-2.0, correct=True), mean_reward=0.0)


def test_without_verdicts_the_mean_of_the_run_decides():
    assert is_high(report(flat=True, reward=0.6), mean_reward=0.5)
    assert not is_high(report(flat=True, reward=0.5), mean_reward=0.5)


def test_every_sampled_token_is_paid_by_the_useful_groups_that_are_trained():
    reports = [report(flat=False), report(flat=True), report(flat=True), report(flat=False, num_tokens=50), report(flat=False)]
    figures = signal_figures(reports, [False, True, False, True, True], num_rounds=2, num_replayed=1, num_surplus=1)
    # 450 tokens; 3 useful groups, one of them without a place: 450 / 2. Of 5 groups one is flat and right, one flat and wrong.
    assert figures == {
        "useful_groups": 2.0,
        "sampled_tokens": 450.0,
        "flat_right_share": pytest.approx(0.2),
        "flat_wrong_share": pytest.approx(0.2),
        "sampling_rounds": 2.0,
        "replayed_groups": 1.0,
        "surplus_groups": 1.0,
        "tokens_per_useful_group": 225.0,
    }


def test_a_batch_without_a_useful_group_has_no_price_for_one():
    figures = signal_figures([report(flat=True)], [True], num_rounds=1, num_replayed=0, num_surplus=0)
    assert figures["useful_groups"] == 0.0 and "tokens_per_useful_group" not in figures


def test_rows_of_a_batch_are_told_by_group():
    nan = float("nan")
    rows = [
        (0, 1.0, 1, 5),
        (0, 0.0, 0, 6),
        (1, 1.0, 1, 2),
        (1, 1.0, 1, 3),
        (1, 0.5, nan, 4),
        (1, nan, 1, 4),
        (1, nan, nan, 1),
        (1, nan, nan, 1),
    ]
    assert grouped_reports(rows, num_generations=2) == [
        GroupReport(index=0, flat=False, reward=0.5, correct=False, num_tokens=11),
        GroupReport(index=1, flat=True, reward=1.0, correct=True, num_tokens=5),
        GroupReport(index=2, flat=True, reward=0.5, correct=None, num_tokens=8),
        GroupReport(index=3, flat=True, reward=0.0, correct=None, num_tokens=2),
    ]


def test_a_batch_as_it_comes_has_the_same_figures():
    # One useful group; one flat with reward 1, above the mean 0.5, one flat with 0; no verdicts. 12 tokens.
    nan = float("nan")
    rows = [(0, 1.0, nan, 2), (0, 0.0, nan, 2), (1, 1.0, nan, 2), (1, 1.0, nan, 2), (1, 0.0, nan, 2), (1, 0.0, nan, 2)]
    figures = figures_of_rows(rows, num_generations=2)
    assert (figures["useful_groups"], figures["sampled_tokens"], figures["tokens_per_useful_group"]) == (1.0, 12.0, 12.0)
    assert figures["flat_right_share"] == figures["flat_wrong_share"] == pytest.approx(1 / 3)
    assert figures["sampling_rounds"] == 1.0
