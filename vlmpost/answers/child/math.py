"""Whether the difference of two expressions simplifies to 0: the last step of OpenAI's grader for MATH.

Source: openai/prm800k (7ecc794), prm800k/grading/grader.py, are_equal_under_sympy.
"""

from __future__ import annotations

from typing import Any, Final

import sympy  # type: ignore[import-untyped]

from vlmpost.answers.child.arithmetic import Node, UnreadableError, read
from vlmpost.answers.child.rules import Reply

_GREEK: Final = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lamda mu nu xi omicron rho sigma tau upsilon phi chi psi omega".split()
)
_KEYWORDS: Final = frozenset(("as", "if", "in", "is", "or"))


def math_rule(gold: str, answer: str) -> Reply:
    """Returns "equal" where the difference simplifies to 0, "different" also where it cannot be read."""
    try:
        difference = _value(read(f"({gold})-({answer})".replace("^", "**"), implicit=True))
        return "equal" if sympy.simplify(difference) == 0 else "different"
    except (UnreadableError, ArithmeticError, AttributeError, TypeError, ValueError):
        return "different"


def _value(tree: Node) -> Any:  # Any: sympy's objects, which have no types
    if tree.kind == "number":
        return sympy.Integer(tree.text) if tree.text.isdigit() else sympy.Float(tree.text)
    if tree.kind == "name":
        return _symbols(tree.text)
    parts = [_value(part) for part in tree.parts]
    match tree.kind:
        case "+":
            return parts[0] + parts[1]
        case "-":
            return parts[0] - parts[1]
        case "*":
            return parts[0] * parts[1]
        case "/":
            return parts[0] / parts[1]
        case "**":
            return parts[0] ** parts[1]
        case "negative":
            return -parts[0]
        case "positive":
            return parts[0]
        case "factorial":
            return sympy.factorial(parts[0])
        case "call":
            return _called(tree.text, parts)
    raise UnreadableError(f"{tree.kind} has no value")


def _symbols(name: str) -> Any:
    """pi, a Greek letter, one symbol, or the product of the letters and digits of a name."""
    if name == "pi":
        return sympy.pi
    if name in _KEYWORDS:
        raise UnreadableError(f"{name} is not a name")
    if len(name) == 1 or name in _GREEK or "_" in name:
        return sympy.Symbol(name)
    product = sympy.Integer(1)
    place = 0
    while place < len(name):
        end = place
        while end < len(name) and name[end].isdigit():
            end += 1
        product *= sympy.Integer(name[place:end]) if end > place else sympy.Symbol(name[place])
        place = end if end > place else place + 1
    return product


def _called(name: str, parts: list[Any]) -> Any:
    """A root, a logarithm, or a product of letters and brackets."""
    if len(parts) != 1:
        raise UnreadableError(f"{name} of several values")
    if name == "sqrt":
        return sympy.sqrt(parts[0])
    if name == "ln":
        return sympy.log(parts[0])
    if name.endswith("sqrt"):
        return _symbols(name[:-4]) * sympy.sqrt(parts[0])
    return _symbols(name) * parts[0]


math_rule("sqrt(2)/2", "1/sqrt(2)")
