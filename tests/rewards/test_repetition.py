"""Repetition penalties against the printed algorithm, the sources' own functions, and their documented bounds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.records import Example, Rollout
from vlmpost.rewards import repetition
from vlmpost.rewards.binding import Schema, bind, schema_of
from vlmpost.rewards.table import Reward


def rollout(token_ids: Sequence[int] = (), text: str = "") -> Rollout:
    return Rollout(Example("q1", "sums", ()), text, tuple(token_ids), "stop")


def penalised(token_ids: Sequence[int], *, ngram_size: int, only_start: bool = False) -> list[int]:
    values = repetition.ngram_tokens(rollout(token_ids), ngram_size=ngram_size, penalty=-0.5, only_start=only_start)
    assert len(values) == len(token_ids)
    assert set(values) <= {0.0, -0.5}
    return [place for place, value in enumerate(values) if value]


def printed(token_ids: Sequence[int], size: int, penalty: float) -> list[float]:
    """Algorithm 1 as printed, with the n-grams kept whole."""
    seen: set[tuple[int, ...]] = set()
    values = [0.0] * len(token_ids)
    for start in range(len(token_ids) - size + 1):
        ngram = tuple(token_ids[start : start + size])
        if ngram in seen:
            for place in range(start, start + size):
                values[place] = penalty
        seen.add(ngram)
    return values


def test_41_equal_tokens_are_penalised_from_the_second_on() -> None:
    arguments = repetition.NGRAM_TOKENS["demystify"]
    assert repetition.ngram_tokens(rollout([9] * 41), **arguments) == [0.0] + [-0.05] * 40
    assert repetition.ngram_tokens(rollout([9] * 40), **arguments) == [0.0] * 40
    assert repetition.ngram_tokens(rollout([9] * 39), **arguments) == [0.0] * 39
    assert repetition.ngram_tokens(rollout([]), **arguments) == []


def test_one_repeated_40_gram_costs_two() -> None:
    once = list(range(40))
    values = repetition.ngram_tokens(rollout([*once, *once]), **repetition.NGRAM_TOKENS["demystify"])
    assert values == [0.0] * 40 + [-0.05] * 40
    assert math.fsum(values) == pytest.approx(-2.0)


@pytest.mark.parametrize(
    ("token_ids", "size", "everywhere", "only_start"),
    [
        ([1, 2, 3, 4], 2, [], []),
        ([1, 2, 1, 2], 2, [2, 3], [2, 3]),
        ([1, 2, 1, 2, 1, 2], 2, [2, 3, 4, 5], [2, 3]),  # repeats at 2, 3, 4: the later ones begin within 2 of the one before
        ([5, 5, 5, 5], 2, [1, 2, 3], [1, 2]),  # repeats at 1, 2
        # Repeats of 1 2 at 3 and 6. With nothing between, 6 > 3 + 2 is penalised again.
        ([1, 2, 0, 1, 2, 7, 1, 2], 2, [3, 4, 6, 7], [3, 4, 6, 7]),
        # Repeats of 1 2 at 2 and 4 and of 2 1 at 3, then 1 2 at 7: 7 > 4 + 2.
        ([1, 2, 1, 2, 1, 2, 9, 1, 2], 2, [2, 3, 4, 5, 7, 8], [2, 3, 7, 8]),
        # A repeat that begins exactly N after the one before it is left out: 1 2 at 4, 3 4 at 6 = 4 + 2 (2 3 at 5 repeats too).
        ([1, 2, 3, 4, 1, 2, 3, 4], 2, [4, 5, 6, 7], [4, 5]),
        # The same without a repeat in between: 1 2 at 4 and 5 6 at 6.
        ([1, 2, 5, 6, 1, 2, 5, 6], 2, [4, 5, 6, 7], [4, 5]),
        ([5, 6, 1, 2, 1, 2, 5, 6], 2, [4, 5, 6, 7], [4, 5]),
        ([3, 3, 4], 1, [1], [1]),
        ([1, 2, 3], 4, [], []),
    ],
)
def test_table_of_token_penalties(token_ids: list[int], size: int, everywhere: list[int], only_start: list[int]) -> None:
    assert penalised(token_ids, ngram_size=size) == everywhere
    assert penalised(token_ids, ngram_size=size, only_start=True) == only_start


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 12))
def test_token_penalties_equal_the_printed_algorithm(token_ids: list[int], size: int) -> None:
    got = repetition.ngram_tokens(rollout(token_ids), ngram_size=size, penalty=-0.25)
    assert got == printed(token_ids, size, -0.25)
    starts = repetition.ngram_tokens(rollout(token_ids), ngram_size=size, penalty=-0.25, only_start=True)
    assert all(everywhere <= start for everywhere, start in zip(got, starts, strict=True))
    assert any(got) == any(starts)


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 6))
def test_a_total_is_the_mean_or_the_sum_and_stops_at_its_lowest(token_ids: list[int], size: int) -> None:
    values = printed(token_ids, size, -0.05)
    mean = repetition.ngram_total(rollout(token_ids), ngram_size=size)
    assert mean == pytest.approx(sum(values) / len(values) if values else 0.0, rel=0, abs=1e-9)
    assert -0.05 - 1e-12 <= mean <= 0
    total = repetition.ngram_total(rollout(token_ids), ngram_size=size, reduce="sum")
    assert total == pytest.approx(sum(values), rel=0, abs=1e-9)
    assert repetition.ngram_total(rollout(token_ids), ngram_size=size, reduce="sum", lowest=-0.2) == max(total, -0.2)


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 6), st.floats(-5, -0.01))
def test_the_share_equals_trls_and_is_bounded(token_ids: list[int], size: int, max_penalty: float) -> None:
    from trl.rewards import get_repetition_penalty_reward

    got = repetition.ngram_share(rollout(token_ids), ngram_size=size, max_penalty=max_penalty)
    assert got == pytest.approx(get_repetition_penalty_reward(size, max_penalty)([token_ids])[0], rel=0, abs=1e-9)
    assert max_penalty <= got <= 0


@given(st.text(alphabet="aAbB \n\u3000", max_size=60), st.integers(1, 4))
def test_the_share_of_words_equals_open_r1s_formula(text: str, size: int) -> None:
    words = text.lower().split()
    ngrams = [" ".join(words[place : place + size]) for place in range(len(words) - size + 1)]
    expected = -1.0 * (1 - len(set(ngrams)) / len(ngrams)) if ngrams else 0.0
    assert repetition.ngram_share(rollout(text=text), ngram_size=size, unit="words") == pytest.approx(expected, rel=0, abs=1e-9)


def test_shares_by_hand() -> None:
    # Four pairs of 5, one of them new: 3/4.
    assert repetition.ngram_share(rollout([5] * 5), ngram_size=2) == -0.75
    # "the cat sat" twice in six words: 4 triples, 3 of them different.
    text = "The cat sat the CAT sat"
    open_r1, vlm_r1 = (repetition.NGRAM_SHARE[name] for name in ("open_r1", "vlm_r1"))
    assert repetition.ngram_share(rollout(text=text), **open_r1) == -0.25
    assert repetition.ngram_share(rollout(text=text), **vlm_r1) == 0.0
    assert repetition.ngram_share(rollout(text="a b"), **open_r1) == 0.0


LINE = "so the tile in the corner is nine"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([LINE] * 3, 0.0),
        ([LINE] * 4, -0.5),
        ([LINE, "", f"  {LINE} ", LINE.upper(), LINE], -0.5),
        ([LINE, LINE, "no", LINE, LINE], 0.0),  # a short line ends the run
        ([LINE, LINE, f"{LINE} too", LINE, LINE], 0.0),
        (["one two three four five six"] * 9, 0.0),  # six words are not long
        (["one two three four five six seven"] * 4, -0.5),
        ([], 0.0),
    ],
)
def test_repeated_lines(lines: list[str], expected: float) -> None:
    assert repetition.repeated_lines(rollout(text="\n".join(lines)), **repetition.REPEATED_LINES["visual_jigsaw"]) == expected


@pytest.mark.parametrize(
    ("function", "check", "params", "clause"),
    [
        (repetition.ngram_tokens, repetition.check_ngram_tokens, {"penalty": 0.0}, "penalty 0.0 is not a negative number"),
        (repetition.ngram_tokens, repetition.check_ngram_tokens, {"penalty": 0.05}, "penalty 0.05 is not a negative number"),
        (repetition.ngram_tokens, repetition.check_ngram_tokens, {"penalty": -math.inf}, "not a negative number"),
        (repetition.ngram_tokens, repetition.check_ngram_tokens, {"ngram_size": 0}, "ngram_size 0 is below 1"),
        (repetition.ngram_tokens, repetition.check_ngram_tokens, {"ngram_size": 64}, "is not below max_completion_length 64"),
        (repetition.ngram_total, repetition.check_ngram_tokens, {"lowest": 0.0}, "lowest 0.0 is not negative"),
        (repetition.ngram_share, repetition.check_ngram_share, {"max_penalty": 1.0}, "max_penalty 1.0 is not a negative number"),
        (repetition.ngram_share, repetition.check_ngram_share, {"ngram_size": 64}, "is not below max_completion_length 64"),
        (repetition.repeated_lines, repetition.check_repeated_lines, {"penalty": 0.5}, "penalty 0.5 is not a negative number"),
        (repetition.repeated_lines, repetition.check_repeated_lines, {"max_run": 0}, "max_run 0 is below 1"),
    ],
)
def test_parameters_that_cannot_work_are_told(
    function: Callable[..., object], check: Callable[..., Sequence[str]], params: dict[str, object], clause: str
) -> None:
    schema = schema_of(function)
    assert isinstance(schema, Schema)
    reward = Reward(function, {}, check)
    assert bind(reward, schema, {}, max_completion_length=64)[1] == []
    assert any(clause in fault for fault in bind(reward, schema, params, max_completion_length=64)[1])


def test_every_preset_fits_its_function() -> None:
    seen = 0
    for function, presets, check in (
        (repetition.ngram_tokens, repetition.NGRAM_TOKENS, repetition.check_ngram_tokens),
        (repetition.ngram_total, repetition.NGRAM_TOTAL, repetition.check_ngram_tokens),
        (repetition.ngram_share, repetition.NGRAM_SHARE, repetition.check_ngram_share),
        (repetition.repeated_lines, repetition.REPEATED_LINES, repetition.check_repeated_lines),
    ):
        schema = schema_of(function)
        assert isinstance(schema, Schema)
        for name in presets:
            assert bind(Reward(function, presets, check), schema, {"preset": name}, max_completion_length=14336)[1] == []
            seen += 1
    assert seen == 6


def test_the_work_does_not_grow_with_the_size_of_the_n_gram() -> None:
    # 400,000 tokens in n-grams of 50,000: kept whole they would be 2 * 10^10 numbers.
    started = time.monotonic()
    values = repetition.ngram_tokens(rollout([7, 8] * 200_000), ngram_size=50_000)
    assert values[:2] == [0.0, 0.0] and all(value == -0.05 for value in values[2:])
    assert time.monotonic() - started < 60
