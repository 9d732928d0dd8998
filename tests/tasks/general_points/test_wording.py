"""Prompts say the cards, the rule, the target and the form of the reply."""

from __future__ import annotations

import pytest

from vlmpost.rewards.general_points import Hand
from vlmpost.tasks.general_points.hands import RANK, TEN
from vlmpost.tasks.general_points.wording import VARIED, Question, compact, paper

LABELS, VALUES = ("4", "3", "2", "K"), (4, 3, 2, 10)


def test_paper_has_the_sections_of_the_study_in_its_order() -> None:
    text = paper(Question(Hand(LABELS, VALUES, 24), TEN))
    places = [
        text.index(heading)
        for heading in ("[Task Description]", "[Input]\nCards: ['4', '3', '2', 'K']", "[Output]", '"cards"', '"number"', '"formula"')
    ]
    assert places == sorted(places)
    assert text.count("'J', 'Q' and 'K' count as 10") == 2  # the rule, and once more in the form of the reply
    picture = paper(Question(Hand(LABELS, VALUES, 24, mode="vision"), RANK))
    assert "[Input]" not in picture and "image" in picture and "valid JSON" in picture
    assert "count as 11, 12 and 13" in picture


@pytest.mark.parametrize("wording", [*VARIED, compact])
@pytest.mark.parametrize("mode", ["text", "vision"])
@pytest.mark.parametrize("style", ["json", "formula"])
def test_every_wording_says_what_matters(wording, mode: str, style: str) -> None:  # type: ignore[no-untyped-def]
    text = wording(Question(Hand(("7", "9", "5", "K"), (7, 9, 5, 13), 36, mode=mode, reply_style=style), (11, 12, 14)))
    assert "36" in text and all(number in text for number in ("11", "12", "14"))
    assert ("7" in text and "9" in text) == (mode == "text")
    assert ("json" in text.lower() or "{" in text) == (style == "json")


def test_wordings_differ() -> None:
    question = Question(Hand(LABELS, VALUES, 24), TEN)
    assert len({wording(question) for wording in VARIED}) == len(VARIED) >= 5


def test_compact_is_one_short_line() -> None:
    assert compact(Question(Hand(LABELS, VALUES, 24, reply_style="formula"), TEN)) == "Cards: 4 3 2 K. J Q K = 10. Make 24."
    assert compact(Question(Hand(LABELS, VALUES, 24, mode="vision", reply_style="formula"), RANK)) == "J Q K = 11 12 13. Make 24."
