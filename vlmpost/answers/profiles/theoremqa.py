"""TheoremQA: the tail after "The answer is" as truth value, option, number (4 per cent, or rounded) or list.

`theoremqa` is the official rule without its slips, and the one to use: a truth value is a whole word and is never a number.
`theoremqa_official` reproduces the official evaluator, slips included, for comparison with published numbers.

The kind of the reference answer is read off its text, as printed by Python: True, (a), 5, 0.25, [1, 2].

Source: TIGER-AI-Lab/TheoremQA (acfc968), utils.py, number_utils.py, run.py.
"""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import dataclass
from typing import Final

from vlmpost.answers import symbolic
from vlmpost.answers.reference import Reference
from vlmpost.answers.values.numbers import parse_number
from vlmpost.errors import GraderError
from vlmpost.records import Outcome, Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "theoremqa: yes, no, true and false count only as whole words, and only where the reference answer is a truth value "
    "(officially 'no' inside 'node' or 'Note' makes the answer False).",
    "theoremqa: True and False are not numbers (officially a reference answer of 0 accepts every answer with 'no' in it).",
    "theoremqa: 362,880 is one number (officially its first part, 362, counts).",
    "theoremqa: a text with the trigger repeated is cut at the first blank line after a trigger (officially at the first one, "
    "which may be in the solution), and its last trigger with anything after it counts.",
    "theoremqa: what follows the answer's sentence or line is not read (officially an equals sign in it moves the answer).",
    "theoremqa: an approximately-equals sign counts as an equals sign; a box, and \\( \\), may stand around the answer.",
    "theoremqa: of several numbers none is the answer (officially the first), and 137 \\frac{1}{2} is a mixed "
    "number (officially a product).",
    "theoremqa: a list may stand in square brackets (officially only in round ones).",
    "both: text is never evaluated: LaTeX is read by latex2sympy2_extended, arithmetic by our own parser, with the evaluator's names.",
    "both: a comparison that is stopped at its limit is uncertain; a tail of more than 1000 characters is not read.",
)
TRIGGERS: Final = ("The answer is:", "The answer is", "the answer is")
TOLERANCE_PERCENT: Final = 4
_TRIGGER: Final = re.compile("|".join(TRIGGERS))
_OPTION: Final = re.compile(r"\([a-f]\)")
_LAST_NUMBER: Final = re.compile(r"-?\d*\.?\d+")
_TRUE: Final = re.compile(r"\b(?:yes|true)\b", re.IGNORECASE)
_FALSE: Final = re.compile(r"\b(?:no|false)\b", re.IGNORECASE)
_PLAIN: Final = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?\Z", re.ASCII)
MAX_DIGITS: Final = 4000
_ABOUT: Final = re.compile(r"\\approx(?![a-z])\s*|\u2248\s*")
_STOP: Final = re.compile(r"\.(?=\s)|`")
_SENTENCE_END: Final = re.compile(r"[.](?=\s)|[`\n]")
_WORD: Final = re.compile(r"\w")
_BLANKS: Final = " \t\r\n\f\v"
_FRACTION: Final = re.compile(r"[$]?(?P<sign>-?)(?:\\[dt]?frac\{)?(?P<top>\d{1,15})(?:\}\{|/)(?P<bottom>\d{1,15})\}?[$]?\Z", re.ASCII)
_NUMBER_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class _Gold:
    """A reference answer as the evaluator holds it: its text, and its value where it is a number or a list."""

    text: str
    value: int | float | list[int | float] | None

    @property
    def is_option(self) -> bool:
        """Whether it is one of (a) to (f)."""
        return bool(_OPTION.fullmatch(self.text.lower()))


