r"""MATH by the grader of OpenAI's PRM800K: the last box against the reference answer.

Two normal forms are tried, that of Hendrycks' MATH and the grader's own; then element by element of a tuple or interval:
fractions must be written alike, an integer only equals an integer, anything else is equal where the difference simplifies to 0
(in the child process). The answer is what stands in the last box; the grader itself is given an answer, not a text.

Source: openai/prm800k (7ecc794), prm800k/grading/grader.py, math_normalize.py.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from vlmpost.answers import symbolic
from vlmpost.answers.profiles.latex_text import UnreadableError, latex_text
from vlmpost.answers.reference import Reference
from vlmpost.answers.spans import last_box
from vlmpost.records import Outcome, Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "Expressions are read by our own parser: the grader's goes through sympy's parse_expr, which evaluates text.",
    "A comparison that is stopped at its limit is uncertain; the grader would hang, or count it as wrong.",
    "An answer of more than 1000 characters is uncertain unless both normal forms decide.",
    "Marks that latex2text writes in rare ways (quotes, double dashes, \\not, bold letters) get a normal form of our own, the same on "
    "both sides.",
)
MAX_ANSWER: Final = 20_000
"""A longer box is not read."""
_TEXT: Final = re.compile(r"\A\\text\{(.+?)\}\Z")
_UNITS: Final = (
    "degree cm centimeter meter mile second minute hour day week month year foot feet inch yard".split()
)  # in the grader's order: "cm" before "centimeter", "meter" inside "centimeter"
_UNIT_PATTERNS: Final = tuple(re.compile(rf"{unit}(?:es)?s? *(?:\^[0-9]+)?") for unit in _UNITS)
_FRACTION: Final = re.compile(r"-?[0-9]+.?/0*[1-9][0-9]*.?\Z")
_THOUSANDS: Final = re.compile(r"(\d),(\d\d\d)(?=\D|\Z)")
_INTEGER: Final = re.compile(r"[-+]?\d+\Z", re.ASCII)
_DECIMAL: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)\Z", re.ASCII)
_TOWER: Final = re.compile(r"\^[0-9]+\^|\^[0-9][0-9]+")


def math(text: str, reference: Reference) -> Verdict:
    """The rules of OpenAI's grader for MATH (PRM800K): the last box, two normal forms, then algebra."""
    place = last_box(text)
    if place is None:
        return Verdict("unparsed", None, "last_box")
    answer = text[slice(*place)]
    if len(answer) > MAX_ANSWER:
        return Verdict("unparsed", None, "too_long", place)
    gold_place = last_box(reference.answer)
    gold = reference.answer if gold_place is None else reference.answer[slice(*gold_place)]
    outcome, rule, normal = _grade(gold, answer)
    return Verdict(outcome, answer, rule, place, normal)


def _grade(gold: str, answer: str) -> tuple[Outcome, str, str]:
    if max(len(gold), len(answer)) < 16 and _is_written_integer(gold) and _is_written_integer(answer):
        return "correct" if gold == answer else "wrong", "integer", answer
    if hendrycks_form(gold) == hendrycks_form(answer):
        return "correct", "hendrycks_form", _form(answer)
    gold_form, form = _form(gold), _form(answer)
    if gold_form == form:
        return "correct", "grader_form", form
    if not form:
        return "wrong", "grader_form", form
    golds, parts = _elements(gold_form), _elements(form)
    if len(golds) != len(parts) or (len(golds) > 1 and (gold_form[0], gold_form[-1]) != (form[0], form[-1])):
        return "wrong", "elements", form
    reply: symbolic.Comparison = "different"
    for one, other in zip(golds, parts, strict=True):
        reply = _compare(one, other)
        if reply != "equal":
            break
    outcomes: dict[symbolic.Comparison, Outcome] = {
        "equal": "correct",
        "timeout": "uncertain",
        "too_long": "uncertain",
        "failed": "uncertain",
    }
    return outcomes.get(reply, "wrong"), "algebra" if reply in ("equal", "different") else f"algebra_{reply}", form


def _compare(gold: str, answer: str) -> symbolic.Comparison:
    """How two elements stand to each other."""
    if _FRACTION.match(gold) and _FRACTION.match(answer):
        return "equal" if gold == answer else "different"
    if _is_integer(gold) != _is_integer(answer):
        return "different"
    values = _value(gold), _value(answer)
    if values[0] is not None and values[1] is not None and _plain_difference(gold, answer):
        return "equal" if values[0] == values[1] else "different"
    if not _may_compute(f"({gold})-({answer})"):
        return "different"
    return symbolic.compare(gold, answer, rule="math")


def _plain_difference(gold: str, answer: str) -> bool:
    """Whether exact numbers decide what the grader's floats would: both decimals of few digits, or the values plainly apart."""
    return max(len(gold), len(answer)) <= 12


def _value(text: str) -> Fraction | None:
    """The number that an element plainly is."""
    if _DECIMAL.match(text) and len(text) < 40:
        return Fraction(text)
    if _FRACTION.match(text) and len(text) < 40:
        try:
            return Fraction(text)
        except (ValueError, ZeroDivisionError):
            return None
    return None


