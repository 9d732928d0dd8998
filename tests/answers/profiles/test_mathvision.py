"""MathVision's rules: published outputs with their verdicts, and cases worked by hand from evaluation/evaluate.py."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles import find
from vlmpost.answers.profiles.mathvision import equal, mathvision, normalise
from vlmpost.answers.reference import Reference

ROWS = [json.loads(line) for line in (Path(__file__).parents[1] / "fixtures" / "mathvision.jsonl").read_text("utf-8").splitlines()]
LETTERS = ("A", "B", "C", "D", "E")

EXTRACTED = [
    ("so it is B.", "b", "letter_at_edge"),
    ("so it is (B).", "b", "letter_at_edge"),
    ("B\nbecause", "b", "letter_at_edge"),
    ("(B)\nbecause", "b", "letter_at_edge"),
    ("(B) B\nbecause", "b", "letter_at_edge"),
    ("The total is 12.", "12", "number_after_is"),
    ("12.", "12", "whole_text"),
    (r"Hence \boxed{x = \frac{1}{2} \text{km}}.", r"\frac{1}{2}", "only_box"),
    (r"\boxed{3} and then \boxed{4}", "4", "last_of_boxes"),
    ("The answer is (B) green.\nDone", "bgreen", "answer_phrase"),
    ("the answer is 4. The answer is 5. Bye", "4", "answer_phrase"),
    ("about\n", "about", "whole_text"),
    (r"\boxed{0.5}", r"\frac{1}{2}", "only_box"),
    (r"\boxed{3/4}", r"\frac{3}{4}", "only_box"),
    (r"\boxed{.75}", "0.75", "only_box"),
    (r"\boxed{\sqrt3}", r"\sqrt{3}", "only_box"),
    (r"\boxed{\frac12\sqrt3}", r"\frac{1}{2}\sqrt{3}", "only_box"),
    (r"\boxed{\frac12}", r"\frac12", "only_box"),
    (r"\boxed{60^\circ}", "60", "only_box"),
    (r"\boxed{12\%}", "12", "only_box"),
]


def test_published_verdicts_and_extractions_come_out() -> None:
    for row in ROWS:
        reference = Reference(row["gold"], "choice" if row["choices"] else "latex", tuple(row["choices"]))
        verdict = mathvision(row["response"], reference)
        assert verdict.correct == row["official_correct"], row["id"]
        assert (verdict.extracted or "") == row["official_answer"], row["id"]
    assert len(ROWS) == 239
    assert sum(row["official_correct"] for row in ROWS) == 130
    assert {row["licence"] for row in ROWS} == {"MIT"}


@pytest.mark.parametrize(("text", "answer", "rule"), EXTRACTED)
def test_the_answer_is_cut_out_by_the_fixed_steps(text: str, answer: str, rule: str) -> None:
    verdict = mathvision(text, Reference("1"))
    assert (verdict.extracted, verdict.rule) == (answer, rule)


@pytest.mark.parametrize(
    ("gold", "answer", "outcome"),
    [
        ("7", "7", "correct"),
        ("11 ", "11", "correct"),
        ("7", "7.004", "correct"),
        ("7", "7.006", "wrong"),
        ("1/60", "1/55", "correct"),
        (r"$\frac{7^3}{2^{12} 13^2}$", "0", "correct"),
        (r"$2 \sqrt{3}$", r"2\sqrt{3}", "correct"),
        ("(1,2)", "(1,2)", "correct"),
        ("(1,2)", "(2/2,2)", "wrong"),
        ("(0.5,2)", "(1/2,2)", "correct"),
        ("[1,2]", "(1,2)", "wrong"),
        ("60", "60^{o}", "wrong"),
        ("a", "b", "wrong"),
        ("7", "", "wrong"),
        ("7", "9^{9^{9^9}}", "uncertain"),
        ("x+1", "9^{9^{9^9}}", "wrong"),
    ],
)
def test_answers_are_equal_as_strings_or_to_two_decimals(gold: str, answer: str, outcome: str) -> None:
    assert equal(gold, answer) == outcome


def test_a_choice_is_right_by_letter_or_by_the_text_of_the_option() -> None:
    reference = Reference("B", "choice", (r"$\frac{1}{2}$", r"$\frac{3}{4}$", "", "1", "2"))
    assert mathvision(r"\boxed{B}", reference).correct
    assert mathvision(r"\boxed{\frac{3}{4}}", reference).correct
    assert mathvision(r"\boxed{0.75}", reference).correct
    assert not mathvision(r"\boxed{A}", reference).correct
    assert not mathvision(r"\boxed{\frac{1}{2}}", reference).correct
    assert mathvision(r"\boxed{B}", reference).normalised == "B"


def test_options_printed_in_the_figure_are_their_letters() -> None:
    assert mathvision("C", Reference("C", "choice", LETTERS)).correct
    assert not mathvision("D", Reference("C", "choice", LETTERS)).correct


def test_an_empty_option_accepts_nothing() -> None:
    reference = Reference("C", "choice", ("1", "2", "", "4", "5"))
    assert mathvision("", reference).outcome == "unparsed"
    assert mathvision(r"\boxed{}", reference).outcome == "wrong"


def test_known_oddities_are_kept() -> None:
    reference = Reference("D", "choice", ("1", "2", "3", "144", "5"))
    assert not mathvision(r"\boxed{\textbf{(D) }144}", reference).correct
    angles = Reference("B", "choice", ("30", r"$45^\circ$", "60", "75", "90"))
    assert not mathvision(r"So the answer is (B) $45^\circ$.", angles).correct


def test_the_span_marks_the_content_of_the_box() -> None:
    text = r"first \boxed{3}, no: \boxed{12}. Done"
    verdict = mathvision(text, Reference("12"))
    assert verdict.span is not None
    assert text[slice(*verdict.span)] == "12"


def test_model_text_is_never_evaluated(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    for text in (f"__import__('pathlib').Path({str(target)!r}).touch()", f"\\boxed{{open({str(target)!r},'w')}}"):
        assert not mathvision(text, Reference("1")).correct
    assert not target.exists()


@pytest.mark.parametrize(
    "text",
    ["1" * 10**6, "(" * 10**6, "\\boxed{" * 10**5, "the answer is " * 10**5, "\\frac" * 10**5, "is " * 10**6, "A\n" * 10**6, " " * 10**6],
    ids=["digits", "brackets", "boxes", "phrases", "fractions", "is", "letters", "blanks"],
)
def test_long_texts_take_time_in_proportion_to_their_length(text: str) -> None:
    started = time.process_time()
    mathvision(text, Reference(r"\frac{1}{2}"))
    assert time.process_time() - started < 2


def test_the_profile_is_found_by_name_and_says_whose_rules_it_follows() -> None:
    assert "MathVision" in find("mathvision").meaning


@given(st.integers(-(10**6), 10**6))
def test_a_whole_number_in_a_box_is_right_and_its_neighbour_is_wrong(number: int) -> None:
    assert mathvision(rf"so \boxed{{{number}}}", Reference(str(number))).correct
    assert not mathvision(rf"so \boxed{{{number + 1}}}", Reference(str(number))).correct


@given(st.text(max_size=200))
def test_any_text_gives_a_verdict_with_a_span_inside_it(text: str) -> None:
    verdict = mathvision(text, Reference("B", "choice", ("1", "x", "3", "4", "5")))
    if verdict.span is not None:
        assert 0 <= verdict.span[0] <= verdict.span[1] <= len(text)


@given(st.text(alphabet="ab=$\\{}1.frac ", max_size=60))
def test_the_normal_form_has_no_blanks_or_dollar_signs(text: str) -> None:
    assert " " not in normalise(text)
    assert "$" not in normalise(text)
