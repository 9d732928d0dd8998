"""The value of a formula, exactly or in floating point, without ever evaluating text as code."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from vlmpost.answers.formulas.tokens import is_number, misplacements, tokens_of

Node = TypeVar("Node")
Arithmetic = Literal["exact", "float"]
_RANK: Final[Mapping[str, int]] = MappingProxyType({"+": 1, "-": 1, "*": 2, "/": 2})
OPERATIONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(  # Any: whatever numbers come in, come out
    {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
)


class FormulaError(ValueError):
    """A formula has no value: it is misformed or incomplete, or divides by zero."""


def evaluate(formula: str) -> Fraction:
    """Returns the exact value of a formula.

    Raises:
        FormulaError: It is no formula, or has no value.

    >>> evaluate("8/(3-8/3)")
    Fraction(24, 1)
    """
    tokens = tokens_of(formula)
    if tokens is None or misplacements(tokens):
        raise FormulaError(f"not a formula: {formula!r:.200}")
    return Fraction(value_of(tokens))


def value_of(tokens: Sequence[str], *, arithmetic: Arithmetic = "exact") -> Fraction | float:
    """Returns the value of tokens that have no misplacement.

    Args:
        tokens: From `tokens_of`.
        arithmetic: "exact" reckons with fractions. "float" as Python does: whole numbers until the first division, floats from then on.

    Raises:
        FormulaError: A bracket stays open, an operator ends the formula, a number has leading zeros or digits that are not ASCII, or
            something is divided by zero.
    """
    number: Callable[[str], Fraction | float] = _fraction if arithmetic == "exact" else _whole
    try:
        return fold(tokens, leaf=number, combine=lambda symbol, left, right: OPERATIONS[symbol](left, right))
    except (ZeroDivisionError, OverflowError) as error:
        raise FormulaError(str(error)) from None


def fold(tokens: Sequence[str], *, leaf: Callable[[str], Node], combine: Callable[[str, Node, Node], Node]) -> Node:
    """Returns the formula's tree folded from its leaves: * and / before + and -, from left to right, brackets first.

    Args:
        tokens: Without misplacements.
        leaf: Makes a node of a number.
        combine: Makes a node of an operator and what stands left and right of it; called in the order of reckoning.

    Raises:
        FormulaError: The formula is incomplete.
    """
    nodes: list[Node] = []
    waiting: list[str] = []

    def reduce() -> None:
        if len(nodes) < 2:
            raise FormulaError("an operator lacks a number")
        right, left = nodes.pop(), nodes.pop()
        nodes.append(combine(waiting.pop(), left, right))

    for token in tokens:
        if token == "(":
            waiting.append(token)
        elif token == ")":
            while waiting[-1] != "(":
                reduce()
            waiting.pop()
        elif is_number(token):
            nodes.append(leaf(token))
        else:
            while waiting and _RANK.get(waiting[-1], 0) >= _RANK[token]:
                reduce()
            waiting.append(token)
    while waiting:
        if waiting[-1] == "(":
            raise FormulaError("a bracket stays open")
        reduce()
    if not nodes:
        raise FormulaError("there is no number")
    return nodes.pop()


def _whole(token: str) -> int:
    if not token.isascii() or (token[0] == "0" and token.strip("0")):
        raise FormulaError(f"not a number: {token!r}")
    return int(token)


def _fraction(token: str) -> Fraction:
    return Fraction(_whole(token))
