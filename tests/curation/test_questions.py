from __future__ import annotations

import pytest

from vlmpost.curation import questions
from vlmpost.curation.ledger import Fate
from vlmpost.curation.pass_rates import PassRate
from vlmpost.curation.questions import Refusal
from vlmpost.records import IMAGE, Example, ImageRef, Message

PICTURE = ImageRef(data=b"png")


def example(answer: str | None = "2", *, id: str = "q") -> Example:
    return Example(id, "task", (Message("user", ("How many?",)),), answer=answer, answer_type="number")


def test_a_question_without_a_reference_answer_is_refused_where_one_is_needed() -> None:
    assert questions.can_be_judged(needed=True)(example(None)) == Refusal("no reference answer")
    assert questions.can_be_judged(needed=False)(example(None)) is None
    assert questions.can_be_judged(needed=True)(example()) is None


def test_a_reference_answer_that_no_judge_can_use_is_refused_with_the_fault() -> None:
    refusal = questions.can_be_judged(needed=False)(example("several"))
    assert refusal is not None
    assert refusal.reason == "reference answer cannot be judged"
    assert "not a number" in refusal.detail


@pytest.mark.parametrize(
    ("num_right", "num_tried", "limit", "is_asked"),
    [(0, 8, 0.0, True), (1, 8, 0.0, False), (3, 10, 0.3, True), (3, 9, 0.3, False), (1, 3, 0.3333, False), (8, 8, 1.0, True)],
)
def test_pass_rates_are_compared_exactly(num_right: int, num_tried: int, limit: float, is_asked: bool) -> None:
    refusal = questions.is_hard({"q": PassRate("q", num_right, num_tried)}, max_pass_rate=limit)(example())
    assert (refusal is None) == is_asked


def test_a_question_without_a_pass_rate_is_not_asked() -> None:
    assert questions.is_hard({}, max_pass_rate=1.0)(example()) == Refusal("pass rate not known")


def test_a_question_of_an_evaluation_set_is_refused_with_what_was_found() -> None:
    assert questions.is_clean(lambda one: f"13 words of {one.id}")(example()) == Refusal("in an evaluation set", "13 words of q")
    assert questions.is_clean(lambda one: None)(example()) is None


def test_the_first_rule_that_refuses_speaks() -> None:
    rules = [questions.can_be_judged(needed=True), questions.has_image]
    assert questions.first_refusal(example(None), rules) == Refusal("no reference answer")
    assert questions.first_refusal(example(), rules) == Refusal("has no image")
    assert questions.first_refusal(example(), rules[:1]) is None


def test_without_images_the_words_stay_as_they_are() -> None:
    turns = (Message("system", ("Look.",)), Message("user", (IMAGE, "What is ", IMAGE, "?")))
    shown = Example("q", "task", turns, images=(PICTURE, PICTURE), answer="2", meta={"row": "1"})
    blind = questions.without_images(shown)
    assert blind.prompt == (Message("system", ("Look.",)), Message("user", ("What is ", "?")))
    assert (blind.images, blind.id, blind.answer, blind.meta) == ((), "q", "2", {"row": "1"})


@pytest.mark.parametrize(
    ("fates", "expected"),
    [
        ([questions.NOT_RIGHT, questions.NOT_RIGHT], None),
        ([questions.NOT_RIGHT, questions.RIGHT], Fate("dropped", "answered right without its images")),
        ([Fate("failed", "timeout"), questions.RIGHT], Fate("dropped", "answered right without its images")),
        ([Fate("failed", "timeout"), questions.NOT_RIGHT], Fate("failed", "the check without images failed")),
        ([Fate("dropped", "too long"), questions.NOT_RIGHT], Fate("dropped", "the check without images failed")),
    ],
)
def test_one_right_answer_without_images_stops_a_question(fates: list[Fate], expected: Fate | None) -> None:
    assert questions.stopped_by(fates) == expected
