"""What an example's meta says about its reference answer."""

from __future__ import annotations

import pytest

from vlmpost.answers import reference_of
from vlmpost.errors import GraderError
from vlmpost.records import Example, Message


def example(**meta: object) -> Example:
    return Example("q", "t", (Message("user", ("How many?",)),), answer="7", answer_type="number", meta=meta)


def test_meta_says_what_a_rule_may_know() -> None:
    read = reference_of(example(accepted_answers=["7", "seven"], kind="float", precision=2.0, unit="cm", dataset_name="HME100k"))
    assert (read.answers, read.kind, read.precision, read.unit, read.dataset, read.id) == (("7", "seven"), "float", 2, "cm", "HME100k", "q")


def test_the_question_for_scoring_comes_before_the_one_that_was_asked() -> None:
    assert reference_of(example()).question == "How many?"
    assert reference_of(example(question="Which?")).question == "Which?"
    assert reference_of(example(question="", question_for_eval="Which? A: 1 B: 2")).question == "Which? A: 1 B: 2"


@pytest.mark.parametrize("meta", [{"precision": "two"}, {"precision": -1}, {"accepted_answers": "7"}, {"unit": ["cm"]}])
def test_a_key_of_a_wrong_type_is_an_error_that_names_it(meta: dict[str, object]) -> None:
    with pytest.raises(GraderError, match=f"meta.{next(iter(meta))}"):
        reference_of(example(**meta))


def test_an_example_without_an_answer_has_no_reference() -> None:
    with pytest.raises(GraderError, match="no reference answer"):
        reference_of(Example("q", "t", ()))
