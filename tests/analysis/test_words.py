"""Reasoning words: what counts as one, and the three ways to divide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.analysis import words
from vlmpost.errors import ConfigError

TEXTS = [
    "Wait, let me check. Check again: *wait*!",  # wait 2, check 2
    "However, I made a mistake; the alternative is 4. However",  # however 2, mistake 1, alternative 1
    "The answer is 4.",
]


def test_the_lists_are_those_of_the_papers() -> None:
    assert words.SYNERGY_WORDS == ("wait", "check", "mistake", "alternative", "however")
    assert words.DEMYSTIFY_WORDS == ("wait", "recheck", "alternatively", "retry", "however")
    assert sorted(words.WORD_LISTS) == ["demystify", "demystify_branches", "synergy"]
    assert [len(family) for family in words.PIVOTAL_WORDS.values()] == [3, 3, 3, 3]


def test_totals_are_counted_over_all_texts_in_the_order_of_the_list() -> None:
    found = words.count_words(iter(TEXTS))
    assert list(found.items()) == [("wait", 2), ("check", 2), ("mistake", 1), ("alternative", 1), ("however", 2)]


@pytest.mark.parametrize("text", ["waiting await waits", "w a i t", "wait1", "\u0301".join("wait")])
def test_part_of_a_word_is_no_word(text: str) -> None:
    assert words.count_words([text], words=("wait",)) == {"wait": 0}


@pytest.mark.parametrize(
    "text", ["WAIT", "(wait)", "wait...", "no,wait,no", "**Wait**", "_wait_", "wait\u2014no", "\uff37\uff41\uff49\uff54", "wait's"]
)
def test_case_width_and_punctuation_do_not_hide_a_word(text: str) -> None:
    assert words.count_words([text], words=("wait",)) == {"wait": 1}


def test_a_word_with_its_comma_counts_only_before_one() -> None:
    text = "Alternatively, use 3. Alternatively use 4. Or, alternatively , 5."
    assert words.count_words([text], words=("alternatively", "alternatively,")) == {"alternatively": 3, "alternatively,": 1}


def test_rates_divide_by_answers_and_by_tokens() -> None:
    assert words.per_answer(TEXTS, words=("wait", "mistake")) == {"wait": 2 / 3, "mistake": 1 / 3}
    # 2 in 40 tokens are 50 in a thousand.
    assert words.per_thousand_tokens(TEXTS, num_tokens=40, words=("wait",)) == {"wait": 50.0}


def test_a_keyword_rate_counts_each_answer_once() -> None:
    assert words.share_with(TEXTS, words=("wait", "however", "retry")) == {"wait": 1 / 3, "however": 1 / 3, "retry": 0.0}


def test_no_answers_have_no_rate() -> None:
    assert words.count_words([], words=("wait",)) == {"wait": 0}
    assert words.per_answer([]) is None
    assert words.per_thousand_tokens([], num_tokens=0) is None
    assert words.share_with([]) is None


@pytest.mark.parametrize("word", ["hold on", "", ",", "a,b"])
def test_what_is_no_single_word_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="single words"):
        words.count_words(TEXTS, words=(word,))


@given(st.lists(st.text()))
def test_any_texts_can_be_counted_and_add_up(texts: list[str]) -> None:
    together = words.count_words(texts)
    apart = [words.count_words([text]) for text in texts]
    assert together == {word: sum(counts[word] for counts in apart) for word in words.SYNERGY_WORDS}


@given(st.text(alphabet="wait ,.\n"), st.integers(0, 5))
def test_words_added_apart_are_counted_besides(text: str, number: int) -> None:
    before = words.count_words([text], words=("wait",))["wait"]
    assert words.count_words([text + " wait." * number], words=("wait",)) == {"wait": before + number}
