"""Hints are as long as their law says, cut on tokens, and never more than there is."""

from __future__ import annotations

import itertools
import math
import os
import statistics
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.config.guidance import HintConfig
from vlmpost.config.guidance_presets import PRESETS
from vlmpost.training.guidance.hints import are_over, binomial_chances, cut_at_segments, hint_length, hint_seed, levels_length

shares = st.floats(0, 1)
configs = st.builds(
    lambda law, share, upper, num_segments, num_left: HintConfig(
        law=law, share=min(share, upper), upper=upper, num_segments=num_segments, num_left=num_left
    ),
    law=st.sampled_from(["none", "schedule", "binomial", "uniform"]),
    share=shares,
    upper=shares,
    num_segments=st.none() | st.integers(1, 12),
    num_left=st.integers(0, 3),
)


def lengths(config: HintConfig, num_tokens: int, num_draws: int, step: int = 0) -> list[int]:
    return [hint_length(config, num_tokens, step=step, num_steps=100, seed=hint_seed(0, step, str(draw))) for draw in range(num_draws)]


@given(config=configs, num_tokens=st.integers(1, 300), seed=st.integers(0, 2**63))
def test_a_hint_is_a_prefix_that_leaves_what_it_must(config: HintConfig, num_tokens: int, seed: int) -> None:
    length = hint_length(config, num_tokens, step=0, num_steps=10, seed=seed)
    assert 0 <= length <= max(0, num_tokens - config.num_left)
    token_ids = tuple(range(1000, 1000 + num_tokens))
    assert token_ids[:length] + token_ids[length:] == token_ids and len(token_ids[:length]) == length
    assert hint_length(config, num_tokens, step=0, num_steps=10, seed=seed) == length


@given(first=shares, second=shares, num_tokens=st.integers(1, 300), num_segments=st.none() | st.integers(1, 12))
def test_a_larger_share_is_never_a_shorter_hint(first: float, second: float, num_tokens: int, num_segments: int | None) -> None:
    low, high = sorted((first, second))
    small, large = (
        hint_length(HintConfig(law="schedule", share=share, num_segments=num_segments), num_tokens, step=0, num_steps=1, seed=0)
        for share in (low, high)
    )
    assert small <= large


@given(num_tokens=st.integers(1, 300), num_segments=st.integers(1, 20))
def test_segments_cover_the_trace_in_parts_that_differ_by_a_token(num_tokens: int, num_segments: int) -> None:
    count = min(num_segments, num_tokens)
    cuts = [cut_at_segments(num_tokens, num_segments, chosen) for chosen in range(count + 1)]
    sizes = [after - before for before, after in itertools.pairwise(cuts)]
    assert cuts[0] == 0 and cuts[-1] == num_tokens
    assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1


def test_the_share_is_rounded_to_tokens_with_halves_up() -> None:
    # |y*| = 10: 0 -> 0, 0.04 x 10 = 0.4 -> 0, 0.25 x 10 = 2.5 -> 3, 0.35 x 10 = 3.5 -> 4, 0.96 x 10 = 9.6 -> 10, 1 -> 10
    shares = (0.0, 0.04, 0.25, 0.35, 0.96, 1.0)
    shares = (0.0, 0.04, 0.25, 0.35, 0.96, 1.0)
    found = [hint_length(HintConfig(law="schedule", share=share), 10, step=0, num_steps=1, seed=0) for share in shares]
    assert found == [0, 0, 3, 4, 10, 10]


def test_progressive_goes_from_the_whole_trace_over_prefixes_to_none() -> None:
    # 100 steps: 1 up to step 5, then (1 + cos(pi (t - 5) / 65)) / 2; t = 37.5 would be the middle: steps 37 and 38 are
    # cos(pi 32 / 65) = 0.0242 -> 0.5121 and cos(pi 33 / 65) = -0.0242 -> 0.4879 of 1000 tokens; from step 70 on none.
    config = HintConfig.model_validate(PRESETS["progressive"].settings["hint"])
    found = [hint_length(config, 1000, step=step, num_steps=100, seed=0) for step in (0, 5, 37, 38, 70, 99)]
    assert found == [1000, 1000, 512, 488, 0, 0]


def test_the_staged_sibling_of_uft_loses_a_segment_every_fifty_steps() -> None:
    # 300 / 6 = 50 steps to a stage; 5 segments of 20 tokens: 100, 80, 60, 40, 20, 0
    config = HintConfig.model_validate(PRESETS["uft_staged"].settings["hint"])
    steps = [0, 49, 50, 99, 100, 150, 200, 249, 250, 299, 300, 499]
    found = [hint_length(config, 100, step=step, num_steps=500, seed=0) + config.num_left * (step < 50) for step in steps]
    assert found == [100, 100, 80, 80, 60, 40, 20, 20, 0, 0, 0, 0]


def test_the_binomial_law_has_the_mean_and_variance_of_its_formula() -> None:
    # L = 5 segments of 10 tokens, p = 0.3: mean 10 x 5 x 0.3 = 15, variance 100 x 5 x 0.3 x 0.7 = 105. Of 4000 draws the mean's
    # standard deviation is sqrt(105 / 4000) = 0.16; the variance's about 105 sqrt(2 / 4000) = 2.3 (its kurtosis is near 3).
    drawn = lengths(HintConfig(law="binomial", share=0.3, num_segments=5), 50, 4000)
    assert statistics.fmean(drawn) == pytest.approx(15, abs=0.8)
    assert statistics.pvariance(drawn) == pytest.approx(105, abs=12)
    assert set(drawn) == {0, 10, 20, 30, 40, 50}


