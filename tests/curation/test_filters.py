"""Why answers are dropped: one reason each, in a fixed order, and nothing dropped for the sake of what is dropped."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.config.curate import FiltersConfig
from vlmpost.curation import filters
from vlmpost.curation.filters import check, dropped, normalised
from vlmpost.curation.records import Answer, Candidate
from vlmpost.errors import ConfigError
from vlmpost.records import Example, Message, Outcome, StopReason, Verdict

QUESTION = Example("q1", "sums", (Message("user", ("What is 2 + 2?",)),), answer="4")


def candidate(
    text: str, sample: int = 0, *, outcome: Outcome | None = "correct", stop_reason: StopReason = "stop", num_tokens: int | None = 5
) -> Candidate:
    verdict = None if outcome is None else Verdict(outcome, "4", "last_box")
    return Candidate(QUESTION, sample, Answer(text, num_tokens, stop_reason, "teacher"), verdict, index=0)


def words_or_tokens(answer: Answer) -> int:
    return len(answer.text.split()) if answer.num_tokens is None else answer.num_tokens


def reasons(candidates: Sequence[Candidate], **settings: object) -> dict[int, str]:
    return dropped(candidates, FiltersConfig(**settings), num_tokens=words_or_tokens)


def test_each_fault_has_its_reason() -> None:
    candidates = [
        candidate("right", 0),
        candidate("cut", 1, stop_reason="length"),
        candidate("five", 2, outcome="wrong"),
        candidate("hm", 3, outcome="unparsed"),
        candidate("no", 4, outcome="refusal"),
        candidate("maybe", 5, outcome="uncertain"),
        candidate("4", 6, outcome=None),
        candidate("RIGHT ", 7),
    ]
    assert reasons(candidates) == {
        1: "truncated",
        2: "wrong",
        3: "unparsed",
        4: "refusal",
        5: "uncertain",
        6: "no reference answer",
        7: "duplicate",
    }


def test_an_answer_of_blanks_is_never_kept() -> None:
    candidates = [candidate("", 0), candidate(" \n\u2028", 1), candidate(".", 2)]
    assert reasons(candidates, correct=False, duplicates="keep") == {0: "empty", 1: "empty"}


def test_the_first_reason_of_the_order_is_given() -> None:
    faults = {"outcome": "wrong", "stop_reason": "length", "num_tokens": 1}
    settings = {"min_tokens": 2, "language": "de", "pattern": "boxed"}
    english = "The answer is that of the question"
    assert reasons([candidate(english, **faults)], **settings) == {0: "truncated"}
    assert reasons([candidate(english, **faults)], **settings, truncated=False) == {0: "wrong"}
    assert reasons([candidate(english, **faults)], **settings, truncated=False, correct=False) == {0: "too short"}
    assert reasons([candidate(english)], **settings) == {0: "other language"}
    assert reasons([candidate("Die Antwort ist nicht das")], **settings) == {0: "pattern not found"}


def test_limits_of_length_are_inclusive() -> None:
    candidates = [candidate(str(number), number, num_tokens=number) for number in range(1, 6)]
    assert reasons(candidates, min_tokens=2, max_tokens=4) == {1: "too short", 5: "too long"}


def test_an_answer_whose_tokens_are_not_told_is_measured_as_the_caller_says() -> None:
    answer = candidate("one two three", num_tokens=None)
    assert reasons([answer], max_tokens=3) == {}
    assert reasons([answer], max_tokens=2) == {0: "too long"}


def test_equal_answers_keep_the_first_sample_whatever_their_order() -> None:
    candidates = [candidate("Four", 2), candidate("four\n", 0), candidate("four", 1), candidate("\uff46our", 3)]
    assert reasons(candidates) == {1: "duplicate", 2: "duplicate", 3: "duplicate"}
    assert reasons(candidates, duplicates="exact") == {}
    assert reasons([*candidates, candidate("four", 4)], duplicates="exact") == {4: "duplicate"}
    assert reasons([*candidates, candidate("four", 4)], duplicates="keep") == {}


def test_an_answer_is_no_duplicate_of_one_that_was_dropped() -> None:
    # The first is cut, the second lacks the pattern but for its case: only the third is good, and it stays.
    candidates = [candidate("It is Four", 0, stop_reason="length"), candidate("it is four", 1), candidate("It is Four", 2)]
    assert reasons(candidates, pattern="Four") == {0: "truncated", 1: "pattern not found"}


def test_formulas_do_not_decide_the_language_and_short_answers_stay() -> None:
    assert reasons([candidate(r"$\text{die der das und ist nicht}$ \boxed{4}")], language="en") == {}
    assert reasons([candidate("\u7b54\u6848\u662f\u56db")], language="en") == {0: "other language"}


def test_a_pattern_that_backtracks_for_ever_costs_the_answer_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "PATTERN_SECONDS", 0.1)
    start = time.perf_counter()
    found = reasons([candidate("a" * 5000 + "!", 0), candidate("aaa", 1)], pattern=r"^(a|aa)+$")
    assert found == {0: "pattern timed out"}
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pattern": "(unclosed"}, "no regular expression"),
        ({"pattern": "*"}, "no regular expression"),
        ({"language": "tlh"}, "Known: am, ar"),
        ({"min_tokens": 9, "max_tokens": 8}, "no answer would be kept"),
    ],
)
def test_filters_that_cannot_be_meant_are_refused_before_anything_runs(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check(FiltersConfig(**settings))


def test_all_faults_are_told_at_once_and_good_filters_pass() -> None:
    with pytest.raises(ConfigError) as caught:
        check(FiltersConfig(pattern="[", language="xx", min_tokens=2, max_tokens=1))
    assert len(str(caught.value).splitlines()) == 3
    check(FiltersConfig())
    check(FiltersConfig(pattern=r"\\boxed\{", language="en", min_tokens=2, max_tokens=2))


@given(st.text())
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once


@given(st.text())
def test_blanks_and_width_do_not_change_what_is_normalised(text: str) -> None:
    assert normalised(f" {text}\u3000\n") == normalised(text)
    assert normalised(unicodedata.normalize("NFD", text)) == normalised(text)


@given(st.lists(st.text(max_size=20).filter(str.strip), max_size=6), st.sampled_from(["exact", "normalised", "keep"]))
def test_what_stays_differs_and_everything_else_is_like_something_that_stays(texts: list[str], duplicates: str) -> None:
    found = reasons([candidate(text, sample) for sample, text in enumerate(texts)], duplicates=duplicates)
    form = normalised if duplicates == "normalised" else str
    kept = [form(text) for sample, text in enumerate(texts) if sample not in found]
    if duplicates == "keep":
        assert found == {}
    else:
        assert len(set(kept)) == len(kept)
        assert set(kept) == {form(text) for text in texts}