def theoremqa(text: str, reference: Reference) -> Verdict:
    """The rules of TheoremQA without their slips: truth values are whole words and never numbers.

    Raises:
        GraderError: The reference answer is empty or a list that holds other things than numbers.
    """
    gold = _gold(reference)
    start, end, answered = _tail(text, keep_solution=True)
    tail = text[start:end]
    if gold.is_option:
        return _option(gold, text, start, end)
    if gold.value is None and gold.text.lower() in ("true", "false"):
        true = _TRUE.search(tail)
        word = true or _FALSE.search(tail)
        if word is None:
            return Verdict("unparsed", None, "truth_word")
        same = (true is not None) == (gold.text.lower() == "true")
        return Verdict(
            "correct" if same else "wrong", word.group(), "truth_word", (start + word.start(), start + word.end()), str(true is not None)
        )
    if not answered:
        return _last_number(gold, text, start, end)
    start, end = _statement(text, *_sentence(text, start, end))
    start = next((match.end() for match in reversed(list(_ABOUT.finditer(text, start, end)))), start)
    value = parse_number(text[start:end]) if end - start <= _NUMBER_CHARACTERS and not isinstance(gold.value, list) else None
    if value is not None and isinstance(gold.value, int | float) and "\\" not in value.unit:
        exact = value.value / 100 if value.percent else value.value
        number = float(exact) if abs(exact) < sys.float_info.max else math.inf
        return _verdict(_near(number, gold.value), text, start, end, "number")
    return _asked(gold, text, start, end, rule="theoremqa")


def theoremqa_official(text: str, reference: Reference) -> Verdict:
    """The rules of TheoremQA's evaluator as published, slips included.

    Raises:
        GraderError: The reference answer is empty or a list that holds other things than numbers.
    """
    gold = _gold(reference)
    start, end, answered = _tail(text, keep_solution=False)
    tail = text[start:end].lower()
    truth = "True" if "yes" in tail or "true" in tail else "False" if "no" in tail or "false" in tail else None
    if gold.is_option:
        # A tail with a truth word becomes that word, in which there is no option.
        return Verdict("wrong", text[start:end], "truth_word", (start, end), truth) if truth else _option(gold, text, start, end)
    if truth is not None:
        same = truth == gold.text or (isinstance(gold.value, int | float) and _near(float(truth == "True"), gold.value))
        return Verdict("correct" if same else "wrong", text[start:end], "truth_word", (start, end), truth)
    if _OPTION.search(tail):
        answered = True
    elif not answered:
        return _last_number(gold, text, start, end)
    else:
        start, end = _statement(text, start, end)
    written = text[start:end]
    if isinstance(gold.value, int | float) and _PLAIN.match(written):
        return _verdict(_near(float(written), gold.value), text, start, end, "number")
    return _asked(gold, text, start, end, rule="theoremqa_official")


def _gold(reference: Reference) -> _Gold:
    text = reference.answer.strip()
    if not text:
        raise GraderError(f"The reference answer of {reference.id or 'a question'} is empty.")
    if text.startswith("["):
        try:
            return _Gold(text, [_typed(part.strip()) for part in text.strip("[]").split(",")])
        except ValueError:
            raise GraderError(f"The reference answer {text!r} of {reference.id or 'a question'} must be a list of numbers.") from None
    try:
        return _Gold(text, _typed(text))
    except ValueError:
        return _Gold(text, None)


def _typed(text: str) -> int | float:
    """An int where the text is one; `reference.answer` keeps the type by its writing."""
    return int(text) if re.fullmatch(r"[-+]?\d+", text, re.ASCII) else float(text)


def _tail(text: str, *, keep_solution: bool) -> tuple[int, int, bool]:
    """Where the answer stands, edges trimmed, and whether a trigger leads to it; without one it is the whole text.

    A text with a trigger repeated is taken for a run of examples and ends at the first blank line, or with `keep_solution` at the
    first blank line after a trigger.
    """
    start, end = _trimmed(text, 0, len(text), "\n", "\n")
    if any(text.count(trigger, start, end) > 1 for trigger in TRIGGERS):
        first = _TRIGGER.search(text, start, end)
        assert first is not None, "a trigger was counted"
        blank = text.find("\n\n", first.end() if keep_solution else start, end)
        end = blank if blank >= 0 else end
    answered = False
    for match in _TRIGGER.finditer(text, start, end):
        if keep_solution and answered and not _WORD.search(text, match.end(), end):
            break
        start, answered = match.end(), True
    start, end = _trimmed(text, start, end, "\n", "\n")
    for mark in "./":
        end = _trimmed(text, start, end, "", mark)[1]
    return (*_trimmed(text, start, end, " ", " "), answered)


