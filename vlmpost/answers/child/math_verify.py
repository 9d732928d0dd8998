"""math-verify on a stretch of a model's text, with its default extraction, for the profile of that name.

Plain arithmetic is read by `arithmetic.py`: math-verify's own reader of it goes through Python's `eval`. The order in which
matches are tried (priority, then the one that ends last) is math-verify's.

Source: huggingface/Math-Verify 0.9.0, parser.py and grader.py.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import Any

import sympy  # type: ignore[import-untyped]
from math_verify import ExprExtractionConfig, LatexExtractionConfig, verify  # type: ignore[import-untyped]
from math_verify.parser import extract_expr, extract_latex, get_extraction_regexes  # type: ignore[import-untyped]

from vlmpost.answers.child.arithmetic import Node, UnreadableError, read
from vlmpost.answers.child.rules import Reply

_LATEX = LatexExtractionConfig()
_PATTERNS = [
    (priority, pattern, target)
    for patterns, target in get_extraction_regexes((_LATEX, ExprExtractionConfig()))
    for pattern, priority in patterns
]


def math_verify_text(gold: str, answer: str) -> Reply:
    """Returns how the answer that math-verify finds in `answer` stands to the gold.

    Args:
        gold: The number of decimals at which floats are compared, a line feed, and the reference answer.
        answer: The text to read.
    """
    decimals, _, gold = gold.partition("\n")
    golds = _parsed(gold)
    if not golds:
        return "gold_unreadable"
    answers = _parsed(answer)
    if not answers:
        return "answer_unreadable"
    if verify(golds, answers, float_rounding=int(decimals), timeout_seconds=None, raise_on_error=False):
        return "equal"
    return "different" if any(not isinstance(one, str) for one in answers) else "answer_unreadable"


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> list[object]:
    """The value of the first match that can be read, and the string of the first match at all."""
    found: list[object] = []
    strings: list[str] = []
    for _, group in itertools.groupby(sorted(_PATTERNS, key=lambda one: one[0]), key=lambda one: one[0]):
        matches = [(match, target) for _, pattern, target in group for match in pattern.finditer(text)]
        for match, target in sorted(matches, key=lambda one: (one[0].end(), -one[0].start()), reverse=True):
            value, string = extract_latex(match, _LATEX) if target is _LATEX else _expression(match)
            if string:
                strings.append(string)
            if value is not None:
                found.append(value)
                break
        if found:
            break
    return [*found, *strings[:1]]


def _expression(match: re.Match[str]) -> tuple[object, str]:
    groups = match.groupdict()
    written = groups.get("expr")
    if not written or any(value for name, value in groups.items() if name.startswith(("integer", "decimal")) and value):
        value, string = extract_expr(match)  # a number, or nothing: no text is evaluated
        return value, str(string or "")
    try:
        return unevaluated(read(written.replace("\n", " ").replace("^", "**"))), written
    except (UnreadableError, ArithmeticError, TypeError, ValueError):
        return None, written


def unevaluated(tree: Node) -> object:
    """Returns the tree as a sympy expression in which sums, products and powers are left as written.

    Raises:
        UnreadableError: The tree has names, calls, lists or tuples.
    """
    if tree.kind == "number":
        return sympy.Integer(tree.text) if tree.text.isdigit() else sympy.Float(tree.text)
    if tree.kind in ("+", "-"):
        return sympy.Add(*_terms(tree), evaluate=False)
    if tree.kind in ("*", "/"):
        return sympy.Mul(*_factors(tree), evaluate=False)
    parts: list[Any] = [unevaluated(part) for part in tree.parts]  # Any: sympy's objects, which have no types
    match tree.kind:
        case "**":
            return sympy.Pow(*parts, evaluate=False)
        case "negative":
            return -parts[0]
        case "positive":
            return +parts[0]
        case "//":
            return parts[0] // parts[1]
        case "%":
            return parts[0] % parts[1]
    raise UnreadableError(f"{tree.kind} {tree.text!r} has no value")


def _terms(tree: Node) -> list[object]:
    """The terms of a chain of sums, brackets around inner chains left out."""
    if tree.kind not in ("+", "-"):
        return [unevaluated(tree)]
    last = _terms(tree.parts[1]) if tree.kind == "+" else [sympy.Mul(-1, unevaluated(tree.parts[1]), evaluate=False)]
    return [*_terms(tree.parts[0]), *last]


def _factors(tree: Node) -> list[object]:
    """The factors of a chain of products, brackets around inner chains left out."""
    if tree.kind not in ("*", "/"):
        return [unevaluated(tree)]
    last = _factors(tree.parts[1]) if tree.kind == "*" else [sympy.Pow(unevaluated(tree.parts[1]), -1, evaluate=False)]
    return [*_factors(tree.parts[0]), *last]


_parsed(r"so $\frac{x^2}{2}$")
verify(_parsed("$x+1$"), _parsed("(1+2)/3"), timeout_seconds=None)
