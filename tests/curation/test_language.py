"""Which language an answer is in, and when that cannot be told."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.curation import language
from vlmpost.curation.language import LANGUAGES, written_in
from vlmpost.rewards.language import Script

SENTENCES: dict[str, str] = json.loads((Path(__file__).parent / "sentences.json").read_text(encoding="utf-8"))
"""What is said of the area of a square in each language."""
ALIKE = {frozenset({"da", "no"})}
"""Written so much alike that a sentence may be in both."""


def test_each_language_knows_its_own_sentence_and_no_other() -> None:
    wrong = [
        (wanted, written)
        for wanted in SENTENCES
        for written, text in SENTENCES.items()
        if written_in(text, wanted) is not (wanted == written) and frozenset({wanted, written}) not in ALIKE
    ]
    assert wrong == []
    assert len(SENTENCES) == 31


def test_scripts_of_languages_are_known_scripts() -> None:
    known = {*get_args(Script), "kana"} - {"japanese"}
    assert {script for scripts in LANGUAGES.values() for script in scripts} <= known
    assert len(LANGUAGES) == 47


def test_words_of_every_language_that_shares_a_script_are_stored() -> None:
    stored = language._function_words()
    assert {script: tuple(sorted(codes)) for script, codes in stored.items()} == dict(language._SHARED)
    assert min(len(words) for codes in stored.values() for words in codes.values()) >= 14


@pytest.mark.parametrize(
    "text", ["", "42", r"$x^2 + y^2 = z^2$", "```python\nfor the in and: of\n```", "A", "x = 3, y = 4", "Paris", "<think></think>"]
)
def test_what_has_no_telling_words_is_undecided(text: str) -> None:
    assert written_in(text, "en") is None


def test_formulas_code_and_tags_do_not_count() -> None:
    text = "<think>We see that\n```\nder die das und ist nicht\n```\n</think> The answer is $\\text{ist nicht der die das und}$ \\boxed{4}."
    assert written_in(text, "en") is True
    assert written_in(text, "de") is False


def test_names_of_points_are_no_words() -> None:
    # Without the rule, 22 words and none of English.
    assert written_in(" ".join(["AB", "BC"] * 11), "en") is None


def test_enough_words_without_a_common_one_are_another_language() -> None:
    swahili = "eneo mraba hupatikana kwa kuzidisha urefu wa upande mmoja kwa upande mwingine hivyo jibu letu hapa linakuwa kubwa kuliko nne"
    assert len(swahili.split()) == language.ENOUGH_WORDS
    assert written_in(swahili, "en") is False
    assert written_in(swahili.removeprefix("eneo "), "en") is None


def test_an_answer_that_changes_its_script_on_the_way_is_in_neither() -> None:
    # 16 English words and 19 characters: neither has nine in ten.
    text = SENTENCES["en"] + SENTENCES["zh"]
    assert written_in(text, "en") is False
    assert written_in(text, "zh") is False


def test_a_few_foreign_names_do_no_harm() -> None:
    # 32 English words, 2 characters: 2 of 34 are fewer than one in ten.
    assert written_in(f"{SENTENCES['en']} {SENTENCES['en']} \u5317\u4eac", "en") is True


@given(st.text(), st.sampled_from(sorted(LANGUAGES)))
def test_any_text_has_a_verdict(text: str, wanted: str) -> None:
    assert written_in(text, wanted) in (True, False, None)


def test_ten_megabytes_take_seconds() -> None:
    start = time.perf_counter()
    written_in("The $ answer ` is \\( four. " * 100_000, "en")
    assert time.perf_counter() - start < 20
