"""Rewards for transcribed text."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.values.edit_distance import edit_distance, indel_distance
from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards import texts
from vlmpost.rewards.binding import schema_of
from vlmpost.rewards.texts import (
    PRESETS,
    Normalisation,
    check_texts,
    text_match,
    text_similarity,
    transcription,
)

REWARDS: list[Callable[..., float | None]] = [text_similarity, transcription, text_match]


def rollout(text: str, answer: str | None = "hello world", *, kind: str = "text", **meta: object) -> Rollout:
    return Rollout(Example("q1", "ocr", (), answer=answer, answer_type=kind, meta=meta), text, (), "stop")  # type: ignore[arg-type]


def table_distance(one: str, other: str, *, replace: int) -> int:
    """The textbook table, row by row; `replace` is the cost of a replacement."""
    row = list(range(len(other) + 1))
    for number, left in enumerate(one, 1):
        above, row[0] = row[0], number
        for place, right in enumerate(other, 1):
            above, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, above + (replace if left != right else 0))
    return row[-1]


@pytest.mark.parametrize(
    ("one", "other", "edits", "indels"),
    [
        ("", "", 0, 0),
        ("", "abc", 3, 3),
        ("kitten", "sitting", 3, 5),
        ("flaw", "lawn", 2, 2),
        ("abc", "abc", 0, 0),
        ("abc", "xyz", 3, 6),
        ("ab" * 50, "ba" * 50, 2, 2),
    ],
)
def test_distances_by_hand(one: str, other: str, edits: int, indels: int) -> None:
    assert (edit_distance(one, other), indel_distance(one, other)) == (edits, indels)


@given(st.text(alphabet="abc ", max_size=70), st.text(alphabet="abc ", max_size=70))
def test_distances_are_those_of_the_textbook_table(one: str, other: str) -> None:
    assert edit_distance(one, other) == edit_distance(other, one) == table_distance(one, other, replace=1)
    assert indel_distance(one, other) == indel_distance(other, one) == table_distance(one, other, replace=2)


def test_words_are_as_good_as_characters() -> None:
    assert edit_distance("the cat sat".split(), "the dog sat down".split()) == 2


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("hello world", 1.0),
        ("Hello   World ", 1.0),
        ("<think>bye</think> <answer>hello world</answer>", 1.0),
        (r"\boxed{hello world}", 1.0),
        ("hello", 1 - 6 / 11),
        ("hallo world", 1 - 1 / 11),
        ("hello world!", 1 - 1 / 12),
        ("xxxxxxxxxxx", 0.0),
        ("", 0.0),
        ("<think>hello world", 0.0),
        ("<answer>hello world", 0.0),
    ],
)
def test_similarity_by_hand(answer: str, value: float) -> None:
    assert text_similarity(rollout(answer)) == pytest.approx(value, abs=1e-9)


def test_the_best_of_several_golds_counts() -> None:
    given_text = rollout("colour", "color", accepted_answers=["colour"])
    assert [reward(given_text) for reward in REWARDS] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("answer", "gold", "paper", "repo"),
    [
        ("abcd", "abcd", 1.0, 1.0),
        ("abxy", "abcd", 0.0, 0.5),  # exactly the threshold
        ("abcx", "abcd", 0.75, 0.75),
        ("axyz", "abcd", 0.0, 0.0),
        ("ab  cd", "ab ce", 0.8, 1 - 1 / 6),  # the code's length has both blanks
    ],
)
def test_anls_of_paper_and_code_differ(answer: str, gold: str, paper: float, repo: float) -> None:
    presets, wrapped = PRESETS["text_similarity"], rollout(f"<answer>{answer}</answer>", gold)
    assert text_similarity(wrapped, **presets["anls_paper"]) == pytest.approx(paper, abs=1e-9)  # type: ignore[arg-type]
    assert text_similarity(wrapped, **presets["anls_repo"]) == pytest.approx(repo, abs=1e-9)  # type: ignore[arg-type]


def test_the_ratio_of_vlm_r1() -> None:
    # "kitten" and "sitting" share "ittn": 2 * 4 / 13
    preset = PRESETS["text_similarity"]["vlm_r1"]
    assert text_similarity(rollout("<answer>Sitting.</answer>", "kitten"), **preset) == pytest.approx(8 / 13, abs=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "words", "characters"),
    [
        ("the cat sat", 1.0, 1.0),
        ("the dog sat", 2 / 3, 1 - 3 / 11),
        ("the cat", 2 / 3, 1 - 4 / 11),
        ("x y z u v w q", 0.0, 0.0),  # 7 wrong words of 3, and more edits than characters, are cut at 0
        ("", 0.0, 0.0),
    ],
)
def test_error_rates_by_hand(answer: str, words: float, characters: float) -> None:
    gold = "the cat sat"
    assert transcription(rollout(answer, gold)) == pytest.approx(words, abs=1e-9)
    assert transcription(rollout(answer, gold), unit="character") == pytest.approx(characters, abs=1e-9)


def test_video_r1_reads_the_first_tag_and_minds_case() -> None:
    preset = PRESETS["transcription"]["video_r1"]
    assert transcription(rollout("<answer>hello world</answer><answer>x</answer>"), **preset) == 1.0  # type: ignore[arg-type]
    assert transcription(rollout("<answer>Hello world</answer>"), **preset) == 0.5  # type: ignore[arg-type]
    assert transcription(rollout("hello world"), **preset) == 0.0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "one", "other"),
    [
        ({}, "Caf\u00e9", "cafe\u0301"),
        ({"unicode_form": "nfkc"}, "\uff21\uff22\uff11", "ab1"),
        ({"ignore_punctuation": True}, "Hello, world!", "hello world"),
        ({"ignore_final_stops": True}, "Yes..", "yes"),
        ({"blanks": "remove"}, "a b\tc", "abc"),
    ],
)
def test_what_is_ignored_makes_texts_equal(options: dict, one: str, other: str) -> None:
    assert text_match(rollout(one, other), **options) == 1.0
    assert text_match(rollout(one, other), ignore_case=False, unicode_form="keep") == 0.0


def test_nothing_is_ignored_where_nothing_is_asked() -> None:
    strict = Normalisation(ignore_case=False, blanks="keep", unicode_form="keep")
    assert strict.apply("  A\u0301  b. ") == "  A\u0301  b. "


@given(st.text(min_size=1, max_size=60).filter(str.strip), st.text(max_size=60))
def test_rewards_are_bounded_and_full_for_equal_texts(gold: str, answer: str) -> None:
    for reward in REWARDS:
        value = reward(rollout(f"<answer>{answer}</answer>", gold))
        assert value is not None
        assert 0.0 <= value <= 1.0
        if "answer>" not in gold.lower():
            assert reward(rollout(f"<answer>{gold}</answer>", gold)) == 1.0


@pytest.mark.parametrize("reward", REWARDS)
def test_a_missing_gold_is_left_out_and_a_bad_one_is_an_error(reward: Callable[..., float | None]) -> None:
    assert reward(rollout("x", None)) is None
    assert reward(rollout("x", "B", kind="choice")) is None
    with pytest.raises(GraderError, match="empty"):
        reward(rollout("x", "  "))
    with pytest.raises(GraderError, match="max_characters"):
        reward(rollout("x", "long" * 10), max_characters=10)


@pytest.mark.parametrize("text", ["a" * 10_000_000, "<answer>" + "a b " * 2_500_000 + "</answer>", "<answer>" * 10**6, " " * 10_000_000])
def test_ten_megabytes_cost_little(text: str) -> None:
    start = time.perf_counter()
    assert [reward(rollout(text)) for reward in REWARDS] == [0.0, 0.0, 0.0]
    assert time.perf_counter() - start < 3.0


def test_two_long_texts_take_a_moment() -> None:
    start = time.perf_counter()
    assert text_similarity(rollout("ab" * 9_999, "ba" * 9_999)) == pytest.approx(1 - 2 / 19_998)
    assert time.perf_counter() - start < 5.0


def test_every_preset_fits_its_function_and_passes_its_check() -> None:
    num_presets = 0
    for name, named in PRESETS.items():
        defaults = {parameter.name: parameter.default for parameter in schema_of(getattr(texts, name)).parameters}  # type: ignore[union-attr]
        for preset in ({}, *named.values()):
            num_presets += 1
            assert set(preset) <= set(defaults)
            assert check_texts({**defaults, **preset}, None) == []
    assert num_presets == 3 + 5


@pytest.mark.parametrize(
    "arguments",
    [{"threshold": 1.0}, {"max_characters": 10**7}, {"unit": "word", "blanks": "remove"}, {"raw_lengths": True, "distance": "indel"}],
)
def test_parameters_that_do_not_fit_together_are_said(arguments: dict) -> None:
    assert len(check_texts(arguments, None)) == 1
