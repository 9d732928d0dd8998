"""What a text that announces no answer chooses: by its last or first line, its sentences, or the only option in it.

Values stand in every sentence of a calculation and options are named in every discussion, so a sentence decides only where it
states an option; a text cut off in the middle decides nothing by values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vlmpost.answers.choice import labels
from vlmpost.answers.choice.options import options
from vlmpost.answers.choice.places import MAX_ANSWER_CHARACTERS, Found, continues_list, is_item, read_place
from vlmpost.answers.choice.reading import MAX_CHOICES, Choice
from vlmpost.answers.spans import Region, after_refusal, first_sentence, sentences_backward

MAX_CLOSING_CHARACTERS = 3000
"""Sentences are looked for in this much of the end of the text."""
MAX_SENTENCES = 12
MAX_LAST_SENTENCES = 3
MAX_SHORT_TEXT_CHARACTERS = 500
"""In a text up to this long the first sentence counts before the last, and the only option named anywhere counts."""
MAX_UNCLOSED_CHARACTERS = 200
"""A text up to this long is taken for a whole one though no mark ends it."""
_CONCLUDING = re.compile(
    r"\W{0,8}(?:therefore|thus|hence|so|in conclusion|consequently|overall|as a result|finally|based on|to conclude|in summary|accordingly"
    r"|given (?:this|these)|\u56e0\u6b64|\u6240\u4ee5)\b",
    re.IGNORECASE,
)
_NONE = re.compile(
    r"\b(?:neither|none of|no match|not possible|cannot|can't|impossible|not (?:an option|available|among|one of"
    r"|provided|listed)|mistake in)\b",
    re.IGNORECASE,
)
_CLOSING_MARKS = ".!?)*$]'\"`"
_POLARITY = re.compile(
    r"(?:\A|[,.;:!\n]\s{1,3}|\b(?:so|thus|therefore|hence)\s)[*\"'(]{0,3}(yes|no|true|false)(?=[*\"')]{0,3}(?:[,.;:!]|\s*\Z))",
    re.IGNORECASE,
)
_FRAGMENT = re.compile(r"\s*(?:[a-z]|\d{1,2}\.)\s*")
"""A line that is a variable or the number of a list item."""
_LIKELY = re.compile(r"\b(?:likely|probabl[ey]|suggests?|believe|better|best guess|would guess)\b", re.IGNORECASE)


def unannounced(text: str, region: Region, area: tuple[int, int], line: tuple[int, int], choices: tuple[str, ...]) -> Found | None:
    """Returns what a text without an announcement chooses: a labelled last or first line, then sentences, then the only option there is."""
    start, end = area
    unread = is_item(text, *line) or (line[0] > start and (_FRAGMENT.fullmatch(text, *line) or continues_list(text, line[0])))
    last = None if unread else read_place(text, "last_line", *line, choices, firm=False)
    if last is not None and last.choice is not None and last.choice.sure and line[0] > start:
        return last
    newline = text.find("\n", start, end)
    first_end = newline + 1 if newline >= 0 else end
    shown = labels.clean(text[start : min(first_end, start + MAX_ANSWER_CHARACTERS)])
    if labels.leading(shown, len(choices) or MAX_CHOICES, firm=False) is not None and not is_item(text, start, end):
        first = read_place(text, "first_line", start, first_end, choices, firm=False)
        if first is not None:
            return first
    polarity = _polarity(text, start, end, choices)
    if polarity is not None:
        return polarity
    refused = after_refusal(text, region)
    if refused is not None:
        likely = _LIKELY.search(text, refused, end)
        return read_place(text, "likely", refused, end, choices, firm=False) if likely else None
    places = _sentences(text, start, end)
    found = _concluded(text, area, places, choices)
    if found is not None and found.choice is not None and (found.choice.rule != "choice_text" or found.choice.stated):
        return found
    marked = _only_marked(text, start, end, choices)
    if marked is not None and (found is None or found.choice is None or not found.choice.sure):
        return marked
    if found is None and any(_CONCLUDING.match(text, *place) and _NONE.search(text, *place) for place in places):
        return None
    return found or _from_sentences(text, start, end, choices) or _only_named(text, start, end, choices)


def _polarity(text: str, start: int, end: int, choices: tuple[str, ...]) -> Found | None:
    """The option "yes" or "no" where the beginning holds one of the words, set off by marks, and not both."""
    stretch = text[start : min(end, start + MAX_SHORT_TEXT_CHARACTERS)]
    found = {match.group(1).casefold(): match for match in _POLARITY.finditer(stretch)}
    if len(found) != 1 or not choices:
        return None
    word, match = found.popitem()
    index = options(choices).equal(word)
    if index is None:
        return None
    return Found("set_off_word", start + match.start(1), start + match.end(1), Choice(index, "choice_text", sure=True))


def _sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The last sentences, last first, without the lines of a list."""
    closing = max(start, end - MAX_CLOSING_CHARACTERS)
    places = [place for place, _ in zip(sentences_backward(text, closing, end), range(MAX_SENTENCES), strict=False)]
    return [(left, right) for left, right in places if not is_item(text, left, end)]


