"""The compute measure, against sums worked out by hand and the ratios that the paper's constants give."""

from __future__ import annotations

import pytest

from vlmpost.evaluation.compute import BUFFER_RATIOS, Tokens, rl_flop, sft_flop


def test_sft_costs_six_operations_per_parameter_and_token_of_both_its_parts() -> None:
    # 6 x 10.7e9 x (1e6 + 3e6) = 6.42e10 x 4e6 = 2.568e17
    assert sft_flop(num_parameters=10_700_000_000, initial_tokens=1e6, sft_tokens=3e6) == pytest.approx(2.568e17)


def test_rl_adds_two_operations_per_parameter_and_token_of_its_rollout_buffer() -> None:
    # 6 x 100 x (5 + 10) + 2 x 100 x 6 x 10 = 9000 + 12000
    assert rl_flop(num_parameters=100, initial_tokens=5, rl_tokens=10, buffer_ratio=6.0) == 21_000


@pytest.mark.parametrize(("task", "factor"), [("general_points", 3.0), ("navigation", 2.7)])
def test_rl_costs_three_times_and_2_7_times_the_same_tokens_of_sft(task: str, factor: float) -> None:
    # (6 + 2 lambda) / 6 = 1 + lambda / 3: lambda 6 gives 3.0, lambda 5.1 gives 2.7.
    rl = rl_flop(num_parameters=7, initial_tokens=0, rl_tokens=1000, buffer_ratio=BUFFER_RATIOS[task])
    assert rl / sft_flop(num_parameters=7, initial_tokens=0, sft_tokens=1000) == pytest.approx(factor)
    assert len(BUFFER_RATIOS) == 2


def test_what_was_measured_costs_six_per_trained_and_two_per_sampled_token() -> None:
    # 10 x (6 x 3 + 2 x 50) = 1180
    assert Tokens(trained=3, sampled=50).flop(10) == 1180
    assert Tokens(trained=3).flop(10) == 180


def test_the_measured_form_is_the_papers_where_the_buffer_is_lambda_times_the_trained_tokens() -> None:
    measured = Tokens(trained=100, sampled=600).flop(11)
    assert measured == rl_flop(num_parameters=11, initial_tokens=0, rl_tokens=100, buffer_ratio=6.0)
