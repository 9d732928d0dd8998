"""Math-Verify's rules: cases of its own test suite, and what the profile adds around the library."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmpost.answers import symbolic
from vlmpost.answers.child.arithmetic import UnreadableError, read
from vlmpost.answers.child.math_verify import math_verify_text, unevaluated
from vlmpost.answers.profiles.math_verify import MAX_WINDOW, math_verify
from vlmpost.answers.reference import Reference
from vlmpost.errors import GraderError

ROWS = [json.loads(line) for line in (Path(__file__).parents[1] / "fixtures" / "math_verify.jsonl").read_text("utf-8").splitlines()]
NOT_STATED_IN_A_REFERENCE = {
    "math_verify-01781": "the test extracts LaTeX only",
    "math_verify-01782": "the test extracts LaTeX only",
    "math_verify-01932": "the test compares sets with relations",
}

JUDGED = [
    (r"\frac{1}{2}", r"so \boxed{0.5}", "correct"),
    (r"$\frac{1}{3}$", "$0.333333$", "correct"),
    (r"\frac{1}{3}", "$0.3333$", "wrong"),
    ("1000", "1 000", "correct"),
    ("9", "It is (4+5), as wanted", "correct"),
    ("x+1", "$1+x$", "correct"),
    ("(1,2)", "$(1, 2)$", "correct"),
    ("[1,2]", r"\boxed{(1,2)}", "wrong"),
    ("{1,2}", r"$\boxed{1}$ and $\boxed{2}$", "correct"),
    ("42", r"I get box $\boxed{41}$, but checking gives box $\boxed{42}$", "wrong or correct"),
    ("A", r"\boxed{A}", "correct"),
    ("A", r"\boxed{B}", "wrong"),
    ("9", "9%", "correct"),
    ("4", "no number at all", "unparsed"),
    ("4", "", "unparsed"),
]


@pytest.mark.parametrize(("gold", "text", "outcome"), JUDGED)
def test_the_library_decides(gold: str, text: str, outcome: str) -> None:
    assert math_verify(text, Reference(answer=gold, answer_type="latex")).outcome in outcome.split(" or ")


def test_cases_of_its_own_suite_get_their_verdicts() -> None:
    assert len(ROWS) == 67
    wrong = {
        row["id"]
        for row in ROWS
        if math_verify(row["output"], Reference(answer=row["gold"], answer_type="latex", precision=row["precision"])).correct
        != row["expected_correct"]
    }
    assert wrong == {row["id"] for row in ROWS} & set(NOT_STATED_IN_A_REFERENCE)


@pytest.mark.parametrize(("precision", "outcome"), [(None, "wrong"), (2, "correct"), (4, "wrong")])
def test_precision_is_the_number_of_decimals_that_are_compared(precision: int | None, outcome: str) -> None:
    # 1/3 = 0.33333...; 0.333 agrees to two decimals and not to four.
    reference = Reference(answer=r"\frac{1}{3}", answer_type="latex", precision=precision)
    assert math_verify("$0.333$", reference).outcome == outcome


@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_the_last_place_of_the_best_kind_counts_however_long_the_text_is(where: str) -> None:
    filler = "So we take 7 of them and add nothing.\n\n" * 300
    before, after = {"start": ("", filler), "middle": (filler, filler), "end": (filler, "")}[where]
    text = f"{before}Therefore $\\boxed{{\\frac{{1}}{{2}}x}}$.\n\n{after}"
    assert len(text) > 3 * MAX_WINDOW
    verdict = math_verify(text, Reference(answer=r"\frac{x}{2}", answer_type="latex"))
    assert verdict.correct and verdict.span is not None
    assert text[slice(*verdict.span)] == r"\frac{1}{2}x"


def test_a_reference_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(GraderError, match="cannot read the reference answer"):
        math_verify(r"\boxed{1}", Reference(answer="no number in these words", answer_type="latex"))


@pytest.mark.parametrize(
    ("gold", "text"),
    [("12", "12"), ("12", r"so \boxed{13}"), ("12", r"$\boxed{12}$"), ("1/2", r"\boxed{\frac{2}{4}}"), ("0.5", "0.7"), ("-3", "3")],
)
def test_plain_numbers_and_fractions_do_not_reach_the_child(gold: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = math_verify_text(f"6\n{gold}", text)

    def refuse(*_: object, **__: object) -> symbolic.Comparison:
        raise AssertionError("the child was asked")

    monkeypatch.setattr(symbolic, "compare", refuse)
    outcome = math_verify(text, Reference(answer=gold)).outcome
    assert outcome == {"equal": "correct", "different": "wrong"}[expected]


@given(
    st.sampled_from(["7", "-7", "0.5", "0.25", "1/2", "1/4", r"\frac{1}{2}", r"-\frac{14}{2}", "0", "7.0"]),
    st.sampled_from(["7", "-7", "0.5", "0.250001", "0.2500001", "2/4", r"\frac{1}{4}", "-0", "7.0", r"\frac{14}{2}", "-14/2"]),
    st.sampled_from(["{}", r"\boxed{{{}}}", r"so $\boxed{{{}}}$."]),
)
@settings(max_examples=150, deadline=None)
def test_the_fast_path_says_what_the_library_says(gold: str, answer: str, frame: str) -> None:
    text = frame.format(answer)
    written = f"${gold}$" if "\\" in gold else gold
    library = math_verify_text(f"6\n{written}", text)
    assert math_verify(text, Reference(answer=gold)).correct == (library == "equal")


HOSTILE = [
    r"\boxed{9^{9^{9^{9^{9}}}}}",
    "9**9**9**9",
    "(" * 5000 + "1" + ")" * 5000,
    r"$\frac{" * 3000,
    "__import__('os').system('true')",
    "5" * 20_000,
    r"\boxed{" * 2000,
    "\x00 12",
    "$" * 9000,
    "answer " * 5000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_never_correct_and_cost_little(text: str) -> None:
    start = time.monotonic()
    assert not math_verify(text, Reference(answer="7")).correct
    assert time.monotonic() - start < 60


def test_ten_megabytes_cost_seconds_at_most() -> None:
    start = time.monotonic()
    assert math_verify("It is {3}. The answer may = be $x$.\n" * 280_000 + r"\boxed{4}", Reference(answer="4")).correct
    assert time.monotonic() - start < 20


def test_the_child_rule_does_not_evaluate_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from sympy.parsing import sympy_parser  # type: ignore[import-untyped]

    evaluated: list[str] = []
    real = sympy_parser.eval_expr

    def note(code: str, *rest: object) -> object:
        evaluated.append(code)
        return real(code, *rest)

    monkeypatch.setattr(sympy_parser, "eval_expr", note)
    assert math_verify_text("6\n35", "The answer is (3+4)*5.") == "equal"
    for text in (r"$\text{__import__('qq')}$", r"$\operatorname{qq}(1)$", r"\boxed{qq(1)}", "__import__('qq').x", r"$\mathrm{qq}=3$"):
        assert math_verify_text("6\n7", text) != "equal"
    # What is evaluated are digits that sympy wraps itself: Number("35") becomes Integer (35 ).
    assert not [code for code in evaluated if "qq" in code or "+" in code or "*" in code]


def test_arithmetic_keeps_its_writing() -> None:
    from sympy import Add, Integer, Mul, Pow  # type: ignore[import-untyped]

    assert unevaluated(read("1+2-3")) == Add(1, 2, Mul(-1, 3, evaluate=False), evaluate=False)
    assert unevaluated(read("6/4*2")) == Mul(6, Pow(4, -1, evaluate=False), 2, evaluate=False)
    assert unevaluated(read("-(5)")) == Integer(-5)
    for text in ("x", "2(3)", "(1,2)", "[1]", "f(2)", "1 2"):
        with pytest.raises(UnreadableError):
            unevaluated(read(text))
