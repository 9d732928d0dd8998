r"""Math-Verify: its default extraction from text and its comparison, in the child process.

math-verify looks for the best kind of place ("final answer is ... I hope", then a box or "final answer ... is", then "answer:",
"answer", any formula or number) and in it for the match that ends last. The stretch of text that holds the last place of the
best kind goes to the child, so that a long text costs no more than a short one. A single box with a plain number in it, or a
text that is nothing but a number, is decided here.

`Reference.precision` is the number of decimals at which floats are compared (math-verify's `float_rounding`, 6 where it is not
given). `extracted` is the last box, formula or number of that stretch; math-verify joins neighbouring boxes to a set, which is
then compared as a whole.

Source: huggingface/Math-Verify 0.9.0 (5d148cf), src/math_verify/parser.py, grader.py.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from vlmpost.answers import symbolic
from vlmpost.answers.reference import Reference
from vlmpost.answers.spans import last_box
from vlmpost.errors import GraderError
from vlmpost.records import Outcome, Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "Plain arithmetic is read by our own parser: math-verify's goes through Python's eval. Readings differ for // and "
    "for ** written with a blank.",
    "A comparison that is stopped at its limit, or fails, is uncertain; math-verify counts it as wrong.",
    "Of a text of more than 1000 characters only the stretch with the last place of the best kind is read "
    "(a formula may be cut at its edge).",
    "A formula without dollar signs as reference answer is put in dollar signs, as its documentation asks; it would be read as text.",
    "Options that its tests set per case (extraction of LaTeX only, sets against relations) cannot be stated in a reference answer.",
)
DEFAULT_DECIMALS: Final = 6
MAX_PLAIN: Final = 40
MAX_BARE_FORMULA: Final = 200
MAX_WINDOW: Final = symbolic.MAX_FORMULA_CHARACTERS - 10
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?\Z", re.ASCII)
_FRACTION: Final = re.compile(r"(?P<sign>-?)(?:\\[dt]?frac\{|(?=\d))(?P<top>[1-9]\d{0,5})(?:\}\{|/)(?P<bottom>[1-9]\d{0,5})\}?\Z", re.ASCII)
_PERCENT: Final = re.compile(r"[\s$\\)\]}.]{0,20}(?:%|[Pp]ercent|[Pp]ct)")
_NUMERIC: Final = re.compile(r"[-+\d.,/ %]+\Z")
_PROSE: Final = re.compile(r"(?:\b[A-Za-z]{2,}\s+){2}[A-Za-z]{2,}")
_MARKED: Final = re.compile(r"[$]|\\[(\[]|\\boxed")
_ANCHORS: Final = (
    re.compile(r"final answer is(?=.{0,400}?I hope)", re.IGNORECASE | re.DOTALL),
    re.compile(r"\\boxed\{|final answer(?=.{0,100}?\sis)", re.IGNORECASE | re.DOTALL),
    re.compile(r"answer(?=.{0,160}?[\d$\\])", re.IGNORECASE | re.DOTALL),
)
_LAST_VALUE: Final = re.compile(r"\$\$?[^$]{1,900}\$|\\\(.{1,900}?\\\)|\\\[.{1,900}?\\\]|-?\d[\d.,/]*", re.DOTALL)


def math_verify(text: str, reference: Reference) -> Verdict:
    """The rules of Math-Verify 0.9 with its default extraction.

    Raises:
        GraderError: The reference answer is one that math-verify cannot read.
    """
    decimals = DEFAULT_DECIMALS if reference.precision is None else reference.precision
    place = _place(text)
    extracted = text[slice(*place)] if place else None
    plain = _plain(text, reference.answer, decimals)
    if plain is not None:
        return Verdict(plain, extracted, "number", place)
    reply: symbolic.Comparison = "answer_unreadable"
    for start, end in _windows(text):
        reply = symbolic.compare(f"{decimals}\n{_gold(reference.answer)}", text[start:end], rule="math_verify_text")
        if reply != "answer_unreadable":
            break
    if reply == "gold_unreadable":
        raise GraderError(f"math-verify cannot read the reference answer {reference.answer!r} of {reference.id or 'a question'}.")
    if reply == "answer_unreadable":
        return Verdict("unparsed", None, "math_verify")
    outcomes: dict[symbolic.Comparison, Outcome] = {"equal": "correct", "different": "wrong"}
    outcome = outcomes.get(reply, "uncertain")
    return Verdict(outcome, extracted, "math_verify" if outcome != "uncertain" else f"math_verify_{reply}", place)


def _gold(answer: str) -> str:
    """The reference answer as math-verify wants it: a formula in dollar signs, a number or a text as it is."""
    start, end = _windows(answer)[0]
    answer = answer[start:end]
    bare = len(answer) <= MAX_BARE_FORMULA and not _MARKED.search(answer)
    return f"${answer}$" if bare and not _NUMERIC.match(answer) and not _PROSE.search(answer) else answer


def _plain(text: str, answer: str, decimals: int) -> Outcome | None:
    """The verdict where both sides are one plain number; None where the child must read them."""
    gold = answer.strip().strip("$")
    target = _value(gold)
    if target is None:
        return None
    written = text.strip() if len(text) < MAX_PLAIN else ""
    if "boxed" in text:
        box = last_box(text)
        if text.count("boxed") > 1 or box is None or "final answer" in text.lower() or _PERCENT.match(text, box[1]):
            return None
        written = text[slice(*box)]
    value = _value(written)
    if value is None:
        return None
    exact = "." not in gold + written
    near = abs(target - value)
    if near == 0 or exact or near > Fraction(2, 10**decimals):
        return "correct" if near == 0 else "wrong"
    return None


def _value(text: str) -> Fraction | None:
    """The number that a text plainly is: an integer, a decimal or a fraction."""
    if len(text) > MAX_PLAIN:
        return None
    if _NUMBER.match(text):
        return Fraction(text)
    match = _FRACTION.match(text)
    if match is None or int(match["bottom"]) == 0:
        return None
    value = Fraction(int(match["top"]), int(match["bottom"]))
    return -value if match["sign"] else value


def _windows(text: str) -> list[tuple[int, int]]:
    """The stretches to read, likeliest first: the end of the text where it holds the last place of the best kind."""
    if len(text) <= MAX_WINDOW:
        return [(0, len(text))]
    tail = len(text) - MAX_WINDOW
    for anchor in _ANCHORS:
        last = None
        for match in anchor.finditer(text):
            last = match.start()
        if last is not None:
            start = _line_start(text, max(0, last - MAX_WINDOW // 2), last)
            if start >= tail:
                start = _line_start(text, tail, last)
            return [(start, min(len(text), start + MAX_WINDOW)), *_before(tail, start)]
    start = _line_start(text, tail, min(len(text), tail + MAX_WINDOW // 4))
    return [(start, len(text))]


def _before(tail: int, start: int) -> list[tuple[int, int]]:
    return [(tail, tail + MAX_WINDOW)] if start != tail else []


def _line_start(text: str, low: int, high: int) -> int:
    """The first place from `low` to `high` that begins a paragraph, else a line; `low` where there is none."""
    if low == 0:
        return 0
    for mark in ("\n\n", "\n"):
        place = text.find(mark, low, high)
        if place >= 0:
            return place + len(mark)
    return low


def _place(text: str) -> tuple[int, int] | None:
    """Where the last box, formula or number of the text stands."""
    box = last_box(text) if "boxed" in text else None
    if box is not None:
        return box
    start = max(0, len(text) - 2 * MAX_WINDOW)
    last = None
    for match in _LAST_VALUE.finditer(text, start):
        last = match.span()
    return last