def _may_compute(expression: str) -> bool:
    """The grader's guard: at most two letters, no large powers."""
    letters = {character for character in expression.replace("sqrt", "").replace("frac", "") if character.isalpha()}
    return len(letters) <= 2 and "^{" not in expression and "^(" not in expression and not _TOWER.search(expression)


def _elements(text: str) -> list[str]:
    text = _without_thousands(text)
    inner = text[1:-1]
    if len(text) > 2 and text[0] in "()[]" and text[-1] in "()[]" and not any(mark in inner for mark in "()[]"):
        return [part.strip() for part in inner.split(",")]
    return [text] if text else []


def _without_thousands(text: str) -> str:
    for _ in range(len(text) // 4 + 1):
        joined = _THOUSANDS.sub(r"\1\2", text)
        if joined == text:
            break
        text = joined
    return text


def _form(text: str) -> str:
    r"""The grader's own normal form: no units, per cent signs and dollars, plain text instead of LaTeX, lower case, no blanks."""
    match = _TEXT.match(text)
    if match:
        text = match.group(1)
    for old, new in (("\\%", "%"), ("\\$", "$"), ("$", ""), ("%", ""), (" or ", " , "), (" and ", " , ")):
        text = text.replace(old, new)
    for word, power in (("million", 6), ("billion", 9), ("trillion", 12)):
        text = text.replace(word, f"*10^{power}")
    for pattern in _UNIT_PATTERNS:
        text = pattern.sub("", text)
    text = re.sub(r"\^ *\\circ", "", text)
    if text[:1] == "{" and text[-1:] == "}":
        text = text[1:-1]
    text = re.sub(r",\\! *", "", text)
    text = _rounded(text)
    if "\\" in text:
        text = _plain(text)
    text = re.sub(r"- *", "-", text)
    text = re.sub(r"([0-9]) +([0-9])", r"\1+\2", text).replace(" ", "")
    text = text.replace("{", "").replace("}", "").lower()
    joined = _without_thousands(text)
    return _rounded(joined.replace(",", ""), truncate=True) if _is_integer(joined) else text


def _plain(text: str) -> str:
    text = text.replace("\\tfrac", "\\frac").replace("\\dfrac", "\\frac").replace("\\frac", " \\frac")
    try:
        text = latex_text(text)
    except UnreadableError:
        return text
    for old, new in (("\u221a", "sqrt"), ("\u03c0", "pi"), ("\u221e", "inf"), ("\u222a", "U"), ("\u00b7", "*"), ("\u00d7", "*")):
        text = text.replace(old, new)
    return text.strip()


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e300 else None


def _rounded(text: str, *, truncate: bool = False) -> str:
    """An integer in decimal writing as an integer; anything else as it is."""
    value = _float(text)
    if value is None or abs(value - round(value)) > 1e-7:
        return text
    return str(int(value) if truncate else round(value))


def _is_integer(text: str) -> bool:
    value = _float(_without_thousands(text))
    return value is not None and abs(value - round(value)) <= 1e-7


def hendrycks_form(text: str) -> str:
    """Returns the normal form of Hendrycks' MATH; the text itself where that normal form fails."""
    text = text.strip()
    match = _TEXT.match(text)
    text = match.group(1).strip() if match else text
    if text.count("\\text{ ") > 1:
        return text
    form = text.replace("\n", "").replace("\\!", "").replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac")
    form = form.replace("\\left", "").replace("\\right", "").replace("^{\\circ}", "").replace("^\\circ", "").replace("\\$", "")
    form = form.partition("\\text{ ")[0].replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if not form:
        return form
    form = f"0{form}" if form[0] == "." else form
    sides = form.split("=")
    form = sides[1] if len(sides) == 2 and len(sides[0]) <= 2 else form
    roots = form.split("\\sqrt")
    if any(not root for root in roots[1:]):
        return text
    form = roots[0] + "".join(f"\\sqrt{root}" if root[0] == "{" else f"\\sqrt{{{root[0]}}}{root[1:]}" for root in roots[1:])
    form = _fractions(form.replace(" ", ""))
    if form is None:
        return text
    form = "\\frac{1}{2}" if form == "0.5" else form
    top, slash, bottom = form.partition("/")
    if slash and _is_written_integer(top) and _is_written_integer(bottom):
        return f"\\frac{{{top}}}{{{bottom}}}"
    return form


def _fractions(form: str) -> str | None:
    r"""`\frac12` with its braces; None where a `\frac` has nothing after it."""
    first, *rest = form.split("\\frac")
    written = [first]
    for part in rest:
        if not part:
            return None
        if part[0] == "{":
            written.append(part)
        elif len(part) < 2:
            return form
        elif part[1] == "{":
            written.append(f"{{{part[0]}}}{part[1:]}")
        else:
            written.append(f"{{{part[0]}}}{{{part[1]}}}{part[2:]}")
    return "\\frac".join(written)


def _is_written_integer(text: str) -> bool:
    return bool(_INTEGER.match(text)) and len(text) < 4000 and str(int(text)) == text
