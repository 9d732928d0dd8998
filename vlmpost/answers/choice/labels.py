"""Finds option letters that stand for an option in a text: "(B)", "B.", "option B", a lone "B".

Never a letter inside a word, the article A, the pronoun I, or a letter that names a thing (point B, f(A)). What the letters
decide is `reading.py`. Every pattern is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LETTERS = "ABCDEFGHIJ"
_WRAPPER = re.compile(
    r"\\(?:text[a-z]*|math(?:rm|bf|it|sf|tt|bb)|mbox|f?box(?:ed)?|boldsymbol|bf|rm|it)(?![A-Za-z])\s{0,3}"
    r"|\\(?:[()\[\],;:! ]|q?quad(?![A-Za-z]))"
)
_SCRIPT = re.compile(r"[_^]\{[^{}]{0,60}\}")
_MARKS = str.maketrans(
    {
        **dict.fromkeys("$`{}\u00a0\u300c\u300d", " "),
        **dict.fromkeys('"\u201c\u201d', "'"),
        **{"\uff08": "(", "\uff09": ")", "\u3010": "[", "\u3011": "]", "\u3002": ".", "\uff0c": ",", "\u3001": ",", "\uff1a": ":"},
        **{chr(0xFF21 + index): letter for index, letter in enumerate(_LETTERS)},
    }
)
_SHADES = re.compile(
    r"\b(?:than|compared (?:to|with)|in comparison (?:to|with)|in contrast to|as opposed to|unlike|whereas|while|but not)\b[^,;.\n]*"
    r"|,\s(?:which|who|that)\b[^,;.\n]{0,200},"
    r"|\b(?:all )?(?:the )?(?:other|remaining|rest of the|incorrect|wrong) (?:[a-z]{1,20} ){0,2}"
    r"(?:option|choice|answer|statement|image|point|picture)s?\b[^,;.\n]*(?:,[^;.\n]{0,200}\b(?:and|or)\b[^,;.\n]*)?",
    re.IGNORECASE,
)
_BRACKET = re.compile(r"(?<![A-Za-z0-9_)\]])[(\[]\s{0,2}([A-J])\s{0,2}[)\]](?![A-Za-z0-9_(])")
_NAMED = re.compile(
    r"\b(?:[Oo]ption|[Cc]hoice|[Ll]etter|[Aa]nswer|OPTION|ANSWER)s?\s{0,3}:?\s{0,3}[(\[*']{0,3}([A-J])(?![A-Za-z0-9_'\u2019])"
    r"(?!\s{0,2}(?:,|/|and|or|&)\s{0,2}(?:and\s|or\s)?[(\[]?[A-J](?![A-Za-z]))"
)
_MARKED = re.compile(
    r"(?:(?<=\bis\s)|(?<=\bbe\s)|(?<=\bare\s)|(?<=:\s)|(?<=\*\*)|^[\s>*#_-]{0,8})([A-J])\)|\*\*\s{0,2}\(?([A-J])(?:[).:]|\s{0,2}\*\*)|(?<![A-Za-z0-9])'([A-J])[.,]?'"
    r"|^[\s>*#_-]{0,8}([A-J])(?:[.:](?=\s|\*|\Z)|\s*$)",
    re.MULTILINE,
)
_DOTTED = re.compile(r"(?<![A-Za-z0-9_'\u2019\\.-])([A-J])[:.)](?=\s|\*|\Z)")
_LONE = re.compile(r"(?<![A-Za-z0-9_'\u2019\\.^-])([A-J])(?![A-Za-z0-9_'\u2019^(\u00b0]|-[A-Za-z0-9])")
_REFUSED_BEFORE = re.compile(
    r"(?:\b(?:not|nor|neither|rather than|instead of|except|exclud(?:e|es|ed|ing)|eliminat(?:e|es|ed|ing)"
    r"|rul(?:e|es|ed|ing) out|discard|reject)"
    r"|n't(?: be)?)\s{1,3}(?:the |answer |choose |be )?(?:option|choice|answer|letter|image|picture|point|box)?s?\s{0,3}[(\[*\"']{0,3}\Z",
    re.IGNORECASE,
)
_REFUSED_AFTER = re.compile(
    r"[)\]*\"'.:]{0,4}(?:\s{0,2}\([^()\n]{0,80}\))?,?\s{1,3}(?:(?:is|are|was|were|would|can|could|may|does|do|did|has|seems|will|should)\s{1,2})?"
    r"(?:be\s|also\s|clearly\s|therefore\s|thus\s)?(?:not|cannot|isn't|aren't|wasn't|doesn't|can't|incorrect|wrong|false|eliminated|excluded|ruled\sout"
    r"|out|unlikely|less)\b",
    re.IGNORECASE,
)
_ITEM_BEFORE = re.compile(
    r"\b(?:points?|angles?|figures?|graphs?|lines?|vertex|segments?|triangles?|class(?:es)?|types?|vitamins?|groups?|sections?|players?|plans?"
    r"|circles?|squares?|lens|bulbs?|stations?|nodes?|factors?|blocks?|vectors?|products?|cities|city|towns?|persons?|cases?|columns?|rows?"
    r"|hepatitis|machines?|planes?|parts?|phases?|variables?|events?|sets?|matrix|matrices|balls?|objects?|solutions?|samples?|companies|company"
    r"|side|arc|both|plus|minus|between)\s{1,2}\Z"
)
_LISTED = re.compile(
    r"[\s*(\[]{0,6}([A-J])[\])*.]{0,3}\s{0,16}(?:,|and|&|or|/|\+)\s{0,16}(?:(?:and|or|option|also)\s{1,9})?[(\[*]{0,3}([A-J])(?![A-Za-z0-9_'])"
)
_LEAD = re.compile(
    r"[\s*_#>\[(-]{0,12}([A-J])(?:(?:\*\*|[)\]]){0,2}(?:[.:)\]]|\*\*|\s{0,2}[-\u2013\u2014]\s|\s*\n)|\s*,(?=\s)|(?<=\()\s{0,2}\)|\s*\Z)"
)
_LEAD_WORDS = re.compile(
    r"[\s*_]{0,6}(?:(?:most likely|likely|probably|clearly|therefore|thus|indeed|simply|actually|definitely|the|correct|following|option"
    r"|choice|letter|answer|statement|image|picture|either|is|that|in|be)\b[\s:*]{0,4}){0,5}[(\[*]{0,3}([A-J])(?![A-Za-z0-9_'\u2019(^]|-[A-Za-z0-9])",
    re.IGNORECASE,
)
_AFTER_TERM = ("=", "+", "^", "<", ">", "\\", "\u2220")
_BEFORE_TERM = ("+", "^", "\\", "\u2220", "<", ">", "\u2261", "\u2228", "\u2227")
_ITEM_WORDS = re.compile(r"\b(?:image|picture)\b", re.IGNORECASE)


def clean(text: str) -> str:
    """Returns the text without wrappers, quotes and full-width marks, every character at its old position."""
    if "\\" in text:
        text = _WRAPPER.sub(lambda match: " " * len(match.group()), text)
    if "_{" in text or "^{" in text:
        text = _SCRIPT.sub(lambda match: "_" * len(match.group()), text)
    return text.translate(_MARKS)


def shade(text: str) -> str:
    """Returns the text with blanks for what is only compared with, set aside or said aside ("than B", ", which ...,")."""
    return _SHADES.sub(lambda match: " " * len(match.group()), text)


def leading(text: str, count: int, *, firm: bool) -> int | None:
    """Returns where the letter stands that a cleaned text opens with, as in "(B) green"; None if there is none or several are listed.

    Args:
        text: A cleaned text.
        count: How many options there are.
        firm: Whether an answer is due here, so that "B because ..." opens with a letter too.
    """
    match = _LEAD.match(text)
    if match is not None and match.group(1) in "AI" and text[match.end(1) :].lstrip(" ").startswith((",", "-")):
        match = None
    if match is None and firm:
        match = _LEAD_WORDS.match(text)
        if match is not None and not _is_leading_letter(text, match):
            match = None
    if match is None or ord(match.group(1)) - 65 >= count:
        return None
    listed = _LISTED.match(text, match.start(1))
    if listed is not None and all(ord(letter) - 65 < count for letter in listed.groups()):
        return None
    return None if _REFUSED_AFTER.match(text, match.end(1)) else match.start(1)


def _is_leading_letter(text: str, match: re.Match[str]) -> bool:
    place = match.start(1)
    return text[place].isupper() and not (is_word(text, place) or _ITEM_WORDS.search(match.group()) or _is_term(text, place))


def strong(text: str, count: int) -> list[int]:
    """Returns the positions of the letters that are marked as options, in order, without those that are set aside."""
    places = {
        match.start(match.lastindex or 0)
        for pattern in (_BRACKET, _NAMED, _MARKED)
        for match in pattern.finditer(text)
        if not (
            (pattern is _NAMED and match.group()[0] in "aA" and is_word(text, match.start(1)))
            or (pattern is _MARKED and match.group(1) and _names_an_item(text, match.start(1)))
        )
    }
    return standing(text, sorted(places), count)


def foreign(text: str, count: int) -> bool:
    """Whether a letter in brackets names no option of the question, so that the letters follow another list."""
    return any(ord(match.group(1)) - 65 >= count for match in _BRACKET.finditer(text))


def dotted(text: str, count: int) -> list[int]:
    """Returns the positions of letters with a point or colon before more text, as in "the solution is B: 5"."""
    return standing(text, [match.start(1) for match in _DOTTED.finditer(text) if not ends(text, match.end())], count)


def weak(text: str, count: int) -> list[int]:
    """Returns the positions of lone letters that may name an option, in order."""
    places = [match.start(1) for match in _LONE.finditer(text)]
    places = [place for place in places if not (is_word(text, place) or _is_term(text, place) or _names_an_item(text, place))]
    return standing(text, places, count)


def is_word(text: str, place: int) -> bool:
    """Whether the letter is the article A or the pronoun I: a lower-case word follows."""
    return text[place] in "AI" and re.match(r"\s+(?!and\b|or\b|is\b|because\b|since\b|as\b)[a-z]", text[place + 1 : place + 20]) is not None


def _is_term(text: str, place: int) -> bool:
    """Whether the letter stands in a formula, as in x = C + 1."""
    after, before = text[place + 1 : place + 4].lstrip(), text[max(0, place - 3) : place].rstrip()
    return after[:1] in _AFTER_TERM or before[-1:] in _BEFORE_TERM


def _names_an_item(text: str, place: int) -> bool:
    return _ITEM_BEFORE.search(text, max(0, place - 20), place) is not None


def standing(text: str, places: Sequence[int], count: int) -> list[int]:
    """Returns those of the positions whose letter is an option and is not set aside ("not B", "B is wrong")."""
    return [
        place
        for place in places
        if ord(text[place]) - 65 < count
        and not _REFUSED_BEFORE.search(text, max(0, place - 48), place)
        and not _REFUSED_AFTER.match(text, place + 1)
    ]


def ends(text: str, place: int) -> bool:
    """Whether nothing but marks follows."""
    return not text[place : place + 200].strip(" .)*]\t\n!'")