def _trimmed(text: str, start: int, end: int, left: str, right: str) -> tuple[int, int]:
    while start < end and text[start] in left:
        start += 1
    while end > start and text[end - 1] in right:
        end -= 1
    return start, end


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """The first sentence or line in which there is anything."""
    word = _WORD.search(text, start, end)
    stop = _SENTENCE_END.search(text, word.end(), end) if word else None
    return start, end if stop is None else stop.start()


def _statement(text: str, start: int, end: int) -> tuple[int, int]:
    """What follows the last equals sign, up to the end of its sentence or a code mark: there the evaluator's LaTeX reader stops."""
    start = text.rfind("=", start, end) + 1 or start
    start, end = _trimmed(text, start, end, _BLANKS, _BLANKS)
    stop = _STOP.search(text, start, end)
    return start, end if stop is None else stop.start()


def _option(gold: _Gold, text: str, start: int, end: int) -> Verdict:
    """Whether the option stands in the tail."""
    found = text.lower().find(gold.text.lower(), start, end)
    if found >= 0:
        return Verdict("correct", text[found : found + 3], "option", (found, found + 3), gold.text.lower())
    other = _OPTION.search(text.lower(), start, end)
    return Verdict("wrong", other.group(), "option", other.span(), other.group()) if other else Verdict("unparsed", None, "option")


def _last_number(gold: _Gold, text: str, start: int, end: int) -> Verdict:
    """The last number of a text in which nothing leads to the answer."""
    last = None
    for match in _LAST_NUMBER.finditer(text, start, end):
        last = match.span()
    if last is None:
        return Verdict("unparsed", None, "last_number")
    written = text[slice(*last)]
    same = written == gold.text
    if isinstance(gold.value, int | float) and len(written) < MAX_DIGITS:
        same = same or _near(float(written), gold.value)
    return Verdict("correct" if same else "wrong", written, "last_number", last, written)


def _near(value: float, gold: float) -> bool:
    if isinstance(gold, int):
        return abs(value) < 1e300 and round(value) == gold
    margin = abs(gold) * TOLERANCE_PERCENT / 100
    return gold - margin <= value <= gold + margin


def _verdict(same: bool, text: str, start: int, end: int, rule: str) -> Verdict:
    return Verdict("correct" if same else "wrong", text[start:end], rule, (start, end))


def _asked(gold: _Gold, text: str, start: int, end: int, *, rule: str) -> Verdict:
    """What the child process says about the tail."""
    written = text[start:end]
    if not written.strip():
        return Verdict("unparsed", None, rule)
    if gold.value is None:
        return _verdict(written.lower() == gold.text.lower(), text, start, end, "text")
    fraction = _FRACTION.match(written)
    if fraction and isinstance(gold.value, int | float) and int(fraction["bottom"]):
        value = int(fraction["top"]) / int(fraction["bottom"])
        return _verdict(_near(-value if fraction["sign"] else value, gold.value), text, start, end, "number")
    reply = symbolic.compare(json.dumps([gold.text, gold.value]), written, rule=rule)
    outcomes: dict[symbolic.Comparison, Outcome] = {
        "equal": "correct", "different": "wrong", "answer_unreadable": "unparsed", "too_long": "unparsed"
    }  # fmt: skip
    outcome = outcomes.get(reply, "uncertain")
    return Verdict(outcome, written, rule if outcome != "uncertain" else f"{rule}_{reply}", (start, end))
