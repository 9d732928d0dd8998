"""Reads what a sentence states: which of its numbers, formulas or phrases is the answer. Where to look is `spans.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vlmpost.answers.spans import Span, sentences_backward
from vlmpost.answers.values import units
from vlmpost.answers.values.moments import read_ratio
from vlmpost.answers.values.number_words import WORDS_IN_TEXT, read_words
from vlmpost.answers.values.numbers import NUMBER_IN_TEXT, parse_decimal_comma, parse_number
from vlmpost.answers.values.structures import read_parts

MAX_ANSWER_CHARACTERS: Final = 2000
"""Nothing longer is taken for an answer."""

MATH: Final = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$(?!\d)|\\\(((?:[^\\]|\\[^()])+)\\\)|\\\[((?:[^\\]|\\[^\[\]])+)\\\]", re.DOTALL)
"""A formula in running text; the group that matched is its content."""
_SEVERAL = re.compile(r"[\s$]*,?[\s$]*(?:or|and)[\s$]+|[\s$]*,[\s$]*")
_EITHER = re.compile(r"[\s$]*,?[\s$]*(?:or|and|to)[\s$]+(?:[A-Za-z]\s*=\s*)?")
_BETWEEN_FORMULAS = re.compile(r"[\s,;]*(?:or|and)?\s*")
_STATES = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|has|have|had|gives?|gets?|total of|makes|leaves|leaving|giving|so|thus|hence|therefore)"
    r"|[=:\u2248])"
    r"\s*(?:approximately|about|around|roughly|exactly|only|equal to|also|now|then)?[\s*$\\(]{0,6}\Z",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"\b(?:at least|at most|more than|less than|fewer than|greater than|up to|over|under|between|of the|from)[\s*$\\(]{0,4}\Z",
    re.IGNORECASE,
)
_DEFINITE = re.compile(
    r"\b(?:the|of|these|those|this|that|all|both|any|each|other|another|every|last|first|no|which|next|same|than|at|as|by)\s+\Z|[a-z]est\s+\Z",
    re.IGNORECASE,
)
_RELATIVE = re.compile(r"\b(?:that|who|which)\s+(?:has|have|had|contains?)\s+(?:exactly|only|at least|at most)?[\s$]{0,3}\Z", re.IGNORECASE)
_TABLE_ROW = re.compile(r"[^|\n]*\|[^\n]*\Z|\s*(?:\d{1,3}[.)]|[-*\u2022])?\s*[^:.\n=]{1,40}:\s*[$\d.,%/() ]{1,20}\Z")
_IS = re.compile(r"(?:\bis|\bare|\bequals?|\bwas|\bwere|:)\s+", re.IGNORECASE)
_CALLED = re.compile(r"\b(?:called|named|known as|says?|reads?|spells?|labell?ed|titled)\s+(?:the\s+)?", re.IGNORECASE)
_ASIDE = re.compile(
    r",?\s+(?:which|because|since|as|where|who|so|according to|based on"
    r"|(?:shown )?in the (?:image|picture|photo|figure|diagram|graph|chart|table))\b"
)
_GLUED_BEFORE = re.compile(r"[\d)+*/^\u00d7\u00b7-]\s?\Z")
_GLUED_BEHIND = re.compile(r"\s?[*/^+\u00d7\u00b7(]|\d")
_BOUND_BEHIND = re.compile(r"\s?or (?:more|fewer|less|greater|higher|lower)\b")
_QUOTED = re.compile(r"[\"\u201c]([^\"\u201c\u201d\n]{1,200})[\"\u201d]")
_CODE = re.compile(r"\s*(?:print|return)\b[ (]")
_BLANK = re.compile(r"_{3,}")
_ENVIRONMENT_END = re.compile(r"\s*\\end\{(?:aligned|align\*?|gathered|split|equation\*?)\}\s*\Z")
_ORDINAL_NEXT = re.compile(r"(?:st|nd|rd|th)(?![A-Za-z])")
_FORMULA_NEXT = re.compile(
    r"[\u03c0\u221a^({]|\s?\\(?:pi|sqrt|frac|cdot|times|log|ln|sin|cos|tan)(?![A-Za-z])|\s?(?:pi|sqrt)\b|[A-Za-z](?![A-Za-z]{2})"
    r"|\s?[-+*/\u00d7\u00f7\u00b7\u2212^]\s?(?=[\d(\\]|(?:[a-zA-Z]|sin|cos|tan|log|ln|exp|sqrt|pi)\b)"
)
_FORMULA_RUN = re.compile(
    r"(?:[\d\s.+*/^(){}!_|\u00d7\u00f7\u00b7\u2212\u03c0\u221a-]|\\[A-Za-z]+|\b(?:sin|cos|tan|cot|log|ln|exp|sqrt|pi|e)\b|(?<![A-Za-z])[A-Za-z](?![A-Za-z]))*"
)
_SUM = re.compile(r"[\d\s.+*/()\u00d7\u00f7\u2212=-]*[-+*/\u00d7\u00f7\u2212][\d\s.+*/()\u00d7\u00f7\u2212=-]*")


@dataclass(frozen=True, slots=True)
class Reading:
    """A place that states the answer."""

    start: int
    end: int
    several: bool = False
    """Whether several values stand there side by side."""


def read_number(text: str, span: Span) -> Reading | None:
    """Returns where a soft span states its number: the whole span, its first number after a phrase, else the one it states last.

    A number that is only part of a formula is not the answer; the formula is.
    """
    start, end = span.start, min(span.end, span.start + 10 * MAX_ANSWER_CHARACTERS)
    if end - start <= MAX_ANSWER_CHARACTERS:
        if _is_number(text[start:end]) or (span.rule == "whole_text" and ":" in text[start:end] and read_ratio(text[start:end])):
            return Reading(start, end)
        if span.rule == "whole_text" and _is_one_formula(text[start:end]) and not MATH.search(text, start, end):
            return Reading(after_equals(text, start, end), end)
    if span.rule == "whole_text" and _is_plain_list(text[start:end]):
        return Reading(start, end, several=True)
    forward = "phrase" in span.rule or span.rule == "answer_tag"
    line = max(start, text.rfind("\n", start, end) + 1)
    if not forward and (_CODE.match(text, line, end) or _BLANK.search(text, line, end) or _in_table(text, line, end)):
        return None
    for left, right in [(start, end)] if forward else sentences_backward(text, start, end):
        place = _in_sentence(text, left, right, forward=forward)
        if place is not None:
            return place
    return None


def read_expressions(written: str, *, symbols: bool) -> list[str]:
    """Returns the parts of a sentence that may be the answer itself, likeliest first.

    Args:
        symbols: Whether the answer may be a formula.
    """
    readings = []
    areas = [area for area in MATH.finditer(written) if not _is_glued(written, area)] if symbols else []
    formulas = [_ENVIRONMENT_END.sub("", next(group for group in match.groups() if group)) for match in areas]
    if formulas:
        first = len(areas) - 1
        while first > 0 and _BETWEEN_FORMULAS.fullmatch(written, areas[first - 1].end(), areas[first].start()):
            first -= 1
        if first < len(areas) - 1:
            readings.append(", ".join(formulas[first:]))
        readings.append(formulas[-1])
        if "=" in formulas[-1]:
            readings.append(formulas[-1][after_equals(formulas[-1], 0, len(formulas[-1])) :])
    for pattern in (_CALLED, _IS):
        after = list(pattern.finditer(written))
        for match in dict.fromkeys((after[-1], after[0])) if after else ():
            readings.append(written[match.end() :])
            aside = _ASIDE.search(readings[-1])
            if aside is not None and aside.start():
                readings.append(readings[-1][: aside.start()])
    quoted = _QUOTED.findall(written)
    if len(quoted) == 1:
        readings.append(quoted[0])
    return readings or [written]


def _is_glued(text: str, area: re.Match[str]) -> bool:
    """Whether a formula is only part of one that goes on outside the dollar signs, as in `16 $\\pi$`."""
    return (
        _GLUED_BEFORE.search(text, max(0, area.start() - 2), area.start()) is not None or _GLUED_BEHIND.match(text, area.end()) is not None
    )


def after_equals(text: str, start: int, end: int) -> int:
    """Returns the place after the last equals sign that is not inside braces; `start` where there is none."""
    depth = 0
    for place in range(end - 1, start - 1, -1):
        depth += (text[place] == "}") - (text[place] == "{")
        if text[place] == "=" and depth == 0:
            return place + 1
    return start


def _is_plain_list(text: str) -> bool:
    """Whether the text is several numbers and nothing else."""
    parts = read_parts(text) if "," in text or " and " in text or " or " in text else None
    return parts is not None and len(parts.items) > 1 and all(parse_number(item) is not None for item in parts.items)


def _in_sentence(text: str, left: int, right: int, *, forward: bool) -> Reading | None:
    opening = left
    if forward and NUMBER_IN_TEXT.search(text, after_equals(text, left, right), right):
        left = after_equals(text, left, right)
    found = _numbers(text, left, right)
    if not found:
        return None
    if forward and _is_bare_formula(text, left, found[0].start(), right):
        return Reading(left, right)
    match = found[0] if forward else _stated(text, left, found)
    if match is None:
        return None
    if _is_listed(text, found, match, forward=forward):
        last = min(found.index(match) + 1, len(found) - 1)
        return Reading(min(match.start(), found[last - 1].start()), found[last].end(), several=True)
    formula = next((area for area in MATH.finditer(text, opening, right) if area.start() <= match.start() < area.end()), None)
    if formula is None:
        return _with_unit(text, match, right)
    start, end = formula.span(formula.lastindex or 0)
    if parse_number(text[start:end]) is None and "=" in text[start:end]:
        return Reading(after_equals(text, start, end), end)
    return Reading(start, end)


def _in_table(text: str, start: int, end: int) -> bool:
    """Whether a last line is a row of a table or list of values, the line before it one too."""
    if end - start > 200 or not _TABLE_ROW.match(text, start, end):
        return False
    stop = start - 1
    while stop > 0 and text[stop - 1].isspace():
        stop -= 1
    begin = text.rfind("\n", max(0, stop - 300), stop) + 1
    return 0 < begin < stop and "answer" not in text[start:end].lower() and _TABLE_ROW.match(text, begin, stop) is not None


def _numbers(text: str, left: int, right: int) -> list[re.Match[str]]:
    found = [match for match in NUMBER_IN_TEXT.finditer(text, left, right) if _is_number(match.group())]
    words = [match for match in WORDS_IN_TEXT.finditer(text, left, right) if read_words(match.group()) is not None]
    return sorted([*found, *words], key=re.Match.start) if words else found


def _is_number(text: str) -> bool:
    return parse_number(text) is not None or ("," in text and parse_decimal_comma(text) is not None)


def _stated(text: str, start: int, found: list[re.Match[str]]) -> re.Match[str] | None:
    """The last number that follows a word like "is", else the last digits that bound nothing, else the last free number word."""
    stated = [match for match in found if _STATES.search(text, max(start, match.start() - 40), match.start())]
    main = [match for match in stated if not _RELATIVE.search(text, max(start, match.start() - 40), match.start())]
    main = [match for match in main if not _BOUND_BEHIND.match(text, match.end())] or main
    if stated:
        return (main or stated)[-1]
    digits = [match for match in found if not match.group()[:1].isalpha()]
    free = [
        match
        for match in digits
        if not _BOUND.search(text, max(start, match.start() - 20), match.start()) and not _BOUND_BEHIND.match(text, match.end())
    ]
    if digits:
        return (free or digits)[-1]
    words = [match for match in found if not _DEFINITE.search(text, max(start, match.start() - 12), match.start())]
    words = [match for match in words if match.group().lower() != "one"]
    return words[-1] if words else None


def _is_listed(text: str, found: list[re.Match[str]], match: re.Match[str], *, forward: bool) -> bool:
    """Whether the number is the first of several side by side."""
    place = found.index(match)
    if place + 1 == len(found):
        return not forward and place > 0 and _between(text, found[place - 1], match)
    joint = (_SEVERAL if forward else _EITHER).fullmatch(text, match.end(), found[place + 1].start())
    if joint is not None:
        return True
    return place + 2 < len(found) and all(
        _SEVERAL.fullmatch(text, one.end(), other.start())
        for one, other in zip(found[place : place + 2], found[place + 1 : place + 3], strict=True)
    )


def _between(text: str, one: re.Match[str], other: re.Match[str]) -> bool:
    """Whether two numbers are the ends of a range, as in "between 2000 and 2005"."""
    joint = _EITHER.fullmatch(text, one.end(), other.start())
    return joint is not None and _BOUND.search(text, max(0, one.start() - 10), one.start()) is not None


def _with_unit(text: str, match: re.Match[str], right: int) -> Reading:
    """The number with the known unit behind it; with all that is glued to it where it is part of a formula."""
    start, end = match.start(), match.end()
    if text[start] == "$":
        start += 1
    stop = units.known_length(text, end, right)
    if stop == end and _FORMULA_NEXT.match(text, end, right) and not _ORDINAL_NEXT.match(text, end, right):
        run = _FORMULA_RUN.match(text, end, right)
        assert run is not None, "the pattern matches the empty text"
        return Reading(start, start + len(text[start : run.end()].rstrip(" .+*/-(\n")))
    return Reading(start, stop)


def _is_bare_formula(text: str, left: int, first: int, right: int) -> bool:
    """Whether a clause is one formula outside dollar signs that opens with something else than its first number, as in `\\pi/2`."""
    opening = text[left:first].strip(" *+-$\u2212(")
    if not any(mark in opening for mark in "\\/^\u03c0\u221a") or any(mark in opening for mark in ("$", "\\(", "\\[")):
        return False
    run = _FORMULA_RUN.match(text, left, right)
    return run is not None and not text[run.end() : right].strip(" .*")


def _is_one_formula(text: str) -> bool:
    if _SUM.fullmatch(text):
        return True
    return any(mark in text for mark in "\\^{\u03c0\u221a") and text.count("{") == text.count("}")