def _concluded(text: str, area: tuple[int, int], places: Sequence[tuple[int, int]], choices: tuple[str, ...]) -> Found | None:
    """What the last sentence that opens with "therefore" or the like says."""
    short = _is_brief(*area)
    for number, (left, right) in enumerate(places):
        if _CONCLUDING.match(text, left, right):
            found = read_place(text, "conclusion", left, right, choices, firm=False)
            last = number < MAX_LAST_SENTENCES and _is_closed(text, *area)
            if found is None or found.choice is None:
                continue
            if _is_decided(text, found, choices, short=short or found.choice.rule == "choice_text", last=last):
                return found
    return None


def _from_sentences(text: str, start: int, end: int, choices: tuple[str, ...]) -> Found | None:
    """What the first sentence decides, else what the last sentences of the text decide."""
    short = _is_brief(start, end)
    places = _sentences(text, start, end)
    first = first_sentence(text, start, end)
    if not is_item(text, start, end):
        found = read_place(text, "first_sentence", *first, choices, firm=False)
        last = len(places) <= 2 and "=" not in text[slice(*first)]
        opens = found is not None and found.choice is not None and found.choice.opens
        if found is not None and _is_decided(text, found, choices, short=short or opens, last=last):
            return found
    readings = [read_place(text, "sentence", left, right, choices, firm=False) for left, right in places[:MAX_LAST_SENTENCES]]
    for number, found in enumerate(readings):
        last = number == 0 and _is_closed(text, start, end)
        if found is not None and _is_decided(text, found, choices, short=short, last=last):
            return found
    return next((found for found in readings if found is not None and found.choice is not None and found.choice.index is None), None)


def _is_brief(start: int, end: int) -> bool:
    return end - start <= MAX_SHORT_TEXT_CHARACTERS


def _is_closed(text: str, start: int, end: int) -> bool:
    """Whether the text ends by itself and was not cut off."""
    return text[end - 1] in _CLOSING_MARKS or end - start <= MAX_UNCLOSED_CHARACTERS


def _is_decided(text: str, found: Found, choices: tuple[str, ...], *, short: bool, last: bool) -> bool:
    """Whether a sentence decides: by a letter, or by an option text that is stated or stands in a short text.

    Values stand in every sentence of a calculation, so they decide only in the last one; a sentence that says "neither" or
    "cannot" decides by a marked letter only.
    """
    choice = found.choice
    if choice is None or choice.index is None:
        return False
    if choice.sure:
        return True
    if _NONE.search(text, found.start, found.end):
        return False
    if choice.rule == "choice_text" and options(choices).is_formula(choice.index) and not last:
        return False
    return short or choice.stated


def _only_marked(text: str, start: int, end: int, choices: tuple[str, ...]) -> Found | None:
    """The only letter that is marked as an option near the end."""
    tail = max(start, end - MAX_CLOSING_CHARACTERS)
    shown = labels.shade(labels.clean(text[tail:end]))
    places = labels.strong(shown, len(choices) or MAX_CHOICES)
    if len({shown[place] for place in places}) != 1 or labels.foreign(shown, len(choices) or MAX_CHOICES):
        return None
    place = places[-1]
    return Found("only_letter", tail, end, Choice(ord(shown[place]) - 65, "choice_letter", place, place + 1))


def _only_named(text: str, start: int, end: int, choices: tuple[str, ...]) -> Found | None:
    """The only option whose text a short text holds."""
    if end - start > MAX_SHORT_TEXT_CHARACTERS or not choices or is_item(text, start, end):
        return None
    if _NONE.search(text, start, end):
        return None
    indices = {name.index for name in options(choices).named(labels.shade(text[start:end])) if not name.formula}
    return Found("only_text", start, end, Choice(indices.pop(), "choice_text")) if len(indices) == 1 else None
