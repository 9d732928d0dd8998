"""Reads a MathVista response where it has no box, tag or "the answer is": the soft places that the generic judge leaves open.

A reader returns a verdict without an opinion (outcome "wrong") on what it read, or says that there is nothing; whether that is the
right answer is for `mathvista.py`. Every pass is linear in the text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from vlmpost.answers.choice.reading import read_choice
from vlmpost.answers.profiles.mathvista_polar import polar_options, restated
from vlmpost.answers.spans import answer_region
from vlmpost.answers.values.numbers import NUMBER_IN_TEXT, parse_number
from vlmpost.records import Verdict

MAX_LIST_CHARACTERS: Final = 2000
MAX_LAST_CHARACTERS: Final = 600
"""How much of the end of a text is looked through for its last sentence."""
_BOLD: Final = re.compile(
    rf"(?:\b(?:is|are|was|were|be|equals?|has|have|costs?|needs?)|=|:)\s{{0,3}}(?:(?:about|approximately|exactly|only)\s)?"
    rf"\*\*\s?(?P<number>{NUMBER_IN_TEXT.pattern})[^*\n]{{0,30}}\*\*"
)
_UNKNOWN: Final = re.compile(
    r"\b(?:(?:does|do|did|is|are|was) ?(?:not|n't) (?:provid|contain|specif|includ|giv|mention|show|enough|possible)\w*|as an ai\b"
    r"|(?:unable|impossible|not possible) to|(?:need|require)s? (?:more|additional|further) (?:information|context|details|data)"
    r"|(?:cannot|can't|can not|could not) (?:be )?(?:determin|answer|provid|calculat|tell|see|view|find|solv)\w*|insufficient|not enough)",
    re.IGNORECASE,
)
_SENTENCE_ENDS: Final = (". ", ".\n", "\n", "! ", "? ")
_SENTENCE_STOP: Final = re.compile(r"[.!?](?=\s|\Z)|\n")
_WORDS_END: Final = re.compile(r"\s{0,4}(?:[,.;!\n]|</s>|\Z)")
_LABEL: Final = re.compile(r"^\(?[A-Z][).:]\s{1,3}", re.MULTILINE)
_ITEM: Final = re.compile(r"^\s{0,8}\d{1,3}[.)]\s{1,4}\S", re.MULTILINE)
_THERE: Final = re.compile(
    r"(?:(?:so|thus|therefore|hence|then|in total),?\s)?(?:in total,?\s)?there\s(?:is|are|was|were|will be)\s"
    r"(?:only|exactly|about|approximately|just|a total of)?\s?\*{0,2}(?P<number>\d{1,12}|one|two|three|four|five|six|seven|eight|nine)\b"
    r"(?![.,:/]\d|\s(?:and|or)\s|[^.\n]{0,80}\sand\s(?:\d|one|two|three|four|five))",
    re.IGNORECASE,
)
_BRACKETS: Final = re.compile(r"\[([^\[\]]{1,2000})\]")
_BETWEEN: Final = re.compile(
    rf"\bbetween\s(?:the\s)?(?:years?\s)?\*{{0,2}}(?P<low>{NUMBER_IN_TEXT.pattern})\*{{0,2}}\s(?:and|to)\s"
    rf"\*{{0,2}}(?P<high>{NUMBER_IN_TEXT.pattern})",
    re.IGNORECASE,
)


def soft_choice(text: str, choices: Sequence[str]) -> tuple[int, Verdict] | None:
    """Returns the option marked by its letter in brackets in the last sentence, or said by the first words; None where neither is."""
    region = answer_region(text)
    if region.fault:
        return None
    start, end = _last_sentence(text, region.start, region.end)
    found = read_choice(text[start:end], choices, firm=False)
    if found is not None and found.index is not None and found.start > 1 and text[start + found.start - 1] == "(":
        return found.index, _read(text, start + found.start, start + found.end, "last_sentence_letter")
    labels = list(itertools.islice(_LABEL.finditer(text, region.start, region.end), 2))
    start = labels[0].end() if len(labels) == 1 and labels[0].start() == region.start else region.start
    for index, choice in enumerate(choices):
        end = start + len(choice)
        said = choice[:1].isalpha() and text[start:end].casefold() == choice.casefold()
        if said and _WORDS_END.match(text, end, end + 8):
            return index, _read(text, start, end, "first_words")
    return None


def restated_choice(text: str, question: str, choices: Sequence[str]) -> tuple[int, Verdict] | None:
    """Returns the option that the last or first sentence says by repeating a yes-or-no question as a statement; None without one."""
    options = polar_options(choices)
    region = answer_region(text)
    if not options or not question or region.fault:
        return None
    stop = _SENTENCE_STOP.search(text, region.start, region.end)
    for start, end in (_last_sentence(text, region.start, region.end), (region.start, stop.start() if stop else region.end)):
        if end - start > MAX_LAST_CHARACTERS or text[end : end + 1] == "?" or _UNKNOWN.search(text, start, end):
            continue
        said = restated(question, text[start:end])
        if said in options:
            return options.index(said), _read(text, start, end, "restated_question")
    return None


def soft_number(text: str, start: int, end: int, verdict: Verdict, *, decimal: bool) -> Verdict:
    """Returns what is stated in bold, or by "there are"; else `verdict`, unless nothing is known or it is an item of a list.

    Args:
        text: The response.
        start: Where the part to read begins.
        end: Where it ends.
        verdict: What the generic judge read there.
        decimal: Whether the answer is a decimal, which is not written as a word.
    """
    bold: re.Match[str] | None = None
    for match in _BOLD.finditer(text, start, end):
        bold = match
    if bold is not None:
        return _read(text, *bold.span("number"), "bold_statement")
    sentence = _last_sentence(text, start, end)
    if verdict.span is not None and _UNKNOWN.search(text, *sentence):
        return Verdict("refusal", None, "refusal")
    line = max(start, text.rfind("\n", start, end) + 1)
    if _ITEM.match(text, line) and _ITEM.search(text, max(start, line - MAX_LAST_CHARACTERS), line):
        return Verdict("unparsed", None, "list_item")
    there = _THERE.match(text, *sentence)
    if there is not None:
        return _read(text, *there.span("number"), "there_is")
    if decimal and verdict.extracted is not None and verdict.extracted.isalpha():
        digits = [match for match in NUMBER_IN_TEXT.finditer(text, *sentence) if parse_number(match.group()) is not None]
        if digits:
            return _read(text, *digits[-1].span(), "digits_not_words")
    return verdict


def last_list(text: str, start: int, end: int) -> tuple[tuple[Fraction, ...], tuple[int, int]] | None:
    """Returns the last list of numbers in square brackets with its place, else the last "between 2007 and 2008"; None without one."""
    found = None
    for match in _BRACKETS.finditer(text, start, end):
        numbers = number_list(match.group(1))
        found = (numbers, match.span()) if numbers is not None else found
    if found is not None:
        return found
    for match in _BETWEEN.finditer(text, start, end):
        numbers = number_list(f"{match['low']},{match['high']}")
        found = (numbers, match.span()) if numbers is not None else found
    return found


def number_list(text: str) -> tuple[Fraction, ...] | None:
    """Returns the values of a comma-separated list of plain numbers; None where one is none."""
    if len(text) > MAX_LIST_CHARACTERS:
        return None
    parsed = [parse_number(part.strip().strip("'\"")) for part in text.split(",") if part.strip()]
    values = [number.value for number in parsed if number is not None]
    return tuple(values) if values and len(values) == len(parsed) else None


def before_closing_question(text: str, start: int, end: int) -> int:
    """Returns the end of the text without a last line that asks something, if anything stands before it."""
    line = text.rfind("\n", start, end) + 1
    if text[end - 1] != "?" or line <= start:
        return end
    while line > start and text[line - 1].isspace():
        line -= 1
    return line if line > start else end


def _read(text: str, start: int, end: int, rule: str) -> Verdict:
    return Verdict("wrong", text[start:end].strip(), rule, (start, end))


def _last_sentence(text: str, start: int, end: int) -> tuple[int, int]:
    while end > start and (text[end - 1].isspace() or text[end - 1] in ".!"):
        end -= 1
    start = max(start, end - MAX_LAST_CHARACTERS)
    ends = [text.rfind(mark, start, end) + len(mark) for mark in _SENTENCE_ENDS if text.rfind(mark, start, end) >= 0]
    return max([start, *ends]), end
