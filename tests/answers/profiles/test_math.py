"""OpenAI's MATH grader: published outputs with verdicts, and cases worked by hand from its normal forms."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmpost.answers import symbolic
from vlmpost.answers.child.math import math_rule
from vlmpost.answers.profiles import find
from vlmpost.answers.profiles.latex_text import MAX_DEPTH, UnreadableError, latex_text
from vlmpost.answers.profiles.math import hendrycks_form, math
from vlmpost.answers.reference import Reference
from vlmpost.records import Verdict

ROWS = [json.loads(line) for line in (Path(__file__).parents[1] / "fixtures" / "math.jsonl").read_text("utf-8").splitlines()]
LABELLED_BY_ANOTHER_EVALUATOR = {"math-01590": "10{,}000 against 10000: the label is Qwen's evaluator's, the PRM800K grader accepts it"}

GRADED = [  # gold, answer, outcome, deciding rule
    ("42", "42", "correct", "integer"),
    ("42", "43", "wrong", "integer"),
    ("42", "42.", "correct", "grader_form"),
    (r"\frac{1}{2}", "0.5", "correct", "hendrycks_form"),
    (r"\frac{1}{2}", r"\dfrac12", "correct", "hendrycks_form"),
    (r"\frac{3}{4}", "3/4", "correct", "hendrycks_form"),
    ("5", "x=5", "correct", "hendrycks_form"),
    ("5", r"5\text{ cm}", "correct", "hendrycks_form"),
    ("1000", "1,000", "correct", "grader_form"),
    ("1000", r"1,\!000", "correct", "grader_form"),
    ("18", r"18\%", "correct", "hendrycks_form"),
    ("18", "18%", "correct", "grader_form"),
    ("5", "5 cm", "correct", "grader_form"),
    ("5", "5 square units", "wrong", "algebra"),
    (r"\text{Evelyn}", "evelyn", "correct", "grader_form"),
    ("3", "3.0", "correct", "grader_form"),
    (r"\frac{1}{2}", r"\frac{2}{4}", "wrong", "algebra"),
    ("0.75", r"\frac{3}{4}", "correct", "algebra"),
    ("4", "2+2", "wrong", "algebra"),
    (r"2\sqrt{3}", r"\sqrt{12}", "correct", "algebra"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}", "correct", "algebra"),
    ("x+1", "1+x", "correct", "algebra"),
    ("x+1", "x+2", "wrong", "algebra"),
    (r"2\pi", r"\pi+\pi", "correct", "algebra"),
    ("(1,2)", "(1, 2)", "correct", "hendrycks_form"),
    ("(0.5,2)", r"(\frac{1}{2},2)", "correct", "algebra"),
    ("(1,2)", "[1,2]", "wrong", "elements"),
    ("(1,2)", "(2,1)", "wrong", "algebra"),
    ("(1,2)", "(1,2,3)", "wrong", "elements"),
    (r"7\frac{3}{4}", r"\frac{31}{4}", "correct", "algebra"),
    ("x+y+z", "z+y+x", "wrong", "algebra"),  # three letters: the grader does not compute
    (r"2^{10}", "1024", "wrong", "algebra"),
]


def _judged(gold: str, answer: str) -> Verdict:
    return math(rf"so \boxed{{{answer}}}.", Reference(answer=gold, answer_type="latex"))


@pytest.mark.parametrize(("gold", "answer", "outcome", "rule"), GRADED)
def test_the_grader_decides_by_normal_forms_then_algebra(gold: str, answer: str, outcome: str, rule: str) -> None:
    verdict = _judged(gold, answer)
    assert (verdict.outcome, verdict.rule) == (outcome, rule)


def test_published_outputs_get_their_published_verdicts() -> None:
    assert len(ROWS) == 35
    wrong = {
        row["id"]
        for row in ROWS
        if math(row["output"], Reference(answer=row["gold"], answer_type="latex")).correct != row["expected_correct"]
    }
    assert wrong == set(LABELLED_BY_ANOTHER_EVALUATOR)


def test_the_last_box_is_the_answer_and_its_place_is_told() -> None:
    text = r"first \boxed{3}, then \boxed{4}"
    verdict = math(text, Reference(answer="4", answer_type="latex"))
    assert verdict.correct and verdict.span is not None
    assert text[slice(*verdict.span)] == "4"


@pytest.mark.parametrize("text", ["", "The answer is 4.", r"\boxed{4", "\x00"])
def test_without_a_closed_box_nothing_is_read(text: str) -> None:
    assert math(text, Reference(answer="4", answer_type="latex")).outcome == "unparsed"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [("12", "12"), ("12", "13"), ("1/2", r"\frac{1}{2}"), (r"\frac{1}{2}", r"\frac{2}{4}"), ("0.25", "0.26"), ("1/4", "0.25")],
)
def test_plain_numbers_and_fractions_do_not_reach_the_child(gold: str, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> symbolic.Comparison:
        raise AssertionError("the child was asked")

    monkeypatch.setattr(symbolic, "compare", refuse)
    assert _judged(gold, answer).outcome in ("correct", "wrong")


@pytest.mark.parametrize(
    "answer",
    [
        "__import__('os').system('true')",
        "exec('1')",
        "lambda:1",
        "(1,2)+",
        "9**9**9**9**9",
        "((((" * 200,
        r"\frac" * 3000,
        "{" * 5000 + "}" * 5000,
        "\u202e12\u202c",
        "x" * 15_000,
        "1," * 9000,
        "sqrt(" * 100 + "2" + ")" * 100,
    ],
)
def test_hostile_answers_are_never_correct_and_cost_little(answer: str) -> None:
    start = time.monotonic()
    assert not _judged("7", answer).correct
    assert not _judged(r"\sqrt{7}", answer).correct
    assert time.monotonic() - start < 40


def test_ten_megabytes_cost_seconds_at_most() -> None:
    start = time.monotonic()
    assert math("a{b} \\" * 1_700_000 + r"\boxed{4}", Reference(answer="4", answer_type="latex")).correct
    assert time.monotonic() - start < 20


def test_the_child_rule_does_not_evaluate_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from sympy.parsing import sympy_parser  # type: ignore[import-untyped]

    evaluated: list[str] = []
    real = sympy_parser.eval_expr

    def note(code: str, *rest: object) -> object:  # sympy evaluates names of its own units when it first loads them
        evaluated.append(code)
        return real(code, *rest)

    monkeypatch.setattr(sympy_parser, "eval_expr", note)
    assert math_rule("q*(q+1)", "q^2+q") == "equal"
    assert math_rule("2sqrt(3)", "sqrt(12)") == "equal"
    assert math_rule("5!", "120") == "equal"
    assert math_rule("2q", "q2") == "equal"
    for text in ("__import__('qq')", "qq.system", "print(qq)", "qq;2", "q.q", "'qq'", "q if q else q", "[qq,2]", "is"):
        assert math_rule("7", text) == "different"
    assert not [code for code in evaluated if "qq" in code or "q'" in code]


LATEX = [
    (r"\frac{\sqrt{3}}{2}", "\u221a(3)/2"),
    (r"\sqrt[3]{x}", "\u221a(x)"),
    (r"\begin{pmatrix}1\\2 & 3\end{pmatrix}", "[ 1; 2 3 ]"),
    (r"\begin{array}{cc}1&2\\3&4\end{array}", "[ 1 2; 3 4 ]"),
    (r"\text{ (A)}", " (A)"),
    (r"x^{10}", "x^10"),
    (r"\foo{3}x", "3x"),
    (r"\left\{1\right\}", "{1}"),
    (r"2\pi r", "2\u03c0r"),
    (r"\sec x", "x"),
    (r"\frac12", "1/2"),
    (r"a\,b", "a b"),
    ("", ""),
    ("}3", "3"),
]


@pytest.mark.parametrize(("latex", "text"), LATEX)
def test_latex_becomes_the_line_that_latex2text_writes(latex: str, text: str) -> None:
    assert latex_text(latex) == text


@pytest.mark.parametrize("latex", ["{" * (MAX_DEPTH + 1), r"\frac" * (MAX_DEPTH + 1), r"\hat" * 5000, r"\begin{a}" * 5000])
def test_latex_nested_too_deep_is_refused(latex: str) -> None:
    with pytest.raises(UnreadableError):
        latex_text(latex)


@given(st.text(alphabet=r"\{}[]^_$%&~abfracsqrtextbeginend0123 ,.", max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_latex_is_read_or_refused(latex: str) -> None:
    try:
        written = latex_text(latex)
    except UnreadableError:
        return
    assert isinstance(written, str)


@given(
    st.integers(-999, 999),
    st.integers(2, 99),
    st.sampled_from([r"\frac{%d}{%d}", r"\dfrac{%d}{%d}", "%d/%d", r" \tfrac{%d}{%d} ", r"$\frac{%d}{%d}$"]),
)
@settings(max_examples=200, deadline=None)
def test_every_writing_of_a_fraction_is_accepted_and_its_neighbour_is_not(top: int, bottom: int, writing: str) -> None:
    gold = rf"\frac{{{top}}}{{{bottom}}}"
    if "$" not in writing:
        assert _judged(gold, writing % (top, bottom)).correct
    assert not _judged(gold, writing % (top + 1, bottom)).correct


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_the_hendrycks_form_never_fails(text: str) -> None:
    assert isinstance(hendrycks_form(text), str)


def test_the_standard_library_s_math_is_not_hidden_in_the_child() -> None:
    serve = Path(symbolic.__file__).with_name("child") / "serve.py"
    code = f"import sys, runpy; sys.argv = ['serve.py', '2000000000', '1', '1'];runpy.run_path({str(serve)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code + "; import math; assert hasattr(math, 'sqrt'), math"],
        input=b"",
        capture_output=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert symbolic.compare("sqrt(8)", "2sqrt(2)", rule="math") == "equal"


def test_no_folder_with_a_module_named_math_is_on_the_path() -> None:
    import math as standard

    find("math")
    assert hasattr(standard, "sqrt")
    ours = {Path(math.__code__.co_filename).parent, Path(math_rule.__code__.co_filename).parent}
    assert not ours & {Path(folder).resolve() for folder in sys.path if folder}
