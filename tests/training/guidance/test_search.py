"""Searches try what their laws say, in order, and choose the level that the papers learn from."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.config.guidance import HintConfig
from vlmpost.config.guidance_presets import PRESETS
from vlmpost.errors import ConfigError
from vlmpost.training.guidance.search import Level, Search

Outcome = tuple[int, float | None]
"""(right rollouts of eight, best reward)"""


def hint(preset: str, **keys: object) -> HintConfig:
    return HintConfig.model_validate({**PRESETS[preset].settings["hint"], **keys})


def played(search: Search, outcome: Callable[[Level], Outcome]) -> tuple[list[Level], Level]:
    """(levels in the order of trying, level chosen)"""
    tried = []
    while (level := search.level_to_try()) is not None:
        tried.append(level)
        num_right, best_reward = outcome(level)
        search = search.with_result(num_right=num_right, num_tried=8, best_reward=best_reward)
    return tried, search.chosen()


THIRD, TWO_THIRDS = 1 / 3, 2 / 3


@pytest.mark.parametrize(
    ("rewarded", "tried", "chosen"),
    [
        ({0.0}, [0], 0),
        ({THIRD, TWO_THIRDS}, [0, THIRD], THIRD),
        ({TWO_THIRDS}, [0, THIRD, TWO_THIRDS], TWO_THIRDS),
        (set(), [0, THIRD, TWO_THIRDS], 0),  # find_first_positive returns 0 where no group has a reward
    ],
)
def test_hint_grpo_learns_the_least_hinted_group_with_a_reward_else_the_unhinted(
    rewarded: set[float], tried: list[Level], chosen: Level
) -> None:
    search = Search.start(hint("hint_grpo"), num_tokens=30)
    assert played(search, lambda level: (0, 0.1 if level in rewarded else 0.0)) == (tried, chosen)


def test_a_group_that_no_reward_applies_to_has_none_above_zero() -> None:
    search = Search.start(hint("hint_grpo"), num_tokens=30)
    assert played(search, lambda level: (0, None))[1] == 0


@pytest.mark.parametrize(
    ("helps_from", "tried", "chosen"),
    [
        (0.0, [0], 0),
        (0.5, [0, 0.25, 0.5], 0.5),
        (0.75, [0, 0.25, 0.5, 0.75], 0.75),
        (2.0, [0, 0.25, 0.5, 0.75], 0.75),
    ],
)
def test_ghpo_gives_more_while_all_are_wrong_and_keeps_the_last(helps_from: float, tried: list[Level], chosen: Level) -> None:
    search = Search.start(hint("ghpo"), num_tokens=30)
    # a reward for the format alone does not end it
    assert played(search, lambda level: (1 if level >= helps_from else 0, 0.1)) == (tried, chosen)


def test_no_hint_is_tried_first_though_the_levels_do_not_name_it() -> None:
    search = Search.start(HintConfig(law="ascending", levels=[0.5, 0.25, 0.5]), num_tokens=30)
    assert played(search, lambda level: (0, 0.0))[0] == [0, 0.25, 0.5]


def test_bread_searches_nothing_where_a_rollout_is_right_unhinted() -> None:
    search = Search.start(hint("bread"), num_tokens=100)
    assert played(search, lambda level: (1, 1.0)) == ([0], 0)
    # even where all are, though that is above the band
    assert played(search, lambda level: (8, 1.0)) == ([0], 0)


@pytest.mark.parametrize(
    ("right_of", "tried", "chosen"),
    [
        # right rollouts of eight by segments; band 0 < share <= 0.75 = 6 of 8; halves of 1..10: 5, then 2 or 8, ...
        (lambda level: 4 if level >= 5 else 0, [0, 5, 2, 3, 4], 5),  # in the band at 5: shorter ones are tried, in vain
        (lambda level: level, [0, 5, 2, 1], 1),  # 5, 2 and 1 of 8 are all in the band: the shortest
        (lambda level: max(0, level - 6), [0, 5, 8, 6, 7], 7),  # too hard at 5; 2 of 8 at 8: shorter; 0 at 6; 1 at 7
        (lambda level: 8 if level >= 4 else 0, [0, 5, 2, 3, 4], 4),  # never in the band: the shortest with any success
        (lambda level: 0, [0, 5, 8, 9, 10], 10),  # nothing helps: the longest
        (lambda level: 7 if level else 0, [0, 5, 2, 1], 1),  # 7 of 8 is above 0.75 everywhere
    ],
)
def test_bread_halves_its_way_to_the_shortest_hint_in_the_band(right_of: Callable[[Level], int], tried: list[Level], chosen: Level) -> None:
    search = Search.start(hint("bread"), num_tokens=100)
    assert played(search, lambda level: (int(right_of(level)), None)) == (tried, chosen)


def test_the_band_holds_its_ends_as_they_are_written() -> None:
    # 1 of 10 is a tenth, though the float 0.1 is above it; 3 of 10 is three tenths, though the float 0.3 is below
    search = Search.start(HintConfig(law="binary", num_segments=1, band=[0.1, 0.3]), num_tokens=9)
    search = search.with_result(num_right=0, num_tried=10, best_reward=None)
    for num_right, does in ((0, False), (1, True), (3, True), (4, False)):
        ended = search.with_result(num_right=num_right, num_tried=10, best_reward=None)
        assert (ended.tried[-1].right_share, ended._does(ended.tried[-1])) == (pytest.approx(num_right / 10), does)


@given(
    num_segments=st.integers(1, 40),
    num_tokens=st.integers(1, 60),
    outcomes=st.lists(st.integers(0, 8), min_size=41, max_size=41),
    unhinted=st.just(0),
)
def test_a_binary_search_ends_after_a_logarithm_of_tries(num_segments: int, num_tokens: int, outcomes: list[int], unhinted: int) -> None:
    search = Search.start(HintConfig(law="binary", num_segments=num_segments), num_tokens=num_tokens)
    tried, chosen = played(search, lambda level: (outcomes[int(level)] if level else unhinted, None))
    assert len(tried) == len(set(tried)) <= 2 + num_segments.bit_length()
    assert chosen in tried and max(tried) <= min(num_segments, num_tokens)


def test_a_group_with_nothing_judged_counts_as_too_hard() -> None:
    search = Search.start(HintConfig(law="binary", num_segments=3), num_tokens=30)
    for _ in range(2):
        search = search.with_result(num_right=0, num_tried=0, best_reward=None)
    assert search.level_to_try() == 3  # 0 and 2 of 1..3 gave nothing


def test_a_binary_search_needs_segments() -> None:
    with pytest.raises(ConfigError, match=r"guidance.hint.num_segments"):
        Search.start(HintConfig(law="binary"), num_tokens=30)
