"""The number that an answer of TheoremQA stands for, and whether it is near enough: within 4 per cent, or equal after rounding.

The official evaluator reads LaTeX and then evaluates the result as Python; here LaTeX is read by latex2sympy2_extended and what it
prints, like any other text, by `arithmetic.py`, with the names that the evaluator had in reach.

Source: TIGER-AI-Lab/TheoremQA (acfc968), utils.py, number_utils.py.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from latex2sympy2_extended import latex2sympy  # type: ignore[import-untyped]

from vlmpost.answers.child.arithmetic import Node, UnreadableError, read
from vlmpost.answers.child.rules import Reply

Value = int | float | tuple["Value", ...] | list["Value"]

TOLERANCE: Final = 0.04
MAX_BITS: Final = 20_000
MAX_FACTORIAL: Final = 2000
_NAMES: Final[dict[str, float]] = {"pi": math.pi, "e": math.e, "E": 2.718, "inf": math.inf, "nan": math.nan}
_TRUTH: Final[dict[str, float]] = {"True": 1, "False": 0}
_FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = {
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "log": math.log,
    "exp": math.exp,
    "abs": abs,
    "float": float,
    "int": int,
    "round": round,
    "max": max,
    "min": min,
}
_WITH_UNIT: Final = (re.compile(r"-?[\d.]+\s\D+\Z"), re.compile(r"-?[\d.]+\s\S+\Z"))
_UNKNOWN_TO_THE_EVALUATOR: Final = re.compile(r"\\[(\[]|\\approx|\\boxed")
"""Marks that the LaTeX reader of the evaluator does not know."""
_MIXED: Final = re.compile(r"(?<=\d)\s*(?=\\frac)")
"""137 \\frac{1}{2} is a product there."""
_SUBSCRIPT: Final = re.compile(r"(?<=\d)_")
"""There it ends the formula."""
_THOUSANDS: Final = re.compile(r"(?<![\d.,])(\d{1,3}(?:(?:,|\{,\})\d{3})+)(?![\d,])")


def theoremqa_official(gold: str, answer: str) -> Reply:
    """Returns how the tail of a text stands to the gold, a JSON list of its text and its value (a number or a list of numbers)."""
    written, target = json.loads(gold)
    return _decided(written, target, answer, official=True)


def theoremqa(gold: str, answer: str) -> Reply:
    """Returns the same without the official slips: True and False are no numbers, 1,234 is one, a list may stand in square brackets."""
    written, target = json.loads(gold)
    return _decided(written, target, _THOUSANDS.sub(lambda match: re.sub(r"\D", "", match.group()), answer), official=False)


def near(value: float, gold: float) -> bool:
    """Returns whether a number is the gold: after rounding where the gold is an integer, else within 4 per cent."""
    if math.isnan(value) or math.isinf(value):
        return False
    if isinstance(gold, int):
        return round(value) == gold
    margin = abs(gold) * TOLERANCE
    return gold - margin <= value <= gold + margin


def _decided(written: str, target: float | list[float], answer: str, *, official: bool) -> Reply:
    text = extracted(answer, official=official)
    if text.lower() == written.lower():
        return "equal"
    if isinstance(target, list):
        brackets = text[:1] + text[-1:]
        if brackets != "()" and (official or brackets != "[]"):
            return "answer_unreadable"
        values = _list(text)
        if values is None or len(values) != len(target):
            return "answer_unreadable" if values is None else "different"
        pairs = zip(sorted(values), sorted(target), strict=True)
        return "equal" if all(near(value, one) for value, one in pairs) else "different"
    value = number(text, official=official)
    if value is None:
        return "answer_unreadable"
    return "equal" if near(value, target) else "different"


def extracted(tail: str, *, official: bool) -> str:
    """Returns what follows the last equals sign: as a number or list where LaTeX or Python reads one, else without its unit."""
    text = without_units(tail.split("=")[-1].strip())
    value = _latex_value(text, official=official)
    if value is not None:
        text = str(value)
    elif any(pattern.match(text) for pattern in _WITH_UNIT):
        text = text.split(" ")[0]
    return text.rstrip(".").rstrip("/")


def without_units(text: str) -> str:
    """Returns the text with pi as 3.14, per cent as /100, and without currency and degree signs."""
    text = text.replace("\\pi", "\u03c0")
    text = re.sub(r"(?<![\d}])\\?\u03c0", "3.14", text)
    text = re.sub(r"(\d)\\?\u03c0", r"\g<1>*3.14", text)
    text = re.sub(r"\{\\?\u03c0\}", "3.14", text)
    text = re.sub(r"\*\\?\u03c0", "*3.14", text).replace("%", "/100")
    for unit in ("$", "\u00a5", "\u00b0C", " C", "\u00b0"):
        text = text.replace(unit, "")
    return text


def number(text: str, *, official: bool) -> float | None:
    """Returns the number that a text stands for; officially of several the first."""
    text = without_units(text)
    value = _float(text)
    if value is not None:
        return value
    latex = None if text[:1] in ("(", "[") else _latex(text, official=official)
    value = _float(latex) if latex is not None else None
    if value is not None:
        return value
    first = _computed(latex if latex is not None else text, _NAMES | _TRUTH if official else _NAMES)
    if official and isinstance(first, tuple | list):
        first = first[0] if first else None
    return _float(str(first)) if isinstance(first, int | float) else None


def _list(text: str) -> list[float] | None:
    """The numbers of a tuple or list, or None."""
    values = _computed(text, _NAMES)
    if not isinstance(values, tuple | list) or not all(isinstance(value, int | float) for value in values):
        return None
    return [float(value) for value in values if isinstance(value, int | float)]


def _latex(text: str, *, official: bool) -> str | None:
    """What latex2sympy prints for a text; None where it reads none."""
    if official:
        if _UNKNOWN_TO_THE_EVALUATOR.search(text):
            return None
        text = _MIXED.sub(r"\\cdot", _SUBSCRIPT.split(text)[0])
    if not text.strip():
        return None
    try:
        value = latex2sympy(text, convert_degrees=False, normalization_config=None)
        parts = getattr(value, "_unsorted_args", None)  # "1, 2" is a set here, a list there
        return str(value if parts is None else list(parts))
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - the library raises anything; a text that is not LaTeX is expected here
        return None


def _latex_value(text: str, *, official: bool) -> Value | None:
    """The value of a formula, or the values of a list in square brackets."""
    bare = text.replace("\\left", "").replace("\\right", "").strip()
    if bare[:1] == "[" and bare[-1:] == "]":
        parts = [_latex_value(part, official=official) for part in bare[1:-1].split(",")]
        return None if any(part is None for part in parts) else [part for part in parts if part is not None]
    latex = _latex(text, official=official)
    return None if latex is None else _computed(latex, _NAMES)


def _float(text: str) -> float | None:
    """The number as an int where it is whole."""
    try:
        value = float(text)
        return round(value) if value.is_integer() else value
    except (ValueError, OverflowError):
        return None


def _computed(text: str, names: Mapping[str, float]) -> Value | None:
    try:
        return compute(read(text), names)
    except (UnreadableError, ArithmeticError, TypeError, ValueError):
        return None


def compute(tree: Node, names: Mapping[str, float]) -> Value:
    """Returns the value of a tree in Python's arithmetic.

    Raises:
        UnreadableError: A name or function is not known, or a power or factorial is too large.
        ArithmeticError, TypeError, ValueError: As Python's own arithmetic.
    """
    if tree.kind == "number":
        return int(tree.text) if tree.text.isdigit() else float(tree.text)
    if tree.kind == "name":
        if tree.text not in names:
            raise UnreadableError(f"{tree.text} is not known")
        return names[tree.text]
    parts = [compute(part, names) for part in tree.parts]
    if tree.kind == "tuple":
        return tuple(parts)
    if tree.kind == "list":
        return parts
    numbers = [part for part in parts if isinstance(part, int | float)]
    if len(numbers) != len(parts):
        raise UnreadableError("a list inside arithmetic")
    return _applied(tree, numbers)


def _applied(tree: Node, parts: list[int | float]) -> float:
    """The value of an operator or call."""
    match tree.kind, parts:
        case "+", [left, right]:
            return left + right
        case "-", [left, right]:
            return left - right
        case "*", [left, right]:
            return left * right
        case "/", [left, right]:
            return left / right
        case "//", [left, right]:
            return left // right
        case "%", [left, right]:
            return left % right
        case "negative", [one]:
            return -one
        case "positive", [one]:
            return one
        case "**", [left, right]:
            return _power(left, right)
    if tree.kind != "call":
        raise UnreadableError(f"{tree.kind} has no value")
    if tree.text == "factorial" and len(parts) == 1:
        if not 0 <= parts[0] <= MAX_FACTORIAL or parts[0] != int(parts[0]):
            raise UnreadableError("a factorial out of bounds")
        return math.factorial(int(parts[0]))
    if tree.text not in _FUNCTIONS:
        raise UnreadableError(f"{tree.text} is not known")
    return _FUNCTIONS[tree.text](*parts)


def _power(base: float, exponent: float) -> float:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0 and base.bit_length() * exponent > MAX_BITS:
        raise UnreadableError("a power out of bounds")
    value = base**exponent
    if isinstance(value, complex):
        raise UnreadableError("a complex number")
    return float(value) if isinstance(value, float) else int(value)


_latex(r"\frac{1}{2}", official=False)
