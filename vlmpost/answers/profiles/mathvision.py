r"""MathVision's own scoring: an answer cut out of the text by fixed steps, equal as a string or as a value rounded to 2 decimals.

The value of a formula is the one that latex2sympy2 and Python's arithmetic give (`latex_value.py`), so that published verdicts
come out: small numbers collide (gold 1/60 accepts 1/55), `\boxed{\textbf{(D) }144}` is rejected, and six free-form answers that
carry `\boxed` inside `$` cannot be matched by their own value. Thinking blocks are not cut off, since the benchmark does not.

Source: mathllm/MATH-V @ a1f5cc3a, evaluation/evaluate.py and evaluation/utils.py.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from vlmpost.answers.reference import Reference
from vlmpost.answers.values.latex_value import NotANumber, TooLarge, latex_value
from vlmpost.records import Outcome, Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "Formulas are valued by a bounded reader and never given to eval.",
    "A formula too long, deep or large to value in bounded time is uncertain; the benchmark waits for it or runs out of memory.",
    "A text with nothing in it is unparsed, where the benchmark says wrong.",
)

LETTERS: Final = "ABCDE"
NUM_DECIMALS: Final = 2
MAX_FLOAT_CHARACTERS: Final = 400
MAX_CACHED_CHARACTERS: Final = 200
"""Longer texts are not kept in memory, nor given as the form to vote on."""
_PHRASES: Final = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
_BOX: Final = "oxed{"
_REPLACED: Final[tuple[tuple[str, str], ...]] = (
    (" ", ""),
    ("\\,", ""),
    ("\u221e", "\\infty"),
    ("+\\infty", "\\infty"),
    ("\\\\", "\\"),
    ("\n", ""),
    ("\\text", ""),
    ("\\mbox", ""),
    ("bmatrix", "pmatrix"),
    ("\\left", ""),
    ("\\right", ""),
    ("^{\\circ}", ""),
    ("^\\circ", ""),
    ("{m}^3", ""),
    ("m^3", ""),
    ("{units}", ""),
    ("units", ""),
    ("{km}", ""),
    ("km", ""),
    ("\\!", ""),
    ("\\\\", "\\"),
    ("tfrac", "frac"),
    ("dfrac", "frac"),
    ("\\left", ""),
    ("\\right", ""),
    ("^{\\circ}", ""),
    ("^\\circ", ""),
    ("\\$", ""),
    ("$", ""),
)
"""Replaced in this order; the second half may only now find what the first half has joined."""
_RATIO: Final = re.compile(r"(0|-?[1-9][0-9]*)/(0|-?[1-9][0-9]*)")


def mathvision(text: str, reference: Reference) -> Verdict:
    """MathVision's evaluate.py: fixed cuts, then string or 2-decimal equality with the letter or the option's text.

    Source: mathllm/MATH-V @ a1f5cc3a, evaluation/evaluate.py (evaluate), evaluation/utils.py (find_math_answer, is_equal).
    """
    start, end, rule = _region(text)
    answer = normalise(f"\\boxed{{{text[start:end]}" if rule == "last_of_boxes" else text[start:end])
    if not answer:
        return Verdict("unparsed", None, "empty_answer")
    outcomes = [equal(gold, answer) for gold in _golds(reference)]
    outcome: Outcome = "correct" if "correct" in outcomes else "uncertain" if "uncertain" in outcomes else "wrong"
    return Verdict(outcome, answer, rule, _shown(text, start, end), _class(answer, reference))


def normalise(text: str) -> str:
    r"""Returns the answer inside the cut-out text in MathVision's normal form.

    >>> normalise(r"so \boxed{x = \frac{1}{2} \text{km}}")
    '\\frac{1}{2}'
    """
    text = text.lower().replace("{}", "")
    box, close = text.find(_BOX), text.rfind("}")
    if box >= 0 and box + len(_BOX) <= close:
        text = text[box + len(_BOX) : close]
    close, opening = text.find("}"), text.find("{")
    if close >= 0 and (opening < 0 or close < opening):
        text = text[:close]
    text = text.rpartition("=")[2].rpartition("\\approx")[2]
    for old, new in _REPLACED:
        text = text.replace(old, new)
    text = _plain_latex(text)
    for letter in LETTERS.lower():
        text = text.replace(f"({letter})", letter)
    for letter in LETTERS.lower():
        text = text.replace(f"{{{letter}}}", letter)
    return text.rstrip(".").lstrip(":").strip()


def equal(gold: str, answer: str) -> Outcome:
    """Returns whether two answers are equal as strings, element by element, or as values rounded to 2 decimals."""
    gold, answer = gold.lower(), answer.lower()
    if not gold.replace(" ", "") or not answer.replace(" ", ""):
        return "wrong"
    if gold.strip() == answer.strip():
        return "correct"
    try:
        gold, answer = _elements(gold), _elements(answer)
        if gold == answer:
            return "correct"
        return "correct" if _value(gold) == _value(answer) else "wrong"
    except NotANumber:
        return "wrong"
    except TooLarge:
        return "uncertain"


def _region(text: str) -> tuple[int, int, str]:
    """What the normal form is taken of, as start and end, and the step that cut it out."""
    start, end = _stripped(text, 0, len(text))
    rule = "whole_text"
    for letter in LETTERS:
        place = _letter_place(text, start, end, letter)
        if place >= 0:
            start, end, rule = place, place + 1, "letter_at_edge"
    found = text.rfind("is ", start, end)
    place, number_end = (start if found < 0 else found + 3), end
    while number_end > place and text[number_end - 1] == ".":
        number_end -= 1
    if _is_float(text[place:number_end]):
        start, end, rule = place, number_end, rule if found < 0 else "number_after_is"
    box = text.rfind(_BOX, start, end)
    if box < 0:
        return _after_phrases(text, start, end, rule)
    if text.find(_BOX, start, end) < box:
        return box + len(_BOX), end, "last_of_boxes"
    return start, end, "only_box"


def _letter_place(text: str, start: int, end: int, letter: str) -> int:
    """Where a letter that opens or ends the text stands; -1 where it does neither."""
    if text.endswith(f" {letter}.", start, end):
        return end - 2
    if text.endswith(f" ({letter}).", start, end):
        return end - 3
    if text.startswith(f"{letter}\n", start, end):
        return start
    if text.startswith((f"({letter})\n", f"({letter}) {letter}\n"), start, end):
        return start + 1
    return -1


def _after_phrases(text: str, start: int, end: int, rule: str) -> tuple[int, int, str]:
    """What follows the last of each phrase, to the end of its line and sentence."""
    for phrase in _PHRASES:
        for flag in (phrase, phrase.replace("the", "The")):
            place = text.rfind(flag, start, end)
            start, end = _stripped(text, start if place < 0 else place + len(flag), end)
            if place >= 0:
                rule = "answer_phrase"
                for stop in ("\n", ". "):
                    cut = text.find(stop, start, end)
                    end = end if cut < 0 else cut
    return start, end, rule


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _shown(text: str, start: int, end: int) -> tuple[int, int]:
    """The part of the region that the normal form keeps of a box, or the region, without a trailing brace."""
    box = text.find(_BOX, start, end)
    start = start if box < 0 else box + len(_BOX)
    close = text.rfind("}", start, end)
    return start, end if close < 0 else close


def _is_float(text: str) -> bool:
    if len(text) > MAX_FLOAT_CHARACTERS:
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain_latex(text: str) -> str:
    r"""The end of the normal form: no `\%`, a zero before a leading point, braces after `\sqrt`, ratios as fractions."""
    text = text.partition("\\text{ ")[0].replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    text = f"0{text}" if text[0] == "." else text
    if "sqrt" in text:
        text = _braced_roots(text).replace(" ", "")
        text = _braced_fractions(text)
    text = text.replace(" ", "")
    if text == "0.5":
        return "\\frac{1}{2}"
    ratio = _RATIO.fullmatch(text)
    return f"\\frac{{{ratio[1]}}}{{{ratio[2]}}}" if ratio else text


def _braced_roots(text: str) -> str:
    first, *rest = text.split("\\sqrt")
    return first + "".join("\\sqrt" + (f"{{{part[0]}}}{part[1:]}" if part and part[0] != "{" else part) for part in rest)


def _braced_fractions(text: str) -> str:
    """The text with braces around one-letter numerators and denominators; unchanged where one has nothing to brace."""
    first, *rest = text.split("\\frac")
    pieces = [first]
    for part in rest:
        if part.startswith("{"):
            pieces.append(part)
        elif len(part) < 2:
            return text
        else:
            pieces.append(f"{{{part[0]}}}{part[1:]}" if part[1] == "{" else f"{{{part[0]}}}{{{part[1]}}}{part[2:]}")
    return "\\frac".join(pieces)


def _elements(text: str) -> str:
    """The text, or its elements as rounded numbers where it is a tuple or list of at least two formulas."""
    if (text[0], text[-1]) not in (("(", ")"), ("[", "]")) or "," not in text[1:-1]:
        return text
    parts = text[1:-1].split(",")
    try:
        values = [part if "infty" in part or part in ("a", "-a") else str(_value(part)) for part in parts]
    except NotANumber:
        return text
    return f"{text[0]}{','.join(values)}{text[-1]}"


def _value(text: str) -> int | float:
    return _short_value(text) if len(text) <= MAX_CACHED_CHARACTERS else round(latex_value(text), NUM_DECIMALS)


@functools.lru_cache(maxsize=4096)
def _short_value(text: str) -> int | float:
    return round(latex_value(text), NUM_DECIMALS)


def _golds(reference: Reference) -> list[str]:
    """The answers to compare with: of a choice its letter and its text."""
    golds: list[str] = []
    for answer in reference.answers:
        index = _index(answer, reference.choices)
        golds.extend((answer,) if index is None else (chr(ord("A") + index), reference.choices[index]))
    return golds


def _index(answer: str, choices: tuple[str, ...]) -> int | None:
    """The number of the option that the answer names by letter or text; None where it names none."""
    letter = answer.strip().upper()
    if len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(choices):
        return ord(letter) - ord("A")
    return choices.index(answer) if answer in choices else None


def _class(answer: str, reference: Reference) -> str | None:
    """The letter of the option that the answer equals as a string, else the answer; None where it is too long for one."""
    if len(answer) > MAX_CACHED_CHARACTERS:
        return None
    index = _index(answer, reference.choices)
    if index is None:
        index = next((place for place, choice in enumerate(reference.choices) if choice.strip().lower() == answer), None)
    return answer if index is None else chr(ord("A") + index)
