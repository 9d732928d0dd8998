"""Mixtures of everything that numbers, formulas and places are made of: a verdict comes out, by every profile, whatever stands there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmpost.answers import Reference, judge, judge_reference, profiles
from vlmpost.errors import GraderError

PIECES = (
    *("9" * 400, "1e999", "-1e309", "10^{400}", "9^{400}+1", "170!", "0/0", r"\frac{1}{0}", "nan", "inf", r"\infty", "0." + "3" * 400),
    *("1,000,000", "1 000 000", "\u0663\u0664", "\u00bd", "10\u00b2\u2074", "x", r"\pi", "%", "$", "\u20ac5", "(", "[", "{", "}", "]", ")"),
    *(
        ",",
        ";",
        "=",
        r"\boxed{",
        "<answer>",
        "</answer>",
        "<think>",
        "</think>",
        "The answer is ",
        "Answer: ",
        "A",
        "(C)",
        "not B",
        "\n",
        " ",
    ),
    *(
        "**",
        "-",
        "+",
        "*",
        "/",
        "^",
        "\\",
        r"\text{",
        "cm",
        "km/h",
        "5 ft 3 in",
        "12:30",
        "25:99",
        "3:4",
        "2020-02-31",
        "True",
        "no",
        "[1, 2]",
    ),
    *(
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\pm 3",
        r"\cup",
        "x<5",
        "one million billion",
        "\u202e",
        "\x00",
        "\ud800",
        "#### 7",
        "1e5000",
    ),
)
REFERENCES = (
    Reference("7", "number", id="q"),
    Reference("1.57", "number", kind="float", precision=2, id="q"),
    Reference("25%", "number", id="q"),
    Reference("3 m", "number", id="q"),
    Reference("0", "number", kind="integer", id="q"),
    Reference("(0,1]", "latex", id="q"),
    Reference("[1, 2, 3]", "latex", kind="list", id="q"),
    Reference("x^2+1", "latex", id="q"),
    Reference("12:30", "text", id="q"),
    Reference("yes", "text", id="q"),
    Reference("B", "choice", choices=("7", "red", "1/2", "None"), id="q"),
)
CHEAP = sorted(set(profiles.names()) - {"math_verify", "math", "theoremqa", "theoremqa_official"})
"""Profiles that seldom need the child process; the others meet these texts in `test_pathological.py`."""


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join), st.sampled_from(REFERENCES), st.sampled_from(CHEAP))
def test_every_mixture_gets_a_verdict(text: str, reference: Reference, name: str) -> None:
    try:
        verdict = profiles.find(name).function(text, reference)
    except GraderError:
        return  # the reference is not of the kind the benchmark has
    if verdict.span is not None:
        start, end = verdict.span
        assert 0 <= start <= end <= len(text)


@pytest.mark.parametrize(
    ("text", "answer"), [(r"\boxed{9^{400}+1}", "1.57"), (r"\boxed{\frac{9^{400}}{2}}", "0.5"), ("The answer is 1E400", "1.5")]
)
def test_a_number_beyond_floating_point_is_wrong_and_no_error(text: str, answer: str) -> None:
    assert judge(text, answer=answer, answer_type="number").outcome == "wrong"
    assert not profiles.find("theoremqa").function(text, Reference(answer, "number", kind="float")).correct


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join))
@settings(max_examples=100, deadline=None)
def test_the_same_text_gets_the_same_verdict(text: str) -> None:
    reference = Reference("7", "number")
    assert judge_reference(text, reference) == judge_reference(text, reference)
