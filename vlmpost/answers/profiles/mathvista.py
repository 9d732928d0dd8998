"""MathVista's scoring: by rules alone, and as its own script compares an extraction that a model has made.

The benchmark lets a model cut the answer out of the response, which no rule reproduces. `mathvista` reads the response itself
(`judging.py`: option letter, then option text; the final number) and compares by MathVista's kinds of answer, without its edit
distance and its cutting off of decimals. `mathvista_official` normalises and compares as the script does: the first letter in
brackets, else the option nearest by edit distance; whole numbers cut off; decimals rounded. It takes a text for the extraction
where a model may have made it, and otherwise reads it by the rules of `mathvista` first.

Source: lupantech/MathVista @ 53d52587, evaluation/extract_answer.py and evaluation/calculate_score.py.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal

from vlmpost.answers.choice.reading import gold_index
from vlmpost.answers.judging import judge_reference
from vlmpost.answers.profiles.mathvista_reading import (
    before_closing_question,
    last_list,
    number_list,
    restated_choice,
    soft_choice,
    soft_number,
)
from vlmpost.answers.reference import Reference
from vlmpost.answers.spans import answer_region
from vlmpost.answers.values.edit_distance import nearest
from vlmpost.answers.values.numbers import Number, parse_number
from vlmpost.errors import GraderError
from vlmpost.records import Outcome, Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "The extraction by GPT-4 is replaced by rules; where they read nothing, the answer is unparsed or a refusal.",
    "mathvista: a refusal or an unreadable answer is not credited with the option nearest by edit distance.",
    "mathvista: 3.9 is not cut off to 3 for a whole-number answer; 3.0 counts as 3.",
    "mathvista: lists are compared number by number, not as strings.",
    "mathvista: where a model runs on into questions of its own, its first answer counts; GPT-4 often read the last.",
    "mathvista: a statement that repeats a yes-or-no question answers it; GPT-4 also drew further conclusions.",
    "mathvista_official: a text longer than an extraction is read by rules; unread, it is not credited with the nearest option.",
    "mathvista_official: a free-form answer of no known kind is compared as a string; the script stops with an error.",
)

Kind = Literal["integer", "float", "list", "text"]

MAX_EXTRACTION_CHARACTERS: Final = 500
"""The longest text that is taken for an extraction; a number of any length is one."""
MAX_NUMBER_CHARACTERS: Final = 5000
MAX_WHOLE_DECIMALS: Final = 6
"""Decimals to which an answer that should be whole is told apart from others."""
_SOFT_RULES: Final = ("last_line", "whole_text", "no_answer_form")
_SAID: Final = 'The answer is "'
_LETTER_IN_BRACKETS: Final = re.compile(r"\(([a-zA-Z])\)")


def mathvista(text: str, reference: Reference) -> Verdict:
    """MathVista by rules alone: option letter or text, final number, precision of the question; no edit distance.

    Raises:
        GraderError: The reference answer is none of the options.

    Source: lupantech/MathVista @ 53d52587, evaluation/calculate_score.py, for the kinds of answer and the rounding.
    """
    if reference.choices:
        return _by_choice(text, reference)
    kind = _kind(reference)
    if kind == "list":
        return _by_list(text, reference)
    if kind == "text":
        return judge_reference(text, reference)
    return _by_number(text, reference, kind)


def mathvista_official(text: str, reference: Reference) -> Verdict:
    """MathVista's calculate_score.py on an extraction: edit distance for options, whole numbers cut off, decimals rounded.

    Raises:
        GraderError: The reference answer is none of the options.

    Source: lupantech/MathVista @ 53d52587, evaluation/extract_answer.py (extract_answer), evaluation/calculate_score.py
    (normalize_extracted_answer, safe_equal).
    """
    extraction, rule, span = _extraction(text, reference)
    if extraction is None:
        return Verdict("unparsed", None, rule)
    prediction = _official_form(extraction, reference)
    golds = [_gold_text(answer, reference) for answer in reference.answers]
    outcome: Outcome = "correct" if prediction is not None and prediction in golds else "wrong"
    return Verdict(outcome, extraction, rule, span, prediction)


def _by_choice(text: str, reference: Reference) -> Verdict:
    choices = reference.choices
    golds = [_gold_text(answer, reference) for answer in reference.answers]
    letters = dataclasses.replace(reference, answer=_letter(choices.index(golds[0])), accepted=(), answer_type="choice")
    verdict = judge_reference(text, letters)
    index = _index_of(verdict, choices)
    if index is None and verdict.outcome in ("unparsed", "refusal"):
        index, verdict = soft_choice(text, choices) or restated_choice(text, reference.question, choices) or (None, verdict)
    if index is None:
        return verdict
    outcome: Outcome = "correct" if choices[index] in golds else "wrong"
    first = _letter(choices.index(choices[index]))
    return dataclasses.replace(verdict, outcome=outcome, extracted=_letter(index), normalised=first)


def _by_number(text: str, reference: Reference, kind: Kind) -> Verdict:
    region = answer_region(text)
    if region.fault:
        return Verdict("unparsed", None, region.fault)
    end = before_closing_question(text, region.start, region.end)
    verdict = judge_reference(text[:end], dataclasses.replace(reference, answer_type="number"))
    if verdict.rule.startswith(_SOFT_RULES):
        verdict = soft_number(text, region.start, end, verdict, decimal=kind == "float")
    number = parse_number(verdict.extracted) if verdict.extracted is not None else None
    if number is None:
        return verdict
    golds = [gold for gold in map(parse_number, reference.answers) if gold is not None]
    if not golds:
        raise GraderError(f"The reference answer {reference.answer!r} is not a number.")
    places = _num_decimals(reference)
    same = any(number.value == gold.value if kind == "integer" else _rounded(gold, number, places) for gold in golds)
    return dataclasses.replace(verdict, outcome="correct" if same else "wrong", normalised=_number_form(number, kind, places))


def _by_list(text: str, reference: Reference) -> Verdict:
    region = answer_region(text)
    if region.fault:
        return Verdict("unparsed", None, region.fault)
    found = last_list(text, region.start, region.end)
    if found is None:
        return Verdict("unparsed", None, "no_list")
    numbers, span = found
    golds = [number_list(answer.strip().strip("[]()")) for answer in reference.answers]
    outcome: Outcome = "correct" if numbers in golds else "wrong"
    return Verdict(outcome, text[slice(*span)], "last_list", span, f"[{', '.join(str(number) for number in numbers)}]")


def _extraction(text: str, reference: Reference) -> tuple[str | None, str, tuple[int, int] | None]:
    """What the script would go on with, the rule that found it, and where it stands."""
    said = _said(text)
    if said is not None:
        return text[slice(*said)], "quick_phrase", said
    if _is_extraction(text.strip(), reference):
        return text, "whole_text", (0, len(text))
    read = mathvista(text, reference)
    return read.normalised, read.rule, read.span


def _said(text: str) -> tuple[int, int] | None:
    """Where the quoted part of `The answer is "...".` stands: from the first such opening to the last closing on its line."""
    opening = text.find(_SAID)
    while opening >= 0:
        start = opening + len(_SAID)
        line = text.find("\n", start)
        line = len(text) if line < 0 else line
        closing = text.rfind('".', start, line)
        if closing >= 0:
            return start, closing
        opening = text.find(_SAID, line)
    return None


def _is_extraction(text: str, reference: Reference) -> bool:
    if len(text) <= MAX_EXTRACTION_CHARACTERS:
        return True
    return not reference.choices and len(text) <= MAX_NUMBER_CHARACTERS and _float(text) is not None


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _official_form(extraction: str, reference: Reference) -> str | None:
    """The script's normal form of an extraction; None where it has none."""
    choices = reference.choices
    if choices:
        extraction = extraction.strip()
        letter = _LETTER_IN_BRACKETS.search(extraction)
        extraction = letter.group(1).upper() if letter else extraction
        index = ord(extraction) - ord("A") if len(extraction) == 1 else -1
        return choices[index] if 0 <= index < len(choices) else nearest(extraction, choices)
    kind = _kind(reference)
    if kind in ("list", "text"):
        return extraction
    value = _float(extraction)
    if value is None:
        return None
    if kind == "float":
        return str(round(value, _num_decimals(reference)))
    return str(int(value)) if math.isfinite(value) else None


