"""One stretch of a text read as a choice, with where it stands and why it was read there; and lists of options told from answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vlmpost.answers.choice.reading import Choice, read_choice
from vlmpost.answers.spans import Span

MAX_ANSWER_CHARACTERS = 2000
"""Nothing longer is taken for an answer."""
_ITEM = re.compile(r"[ \t>*_#-]{0,8}[(\[]?([A-Za-z])[)\].:][)*]{0,2}(?=\s|\Z)")
_ITEM_START = re.compile(r"[ \t>*_#-]{0,8}(?:[(\[]?[A-Za-z][)\].:]{1,2}[ \t*]{0,8})?")
_BLANKS = re.compile(r"\s*")
_FIRST_LETTER = re.compile(r"\W{0,12}([A-Za-z])")


@dataclass(frozen=True, slots=True)
class Found:
    """What was read and where; `choice` None where a firm place holds no option."""

    rule: str
    start: int
    end: int
    choice: Choice | None


def read_place(text: str, rule: str, start: int, end: int, choices: tuple[str, ...], *, firm: bool) -> Found | None:
    """Returns what [start, end) says, cut at the most characters an answer may have; None where nothing can be read."""
    if end - start > MAX_ANSWER_CHARACTERS:
        end = start + MAX_ANSWER_CHARACTERS
    choice = read_choice(text[start:end], choices, firm=firm)
    return None if choice is None else Found(rule, start, end, choice)


def is_list_item(text: str, span: Span, end: int) -> bool:
    """Returns whether the span stands in an item of a list, as after "all the answers:" where a list follows."""
    line = text.rfind("\n", 0, span.start) + 1
    return bool(_ITEM_START.fullmatch(text, line, span.start)) and is_item(text, line, end)


def is_item(text: str, place: int, end: int) -> bool:
    """Returns whether the line at `place` is one of several lines that each open with another letter, as in a list of options."""
    line = _ITEM.match(text, place, end)
    if line is None:
        return False
    newline = text.find("\n", place, end)
    below = _BLANKS.match(text, newline, end) if newline >= 0 else None
    begin = text.rfind("\n", 0, place) + 1
    above_end = len(text[max(0, begin - 200) : begin].rstrip()) + max(0, begin - 200)
    above = text.rfind("\n", 0, above_end) + 1
    neighbours = [
        _ITEM.match(text, below.end(), end) if below else None,
        _ITEM.match(text, above, above_end) if above_end > above else None,
    ]
    return any(item is not None and item.group(1) != line.group(1) for item in neighbours)


def continues_list(text: str, place: int) -> bool:
    """Returns whether the letter at the start of this line follows on an item with the letter before it, as where a list was cut off."""
    above_end = len(text[max(0, place - 400) : place].rstrip()) + max(0, place - 400)
    above = _ITEM.match(text, text.rfind("\n", 0, above_end) + 1, above_end)
    letter = _FIRST_LETTER.match(text, place)
    return above is not None and letter is not None and ord(letter.group(1)) - ord(above.group(1)) == 1