def test_the_chances_of_the_binomial_law_are_those_of_its_draws() -> None:
    # Binomial(3, 0.5): 1/8, 3/8, 3/8, 1/8
    assert binomial_chances(3, 0.5) == [0.125, 0.375, 0.375, 0.125]
    drawn = lengths(HintConfig(law="binomial", share=0.5, num_segments=3), 3, 4000)
    # standard deviation of a share of 3/8 over 4000 draws: 0.0077
    assert [drawn.count(length) / 4000 for length in range(4)] == pytest.approx(binomial_chances(3, 0.5), abs=0.035)


def test_uft_draws_from_19_20ths_down_to_a_20th_and_then_not_at_all() -> None:
    # p_t = 0.05 + 0.45 (1 + cos(pi t / 300)): p_0 = 0.95, p_150 = 0.5; the mean number of 5 segments is 4.75 and 2.5
    config = HintConfig.model_validate({**PRESETS["uft"].settings["hint"], "num_left": 0})
    for step, mean in ((0, 4.75), (150, 2.5)):
        assert statistics.fmean(lengths(config, 5, 2000, step)) == pytest.approx(mean, abs=0.13)
    assert are_over(config, step=300) and not are_over(config, step=299)
    assert set(lengths(config, 5, 50, 300)) == {0}


def test_a_short_trace_has_no_more_segments_than_tokens() -> None:
    # L = min(5, 2) = 2 segments of a token each: p = 1 is both
    assert hint_length(HintConfig(law="binomial", share=1.0, num_segments=5), 2, step=0, num_steps=1, seed=0) == 2


def test_a_binomial_law_without_segments_counts_tokens() -> None:
    drawn = lengths(HintConfig(law="binomial", share=0.5), 100, 500)
    # mean 50 with standard deviation 5 / sqrt(500) = 0.22, all within 50 +- 25 (five standard deviations)
    assert statistics.fmean(drawn) == pytest.approx(50, abs=1.2) and min(drawn) >= 25 and max(drawn) <= 75


def test_the_uniform_law_fills_its_range_evenly() -> None:
    # U(0.2, 0.8) of 1000 tokens: mean 500, standard deviation 600 / sqrt(12) = 173.2; of 3000 draws the mean's is 3.2
    drawn = lengths(HintConfig(law="uniform", share=0.2, upper=0.8), 1000, 3000)
    assert 200 <= min(drawn) <= 205 and 795 <= max(drawn) <= 800
    assert statistics.fmean(drawn) == pytest.approx(500, abs=16)
    assert statistics.pstdev(drawn) == pytest.approx(600 / math.sqrt(12), abs=8)


def test_r3_draws_every_number_of_segments_alike() -> None:
    # 0..5 of 5 segments, each with chance 1/6: 1000 of 6000 draws, standard deviation sqrt(6000 x 5/36) = 29
    config = HintConfig.model_validate({**PRESETS["r3"].settings["hint"], "num_left": 0})
    drawn = lengths(config, 50, 6000)
    assert all(abs(drawn.count(length) - 1000) < 150 for length in (0, 10, 20, 30, 40, 50))


def test_prefix_rft_draws_from_the_top_at_first_and_from_everywhere_at_the_end() -> None:
    config = HintConfig.model_validate(PRESETS["prefix_rft"].settings["hint"])
    assert set(lengths(config, 100, 50, 0)) == {95}  # U(0.95, 0.95)
    late = lengths(config, 1000, 2000, 99)  # U(0.0502, 0.95): the cosine from 0.95 to 0.05 is at 0.0502 at 99 of 100
    assert 50 <= min(late) <= 60 and 940 <= max(late) <= 950


def test_levels_are_shares_of_the_trace_or_numbers_of_segments_and_leave_a_token() -> None:
    thirds = HintConfig(law="ascending", levels=[0.0, 1 / 3, 2 / 3])
    assert [levels_length(thirds, 10, level) for level in (0.0, 1 / 3, 2 / 3, 1.0)] == [0, 3, 7, 9]
    tenths = HintConfig(law="binary", num_segments=10)
    assert [levels_length(tenths, 45, level) for level in (0, 1, 5, 10)] == [0, 5, 23, 44]  # 4.5 -> 5, 22.5 -> 23, 45 - 1
    assert levels_length(tenths, 4, 10) == 3  # no more segments than tokens
    assert levels_length(HintConfig(law="binary", num_segments=2, num_left=4), 10, 2) == 6


def test_seeds_differ_by_run_step_and_question_and_not_by_process() -> None:
    seeds = [hint_seed(seed, step, name) for seed in (0, 1) for step in (0, 1, 11) for name in ("a", "b", "1/a")]
    assert len(set(seeds)) == 18 and all(0 <= seed < 2**64 for seed in seeds)
    script = "from vlmpost.training.guidance.hints import hint_seed; print(hint_seed(3, 5, 'q'))"
    found = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": "123"}, capture_output=True, text=True, check=True
    )
    assert int(found.stdout) == hint_seed(3, 5, "q")
