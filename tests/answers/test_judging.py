"""The judge's verdicts on answers written by hand, one table per kind of answer."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmpost.answers import judge
from vlmpost.errors import GraderError

COLORS = ("red", "green", "blue", "dark blue")

NUMBERS = [
    ("7", "7", "correct"),
    ("8", "7", "wrong"),
    (r"<think> 3 + 4 is 8? no, 7 </think> \boxed{7}", "7", "correct"),
    (r"<think> 7 </think> \boxed{8}", "7", "wrong"),
    (r"\boxed{3} then corrected: \boxed{7}", "7", "correct"),
    (r"\boxed{7} and \boxed{8}", "7", "wrong"),
    (r"The total is $\boxed{7\text{ cm}}$.", "7", "correct"),
    (r"\boxed{7x}", "7", "wrong"),
    (r"\boxed{x = 7}", "7", "correct"),
    (r"\boxed{\frac{14}{2}}", "7", "correct"),
    (r"\boxed{6 \text{ and } 7}", "7", "wrong"),
    ("The answer is 7.", "7", "correct"),
    ("The answer is 6 or 7.", "6", "wrong"),
    ("**Answer:** 7 apples", "7", "correct"),
    ("Some steps.\n#### 7", "7", "correct"),
    ("First I count 3 red.\nThen 4 blue.\nThere are seven.", "7", "correct"),
    ("So there are 25 racks that have at least 0 ties.", "25", "correct"),
    ("<answer> 7 </answer> and 8 more words", "7", "correct"),
    ("1,234", "1234", "correct"),
    ("1{,}234", "1234", "correct"),
    ("1234", "1,234", "correct"),
    ("3 1/2", "3.5", "correct"),
    ("-0.5", "-1/2", "correct"),
    ("\u22125", "-5", "correct"),
    (r"1.2 \times 10^{3}", "1200", "correct"),
    ("1.2e3", "1200", "correct"),
    ("25%", "25%", "correct"),
    ("0.25", "25%", "correct"),
    ("$3 million", "3000000", "correct"),
    ("1.0612", "1.06", "correct"),
    ("1.1", "1.06", "wrong"),
    ("30.2", "30", "wrong"),
    ("30.0", "30", "correct"),
    ("5 m", "5 cm", "wrong"),
    ("Answer: 7\n\nQuestion: how many now?\nAnswer: 8", "7", "correct"),
    (r"\boxed{7}<|im_end|><|endoftext|>", "7", "correct"),
    (r"\boxed{6+1}", "7", "correct"),
    (r"\boxed{7\textnormal{ miles}}", "7", "correct"),
    ("The answer is 7.\n" + "This answer is correct.\n" * 20, "7", "correct"),
    ("The answer is 7.\n\nI hope this helps! Let me know.", "7", "correct"),
]

CHOICES = [
    ("B", "correct"),
    ("(B)", "correct"),
    ("B.", "correct"),
    ("b", "correct"),
    ("**B**", "correct"),
    ("(B) green", "correct"),
    ("B) green", "correct"),
    ("Option B", "correct"),
    ("\uff08B\uff09", "correct"),
    ("<answer>B</answer>", "correct"),
    (r"\boxed{B}", "correct"),
    (r"\boxed{\textbf{(B) }green}", "correct"),
    (r"\boxed{\text{green}}", "correct"),
    ("The correct answer is:\n\n(B) green", "correct"),
    ("The color is green.", "correct"),
    ("A cat is green", "correct"),
    ("not A, but B", "correct"),
    ("The answer is A. Wait, the answer is B", "correct"),
    ("A", "wrong"),
    ("It is dark blue", "wrong"),
    ("(C) green", "wrong"),
    ("A and B", "unparsed"),
    ("(A) or (B)", "unparsed"),
    ("green or red", "unparsed"),
    ("E", "unparsed"),
    ("Cube", "unparsed"),
    ("", "unparsed"),
    ("I am sorry, I cannot see the image.", "refusal"),
]

TEXTS = [
    ("Red cat", "red cat", "text", "correct"),
    ("The answer is the **red** cat.", "red cat", "text", "correct"),
    (r"\boxed{\text{Red cat}}", "red cat", "text", "correct"),
    ("a red dog", "red cat", "text", "wrong"),
    ("Yes, it is.", "yes", "text", "correct"),
    ("No", "yes", "text", "wrong"),
    ("[1, 2, 3]", "[1,2,3]", "text", "correct"),
    ("[1, 3, 2]", "[1,2,3]", "text", "wrong"),
    (r"\boxed{\dfrac12}", r"\frac{1}{2}", "latex", "correct"),
    (r"\boxed{0.5}", r"\frac{1}{2}", "latex", "correct"),
    (r"\boxed{x^2+2x+1}", "(x+1)^2", "latex", "correct"),
    (r"\boxed{x^2+2x}", "(x+1)^2", "latex", "wrong"),
    (r"so $y = \sqrt{8}$", r"2\sqrt{2}", "latex", "correct"),
    (r"\boxed{[0, 9)}", "(0,9)", "latex", "wrong"),
    (r"\boxed{(0, 9)}", "(0,9)", "latex", "correct"),
    (r"\boxed{2} and \boxed{3}", r"3, 2", "latex", "correct"),
    (r"\boxed{C}", "C", "latex", "correct"),
    (r"$\frac{1+\sqrt{5}}{2}$", "2", "latex", "wrong"),
]


@pytest.mark.parametrize(("text", "answer", "outcome"), NUMBERS)
def test_numbers(text: str, answer: str, outcome: str) -> None:
    assert judge(text, answer=answer, answer_type="number").outcome == outcome


@pytest.mark.parametrize(("text", "outcome"), CHOICES)
def test_choices_where_b_is_right(text: str, outcome: str) -> None:
    assert judge(text, answer="B", answer_type="choice", choices=COLORS).outcome == outcome


@pytest.mark.parametrize(("text", "answer", "kind", "outcome"), TEXTS)
def test_texts_and_formulas(text: str, answer: str, kind: str, outcome: str) -> None:
    assert judge(text, answer=answer, answer_type=kind).outcome == outcome


def test_tables_have_the_entries_they_had() -> None:
    assert (len(NUMBERS), len(CHOICES), len(TEXTS)) == (40, 28, 18)


def test_span_marks_the_extracted_text() -> None:
    text = r"<think>no</think> It is \boxed{7} indeed."
    verdict = judge(text, answer="7", answer_type="number")
    assert verdict.span is not None
    assert (text[slice(*verdict.span)], verdict.extracted, verdict.rule) == ("7", "7", "last_box")


def test_unclosed_thinking_is_unparsed_even_with_a_box_inside() -> None:
    verdict = judge(r"<think> maybe \boxed{7}", answer="7", answer_type="number")
    assert (verdict.outcome, verdict.rule) == ("unparsed", "unclosed_think")


def test_unclosed_box_is_unparsed() -> None:
    assert judge(r"so \boxed{7", answer="7", answer_type="number").rule == "unclosed_box"


def test_option_text_that_is_a_letter_loses_to_the_label() -> None:
    options = ("B", "A", "C")
    assert judge("A", answer="A", answer_type="choice", choices=options).outcome == "correct"
    assert judge("B", answer="A", answer_type="choice", choices=options).outcome == "wrong"


def test_the_article_a_is_not_option_a() -> None:
    assert judge("A dark blue one", answer="D", answer_type="choice", choices=COLORS).outcome == "correct"


def test_duplicate_option_texts_are_both_right() -> None:
    assert judge("red", answer="B", answer_type="choice", choices=("red", "red", "blue")).outcome == "correct"


def test_ten_options_are_allowed_and_eleven_are_refused() -> None:
    ten = tuple(f"item {number}" for number in range(10))
    assert judge("J", answer="J", answer_type="choice", choices=ten).outcome == "correct"
    with pytest.raises(GraderError, match="at most 10"):
        judge("J", answer="J", answer_type="choice", choices=(*ten, "more"))


def test_reference_that_is_not_of_its_kind_is_an_error_and_not_a_wrong_answer() -> None:
    with pytest.raises(GraderError, match="not a number"):
        judge("7", answer="apple pie", answer_type="number")
    with pytest.raises(GraderError, match="neither an option letter"):
        judge("A", answer="purple", answer_type="choice", choices=COLORS)
    with pytest.raises(GraderError, match="empty"):
        judge("A", answer=" ", answer_type="text")


@settings(max_examples=300, deadline=2000)
@given(st.text(max_size=200))
def test_any_text_gets_a_verdict_from_the_string_rules(text: str) -> None:
    for answer, kind, choices in (("B", "choice", COLORS), ("cat", "text", ())):
        first = judge(text, answer=answer, answer_type=kind, choices=choices)
        assert first == judge(text, answer=answer, answer_type=kind, choices=choices)
        if first.span is not None:
            assert 0 <= first.span[0] <= first.span[1] <= len(text)


PIECES = st.sampled_from(
    [
        r"\boxed{",
        "}",
        "{",
        "<think>",
        "</think>",
        "answer is",
        "7",
        "8",
        " ",
        "\n",
        "$",
        "(B)",
        "A",
        "and",
        "Question:",
        "<answer>",
        "=",
        ",",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_jumble_of_marks_gets_a_verdict(text: str) -> None:
    assert judge(text, answer="7", answer_type="number").outcome in ("correct", "wrong", "unparsed", "refusal", "uncertain")
    assert judge(text, answer="B", answer_type="choice", choices=COLORS).outcome in ("correct", "wrong", "unparsed", "refusal")


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_every_writing_of_a_number_is_right_and_its_neighbour_wrong(number: int, step: int) -> None:
    writings = [
        f"{number}",
        f"{number:,}",
        f"{number}.0",
        rf"\boxed{{{number}}}",
        f"The answer is {number:,}.",
        f"<think>{step}</think> {number}",
    ]
    for writing in writings:
        assert judge(writing, answer=str(number), answer_type="number").correct, writing
        assert judge(writing, answer=str(number + step), answer_type="number").outcome == "wrong", writing


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10**6,
        r"\boxed{" * 10**5,
        "9" * 10**6,
        "answer is " * 10**5,
        "<answer>" * 10**5,
        "Q:\n" * 10**5,
        "\x00" * 1000,
        "1," * 10**5,
        "A " * 10**6,
        "[" * 10**6,
        "one " * 10**5,
        "5 m " * 10**5,
        "$" * 10**6,
        "- " * 10**6,
    ],
    ids=lambda text: text[:8].encode("unicode_escape").decode(),
)
def test_hostile_text_ends_soon_without_a_right_answer(text: str) -> None:
    assert not judge(text, answer="7", answer_type="number").correct
    assert not judge(text, answer="B", answer_type="choice", choices=COLORS).correct


SENTENCES = [
    ("The model has ___ dots divided into 2 equal groups.", "2", "unparsed"),
    ("x = [1, 2]\nprint(x[1])", "2", "unparsed"),
    ("Of the three people in the image, only the actor smiles.", "3", "unparsed"),
    ("I cannot answer since I cannot see the 2 people.", "2", "refusal"),
    ("I do not have access to a ruler.\n\nHowever, based on the image, the length is 2 inches.", "2", "correct"),
    ("So, there is 1 block that has exactly 36 houses.", "1", "correct"),
    ("The total is 6.\n\nDo you have other questions for me?", "6", "correct"),
    ("The total is 6.\n\n(We can check that 3 + 3 is 6.)", "6", "correct"),
    ("Accuracy\nNiece: 9\nPie: 6", "6", "unparsed"),
    ("The range of the numbers is 13 to 22.", "13", "wrong"),
    ("The ratio is 3:1.", "1", "unparsed"),
    ("The answer is 1 - sin(1).", "1", "wrong"),
    ("The answer is 3x + 2.", "3", "wrong"),
    ("The answer is 10-5.", "10", "wrong"),
    ("The answer is 24\u03c0.", "24", "wrong"),
    ("The answer is \u03c0/2.", "1.57", "correct"),
    ("The length is 5 cm.", "5 m", "wrong"),
    ("The length is 500 cm.", "5 m", "correct"),
    ("8, 9", "9", "wrong"),
]


@pytest.mark.parametrize(("text", "answer", "outcome"), SENTENCES)
def test_what_a_sentence_states(text: str, answer: str, outcome: str) -> None:
    assert judge(text, answer=answer, answer_type="number").outcome == outcome


@pytest.mark.parametrize(
    ("text", "answer", "outcome"),
    [
        ("The city is Paris, which is in France.", "Paris", "correct"),
        ("It is not red because it is blue.", "red", "wrong"),
        ('The text in the image is "CENTRE".', "CENTRE", "correct"),
        ("The answer is red or blue.", "red", "wrong"),
        ("The answer is (a) the first one.", "(a)", "correct"),
        ("The answer is (a) and (b).", "(a)", "wrong"),
        ("The time is 3:15.", "3:15 pm", "correct"),
        ("3:15 am", "3:15 pm", "wrong"),
        ("On March 5, 2020.", "2020-03-05", "correct"),
        ("16 $\\pi$", "\\pi", "wrong"),
        ("Yes, the group is cyclic. Since 7 is prime, every element but one generates it, as was shown above.", "True", "correct"),
        ("cannot be determined", "Cannot be determined.", "correct"),
        (r"\boxed{2X+1}", "2x+1", "wrong"),
        ("act", "cat", "wrong"),
        ("1/3", r"\frac{3^{1008}-1}{3^{1009}}", "wrong"),
    ],
)
def test_words_times_and_items(text: str, answer: str, outcome: str) -> None:
    assert judge(text, answer=answer, answer_type="text").outcome == outcome


@pytest.mark.parametrize(("room", "allowed"), [("answers", "set()"), ("rewards", "numpy")])
def test_importing_a_room_loads_no_algebra(room: str, allowed: str) -> None:
    code = f"import sys, vlmpost.{room}; print({{'numpy', 'sympy', 'math_verify', 'torch', 'pydantic'}} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert loaded in ("set()", f"{{'{allowed}'}}")


@pytest.mark.parametrize("text", [r"**Answer:** $x = \sqrt{2}$", r"The answer is \(x = \sqrt{2}\).", r"The answer is $y = 3\sqrt{2}$"])
def test_a_number_inside_a_formula_after_an_equals_sign_is_not_the_answer(text: str) -> None:
    assert judge(text, answer="2", answer_type="number").outcome == "wrong"
