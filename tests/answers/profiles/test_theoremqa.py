"""TheoremQA's rules: published outputs with the official verdicts, and cases worked by hand from its utils.py."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmpost.answers import symbolic
from vlmpost.answers.child import theoremqa as child
from vlmpost.answers.profiles.theoremqa import theoremqa, theoremqa_official
from vlmpost.answers.reference import Reference
from vlmpost.errors import GraderError

ROWS = [json.loads(line) for line in (Path(__file__).parents[1] / "fixtures" / "theoremqa.jsonl").read_text("utf-8").splitlines()]

BOTH = [  # gold, text, outcome under both rules
    ("5", "The answer is 5.", "correct"),
    ("5", "The answer is 5.4", "correct"),  # an integer is compared after rounding
    ("5", "The answer is 5.6", "wrong"),
    ("2.0", "The answer is 2.08", "correct"),  # 4 per cent
    ("2.0", "The answer is 2.09", "wrong"),
    ("2.0", "The answer is: x = 1.93", "correct"),
    ("0.5", r"The answer is $\frac{1}{2}$.", "correct"),
    ("0.25", "The answer is 25%", "correct"),
    ("3.14", r"The answer is \pi", "correct"),
    ("1.414", r"The answer is $\sqrt{2}$", "correct"),
    ("12", "The answer is 12 cm", "correct"),
    ("7", "I get 3, then 7", "correct"),  # no trigger: the last number
    ("7", "I get 7, then 3", "wrong"),
    ("7", "nothing here but words of length", "wrong or unparsed"),
    ("(b)", "The answer is (b).", "correct"),
    ("(b)", "The answer is (c).", "wrong"),
    ("True", "The answer is True.", "correct"),
    ("True", "The answer is False.", "wrong"),
    ("False", "The answer is no", "correct"),
    ("[1, 2]", "The answer is (2, 1)", "correct"),
    ("[1, 2]", "The answer is (2, 1, 3)", "wrong"),
    ("[1, 2]", "The answer is [1, 2]", "correct"),
    ("-4", "The answer is -4", "correct"),
    ("204", "The answer is $204_5$", "correct"),  # a subscript ends the number
    ("1e-05", "The answer is 0.00001", "correct"),
]
APART = [  # gold, text, official outcome, ours
    ("0", "There is no way to tell.", "correct", "unparsed"),
    ("0", "The answer is False", "correct", "unparsed"),
    ("1", "The answer is True", "correct", "unparsed"),
    ("(a)", "The answer is (a), a node.", "wrong", "correct"),
    ("5", "The answer is 5 in the notation above", "wrong", "correct"),
    ("True", "The answer is untrue", "correct", "unparsed"),
    ("362880", "The answer is 362,880", "correct", "correct"),
    ("[2, 1]", "The answer is [1, 2]", "unparsed", "correct"),
    ("1", "The answer is (1, 2)", "correct", "unparsed"),
    ("0", "The answer is [0, 2]", "correct", "unparsed"),
    ("68.5", r"The answer is 137 \frac{1}{2}", "correct", "wrong"),
    ("137.5", r"The answer is 137 \frac{1}{2}", "wrong", "correct"),
    ("2", r"The answer is $\boxed{2}$", "unparsed", "correct"),
    ("3.14", r"The answer is \(x \approx 3.14\)", "unparsed", "correct"),
    ("3", "So 2 and 4.\n\nThe answer is 3.\n\nProblem: 1+1. The answer is 2.", "wrong", "correct"),
]


@pytest.mark.parametrize(("gold", "text", "outcome"), BOTH)
def test_both_rules_read_and_compare_alike(gold: str, text: str, outcome: str) -> None:
    for rule in (theoremqa, theoremqa_official):
        assert rule(text, Reference(answer=gold)).outcome in outcome.split(" or ")


@pytest.mark.parametrize(("gold", "text", "official", "ours"), APART)
def test_the_official_slips_are_kept_apart(gold: str, text: str, official: str, ours: str) -> None:
    assert theoremqa_official(text, Reference(answer=gold)).outcome == official
    assert theoremqa(text, Reference(answer=gold)).outcome == ours


def test_published_outputs_get_their_official_verdicts() -> None:
    assert len(ROWS) == 60
    wrong = [
        row["id"] for row in ROWS if theoremqa_official(row["output"], Reference(answer=row["gold"][0])).correct != row["expected_correct"]
    ]
    assert wrong == []


@pytest.mark.parametrize("rule", [theoremqa, theoremqa_official])
def test_the_span_holds_what_was_read(rule: object) -> None:
    text = "First 3.\nThe answer is x = 12 cm."
    verdict = rule(text, Reference(answer="12"))  # type: ignore[operator]
    assert verdict.correct
    assert text[slice(*verdict.span)] == verdict.extracted == "12 cm"


@pytest.mark.parametrize("answer", ["", "[1, x]"])
def test_a_reference_that_is_no_answer_is_an_error(answer: str) -> None:
    with pytest.raises(GraderError):
        theoremqa("The answer is 1", Reference(answer=answer, id="q1"))


@pytest.mark.parametrize("tail", ["12", "12.5", "3/4", r"$\frac{3}{4}$", "-7", "x = 8"])
def test_plain_numbers_and_fractions_do_not_reach_the_child(tail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> symbolic.Comparison:
        raise AssertionError("the child was asked")

    monkeypatch.setattr(symbolic, "compare", refuse)
    for rule in (theoremqa, theoremqa_official):
        assert rule(f"The answer is {tail}", Reference(answer="9")).outcome == "wrong"


HOSTILE = [
    "__import__('os').system('true')",
    "[x for x in range(9)]",
    "9**9**9**9",
    "factorial(10**9)",
    "(" * 900,
    "open('/etc/passwd').read()",
    "5" * 3000,
    "\x00",
    "sqrt(-1)",
    "1/0",
    "float('nan')",
    r"\frac{" * 100,
]


@pytest.mark.parametrize("tail", HOSTILE)
def test_hostile_tails_are_never_correct_and_cost_little(tail: str) -> None:
    start = time.monotonic()
    for rule in (theoremqa, theoremqa_official):
        assert not rule(f"The answer is {tail}", Reference(answer="7")).correct
    assert time.monotonic() - start < 40


def test_the_child_rule_does_not_evaluate_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from sympy.parsing import sympy_parser  # type: ignore[import-untyped]

    evaluated: list[str] = []
    real = sympy_parser.eval_expr

    def note(code: str, *rest: object) -> object:
        evaluated.append(code)
        return real(code, *rest)

    monkeypatch.setattr(sympy_parser, "eval_expr", note)
    for text in (
        "__import__('qq')",
        r"\text{__import__('qq')}",
        r"\frac{qq}{2}",
        r"\operatorname{qq}(1)",
        "qq.system(1)",
        r"\sqrt{qq}",
        "'qq'",
    ):
        assert child.theoremqa_official('["7", 7]', text) != "equal"
    assert not [code for code in evaluated if "qq" in code]


def test_ten_megabytes_cost_seconds_at_most() -> None:
    start = time.monotonic()
    text = "It is 3. The answer may = be.\n" * 330_000 + "The answer is 4"
    assert theoremqa(text, Reference(answer="4")).correct
    assert theoremqa_official(text, Reference(answer="4")).correct
    assert time.monotonic() - start < 20


def test_arithmetic_has_pythons_precedence() -> None:
    names = {"pi": 3.0, "E": 2.718}
    values = [
        ("1+2*3", 7),
        ("-2**2", -4),
        ("2**-1", 0.5),
        ("7//2%2", 1),
        ("(1+2)*3", 9),
        ("sqrt(9)", 3),
        ("2*pi", 6),
        ("1e2", 100),
        ("1_000", 1000),
    ]
    for text, value in values:
        assert child.compute(child.read(text), names) == value
    for text in ("2pi", "1 2", "", "()", "x", "2!", "007", "1..2", "sqrt", "2(3)", "[1]+[2]", "'a'", "a.b", "1;2", "(-8)**0.5"):
        with pytest.raises((child.UnreadableError, TypeError)):
            child.compute(child.read(text), names)


@given(st.integers(1, 10**6), st.sampled_from(["{}", "{}.", "${}$", "x = {}", "{} cm", "{}.0", "about = {}"]))
@settings(max_examples=200, deadline=None)
def test_every_writing_of_an_integer_is_accepted_and_its_neighbour_is_not(number: int, writing: str) -> None:
    text = "The answer is " + writing.format(number)
    assert theoremqa(text, Reference(answer=str(number))).correct
    assert not theoremqa(text, Reference(answer=str(number + 1))).correct


@given(st.text(max_size=100), st.sampled_from(["True", "(a)", "7", "0.5"]))
@settings(max_examples=100, deadline=None)
def test_any_text_without_digits_or_trigger_is_judged_without_the_child(text: str, gold: str) -> None:
    for rule in (theoremqa, theoremqa_official):
        assert rule(text, Reference(answer=gold)).outcome in ("correct", "wrong", "unparsed")
