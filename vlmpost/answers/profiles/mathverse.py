r"""MathVerse by rules alone: the benchmark has two calls to a language model instead of rules.

Its judge is told that the meaning must be the same, that 0.5 m is 50 cm, and that an option's content counts for its letter. What
rules can say of that is said: options are read out of the question ("A:..", "A. ..", "(A) .."), numbers are compared with their
units to a relative 1e-3 or the decimals that the reference answer shows, bearings, coordinates, intervals and formulas by the
generic judge. A reference answer in prose that is not repeated as such is "uncertain": print the share of those beside the score.

The question to give is `question_for_eval`: in the Vision Only version the plain question is empty.

Source: ZrrSkywalker/MathVerse @ 937b0905, evaluation/prompts.py and evaluation/score_answer_s2.py.
"""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction
from typing import Final

from vlmpost.answers.choice.reading import gold_index
from vlmpost.answers.judging import judge_reference
from vlmpost.answers.reference import Reference
from vlmpost.answers.spans import answer_region
from vlmpost.answers.values import units
from vlmpost.answers.values.numbers import Number, parse_number
from vlmpost.errors import GraderError
from vlmpost.records import AnswerType, Outcome, Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "The extraction and the judgement by language models are replaced by rules.",
    "An answer in prose that rules cannot compare is uncertain, and worth 0, where the benchmark asks a model until it says 0 or 1.",
)

RELATIVE_TOLERANCE: Final = Fraction(1, 1000)
MAX_CHOICES: Final = 10
MAX_QUESTION_CHARACTERS: Final = 100_000
MAX_STATED_CHARACTERS: Final = 300
_HEADING: Final = re.compile(r"\bchoices?\s{0,3}:", re.IGNORECASE)
_MARKER: Final = re.compile(r"(?:^|[\s(.?)])([A-J])\s?[:.)](?=\s?\S)", re.MULTILINE)
_SEVERAL_LETTERS: Final = re.compile(r"\s*\(?([A-J])\)?(?:\s*[\n,;&]\s*\(?[A-J]\)?)+\s*\Z")
_LETTER: Final = re.compile(r"\s*\(?([A-J])\)?\.?\s*\Z")
_DEGREES: Final = re.compile(r"\u63b3|\u00c2\u00b0|\u00ba|\s?\^\s?\{?\s?\\circ\s?\}?|\\degree(?![a-z])|\s?degrees?\b")
_SIGN: Final = r"\s?(?:\u00b0|\u63b3|\^\s?\{?\s?\\circ\s?\}?|\\degree|degrees?)?\s?(?:\\(?:text|mathrm)\s?\{\s?)?"
_QUADRANT: Final = re.compile(rf"\b([NS])(?:orth|outh)?\s?(\d{{1,3}}(?:\.\d{{1,6}})?){_SIGN}([EW])(?:ast|est)?\b", re.IGNORECASE)
_TRUE: Final = re.compile(rf"\b(\d{{1,3}}(?:\.\d{{1,6}})?){_SIGN}(?:T|true)\b")
_NAMED_VALUE: Final = re.compile(r"[\s$]*(?:\\(?:mathrm|text)\s?\{[^{}]{1,40}\}|[A-Za-z][A-Za-z. ]{0,40}?)?\s?\$?\s?=\s?(?=\S)")
_VALUE_FIRST: Final = re.compile(r"[\s$]*(-?\d[\d.]{0,30})\s?=\s?[a-z][\s$]*\Z")
_STATED: Final = re.compile(r"(?:\b(?:is|are|equals?|was|about|approximately)\s|[=:\u2248]|\\approx(?![a-z]))\s?")
_UNIT_COMMAND: Final = re.compile(r"\\(?:mathrm|text)\s?\{\s?~?\s?([A-Za-z ]{1,20}?)\s?\}")


def mathverse(text: str, reference: Reference) -> Verdict:
    """MathVerse by rules alone (its own judge is a language model): options from the question, numbers to 0.1 %, else formulas.

    Source: ZrrSkywalker/MathVerse @ 937b0905, evaluation/prompts.py (demo_prompt_score), for what counts as the same.
    """
    several = _SEVERAL_LETTERS.match(reference.answer)
    if several is not None:
        letters = re.findall("[A-J]", reference.answer)
        return judge_reference(text, dataclasses.replace(reference, answer=", ".join(letters), answer_type="text", choices=()))
    choices = reference.choices or (parse_choices(reference.question) if _is_choice(reference) else ())
    if choices or (reference.answer_type == "choice" and _LETTER.match(reference.answer)):
        try:
            gold_index(reference.answer, choices)
        except GraderError:
            choices = ()
        return judge_reference(text, dataclasses.replace(reference, choices=choices, answer_type="choice"))
    return _free_form(text, reference)