def _gold_text(answer: str, reference: Reference) -> str:
    """The text of the right option; the answer itself where there are no options."""
    choices = reference.choices
    return answer if not choices or answer in choices else choices[gold_index(answer, choices)]


def _index_of(verdict: Verdict, choices: Sequence[str]) -> int | None:
    letter = verdict.extracted
    if verdict.outcome not in ("correct", "wrong") or letter is None or len(letter) != 1:
        return None
    index = ord(letter) - ord("A")
    return index if 0 <= index < len(choices) else None


def _letter(index: int) -> str:
    return chr(ord("A") + index)


def _kind(reference: Reference) -> Kind:
    """The benchmark's kind of answer; read off the answer where the reference does not say."""
    match reference.kind:
        case "integer" | "float" | "list" | "text" as kind:
            return kind
        case _:
            number = parse_number(reference.answer)
            if reference.answer.lstrip().startswith("["):
                return "list"
            return "text" if number is None else "integer" if number.num_decimals == 0 else "float"


def _num_decimals(reference: Reference) -> int:
    """The precision of the question; the decimals that the answer shows where it is not given."""
    if reference.precision is not None:
        return reference.precision
    number = parse_number(reference.answer)
    return 0 if number is None else number.num_decimals


def _rounded(gold: Number, number: Number, places: int) -> bool:
    """Whether two decimals agree after rounding, halves to even; 75% is also 0.75 where the answer shows no percent sign."""
    values = [number.value, number.value / 100] if number.percent and not gold.percent else [number.value]
    return any(_round(value, places) == _round(gold.value, places) for value in values)


def _round(value: Fraction, places: int) -> Fraction:
    return Fraction(round(value * 10**places), 10**places)


def _number_form(number: Number, kind: Kind, places: int) -> str:
    """The value as a decimal without needless digits."""
    places = MAX_WHOLE_DECIMALS if kind == "integer" else places
    scaled = round(number.value * 10**places)
    digits = str(abs(scaled)).rjust(places + 1, "0")
    cut = len(digits) - places
    return ("-" if scaled < 0 else "") + f"{digits[:cut]}.{digits[cut:]}".rstrip("0").rstrip(".")