def parse_choices(question: str) -> tuple[str, ...]:
    r"""Returns the options in a question, A first; empty where there are not at least two in order.

    >>> parse_choices("Find x.\nChoices:\nA:30\u00b0\nB:45\u00b0")
    ('30\xb0', '45\xb0')
    """
    question = question[-MAX_QUESTION_CHARACTERS:]
    headings = list(_HEADING.finditer(question))
    start = headings[-1].end() if headings else 0
    markers: list[re.Match[str]] = []
    for match in _MARKER.finditer(question, start):
        if len(markers) < MAX_CHOICES and match.group(1) == chr(ord("A") + len(markers)):
            markers.append(match)
    if len(markers) < 2:
        return ()
    ends = [match.start() for match in markers[1:]] + [len(question)]
    return tuple(question[match.end() : end].strip().rstrip("(").strip() for match, end in zip(markers, ends, strict=True))


def _is_choice(reference: Reference) -> bool:
    return reference.answer_type == "choice" or reference.kind.replace("_", "-") == "multi-choice"


def _free_form(text: str, reference: Reference) -> Verdict:
    golds = [_plain(answer) for answer in reference.answers]
    bearings = [bearing for bearing in map(_bearing, golds) if bearing is not None]
    if bearings:
        return _by_bearing(text, bearings)
    number = parse_number(golds[0])
    kind: AnswerType = "number" if number is not None else "latex" if _is_formula(golds[0]) else "text"
    given = dataclasses.replace(reference, answer=golds[0], accepted=tuple(golds[1:]), answer_type=kind, choices=(), kind="", question="")
    verdict = judge_reference(text, given)
    if verdict.outcome == "wrong" and verdict.extracted is not None:
        read = _read_number(verdict.extracted)
        numbers = [gold for gold in map(parse_number, golds) if gold is not None]
        if read is not None and any(close(gold, read) for gold in numbers):
            return dataclasses.replace(verdict, outcome="correct")
    if verdict.outcome == "wrong" and kind == "text":
        return dataclasses.replace(verdict, outcome="uncertain")
    return verdict


def _read_number(written: str) -> Number | None:
    """The number that a short answer is, or that it states last."""
    number = parse_number(_plain(written))
    if number is not None or len(written) > MAX_STATED_CHARACTERS:
        return number
    for match in reversed(list(_STATED.finditer(written))):
        number = parse_number(_plain(written[match.end() :]))
        if number is not None:
            return number
    return None


def close(gold: Number, answer: Number) -> bool:
    """Whether two numbers agree to a relative 1e-3 or the decimals that the reference shows, units converted.

    Two whole numbers must be equal.
    """
    factor = units.ratio(gold.unit, answer.unit) if gold.unit and answer.unit else Fraction(1)
    if factor is None:
        return False
    value = answer.value * factor
    if value.denominator == 1 and gold.value.denominator == 1:
        return value == gold.value
    difference = abs(value - gold.value)
    return difference <= RELATIVE_TOLERANCE * abs(gold.value) or (gold.num_decimals > 0 and 2 * difference * 10**gold.num_decimals <= 1)


def _plain(answer: str) -> str:
    """The answer without a name in front ("Area ="), dollar signs and spoiled degree signs."""
    answer = _DEGREES.sub("\u00b0", answer).strip().strip(".").replace("\\[", "").replace("\\]", "")
    first = _VALUE_FIRST.match(answer)
    if first is not None:
        return first.group(1)
    named = _NAMED_VALUE.match(answer)
    if named is not None and not re.match(r"[\s$]*[a-z]\s?(?:_\w)?\s?=", answer):
        answer = answer[named.end() :]
    return _UNIT_COMMAND.sub(r" \1", answer.replace("$", "").replace("~", " ")).strip()


def _is_formula(answer: str) -> bool:
    """Whether the answer is mathematics rather than prose: no word of four letters stands in it that is not a command."""
    return re.search(r"(?<![\\A-Za-z])[A-Za-z]{4,}", re.sub(r"\\[A-Za-z]+", " ", answer)) is None


def _by_bearing(text: str, golds: list[Fraction]) -> Verdict:
    """A verdict on the last bearing that the text gives; a plain number of degrees counts as a true bearing."""
    region = answer_region(text)
    if region.fault:
        return Verdict("unparsed", None, region.fault)
    # Bearings do not span the degree signs of LaTeX, so positions are found in the text as it is, with that sign optional.
    found: re.Match[str] | None = None
    for pattern in (_QUADRANT, _TRUE):
        for match in pattern.finditer(text, region.start, region.end):
            found = match if found is None or match.start() > found.start() else found
    if found is None:
        gold = str(float(golds[0])) if golds[0].denominator > 1 else str(golds[0].numerator)
        return judge_reference(text, Reference(answer=gold, answer_type="number"))
    outcome: Outcome = "correct" if _bearing(found.group()) in golds else "wrong"
    return Verdict(outcome, found.group().strip(), "last_bearing", found.span(), str(_bearing(found.group())))


def _bearing(text: str) -> Fraction | None:
    """The angle from north, clockwise, of a text that is a bearing: S 23.5 W is 203.5; None where it is none."""
    match = _QUADRANT.search(text)
    if match is not None:
        angle = Fraction(match[2])
        from_north = 180 - angle if match[1].upper() == "S" else angle
        return from_north if match[3].upper() == "E" else (360 - from_north) % 360
    match = _TRUE.search(text)
    return None if match is None else Fraction(match[1])
