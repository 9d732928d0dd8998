"""Reads an option of a multiple-choice question: a letter that stands alone, else the text of exactly one option."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from vlmpost.answers.normal import plain_text
from vlmpost.answers.numbers import parse_number
from vlmpost.errors import GraderError

MAX_CHOICES = 10
_UNWRAP = re.compile(r"\\(?:text[a-z]*|math(?:rm|bf|it)|mbox|boxed)\s*\{([^{}]*)\}")
_MARKS = str.maketrans(
    {
        "\uff08": "(",
        "\uff09": ")",
        "\u3010": "[",
        "\u3011": "]",
        "$": " ",
        "`": " ",
        '"': " ",
        "\u201c": " ",
        "\u201d": " ",
        "{": " ",
        "}": " ",
    }
)
_BARE = re.compile(r"[\s(\[*_]*([A-Ja-j])[\s)\].:*_,;]*\Z")
_STRONG = re.compile(
    r"\(([A-J])\)|\[([A-J])\]|\b(?:[Oo]ption|[Cc]hoice|[Ll]etter|[Aa]nswer)s?\s*:?\s*\(?([A-J])(?![\w'])|(?<![\w'])([A-J])\)"
)
_LEAD = re.compile(r"[\s*_]*\(?([A-J])[).:\]](?=[\s*_]|\Z)")
_MARKED = re.compile(r"\*\*\s*\(?([A-J])\)?[.:]?(?=\s|\*\*)|(?<![\w'\\])([A-J])[:.)](?=\s|\Z)")
_LONE = re.compile(r"(?<![\w'\u2019\\.-])([A-J])(?![\w'\u2019]|-\w)")
_CORRECTION = re.compile(r"\b(?:not|rather than|instead of|wait|actually|but|no,|correction)\b", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:not|rather than|instead of|isn't|eliminate|rule out)\s+(?:option\s+)?\(?\Z", re.IGNORECASE)
_TO_BE_ITEM = re.compile(
    r"\b(?:point|angle|figure|graph|line|vertex|segment|triangle|class|type|vitamin|group|section|player|plan)s?\s+\Z", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which option was read; `index` None with rule "ambiguous" where several letters stand without a decision."""

    index: int | None
    rule: str
    start: int = 0
    end: int = 0


def gold_index(answer: str, choices: Sequence[str]) -> int:
    """Returns the number from 0 of the right option; a valid letter beats an option text that is a letter.

    Raises:
        GraderError: `answer` is neither a letter of the options nor the text of one, or there are too many options.
    """
    if len(choices) > MAX_CHOICES:
        raise GraderError(f"A question has {len(choices)} options; at most {MAX_CHOICES} (A to J) can be judged.")
    count = len(choices) or MAX_CHOICES
    match = _BARE.match(answer)
    if match:
        index = ord(match.group(1).upper()) - ord("A")
        if index < count:
            return index
    wanted = plain_text(answer)
    for index, choice in enumerate(choices):
        if choice == answer or plain_text(choice) == wanted:
            return index
    letters = ", ".join(string.ascii_uppercase[:count])
    raise GraderError(f"The reference answer {answer!r} is neither an option letter ({letters}) nor the text of an option.")


def read_choice(text: str, choices: Sequence[str], *, firm: bool) -> Choice | None:
    """Returns the option that `text` names, or None.

    Args:
        text: What stands where the answer should be.
        choices: Option texts in order A, B, ...; may be empty when they are not known.
        firm: Whether the place is one for answers (a tag, a box, after "the answer is"), so that a letter in a longer
            text is read; elsewhere it must be marked as an option or end the text.
    """
    count = len(choices) or MAX_CHOICES
    match = _BARE.match(text)
    if match:
        index = ord(match.group(1).upper()) - ord("A")
        return Choice(index, "choice_letter", match.start(1), match.end(1)) if index < count else _by_text(text, choices)
    shown = _unwrap(text)
    match = _BARE.match(shown)
    if match and ord(match.group(1).upper()) - ord("A") < count:
        return Choice(ord(match.group(1).upper()) - ord("A"), "choice_letter")
    lead = _leading(shown, count)
    if lead is not None:
        return lead
    if choices:
        exact = _equal_option(shown, choices)
        if exact is not None:
            return Choice(exact, "choice_text")
    found = _letter(shown, count, firm)
    if found is not None:
        return found
    return _by_text(shown, choices)


def _unwrap(text: str) -> str:
    """The text without wrappers, at the same positions where nothing was wrapped."""
    for _ in range(4):
        unwrapped = _UNWRAP.sub(r" \1 ", text)
        if unwrapped == text:
            break
        text = unwrapped
    return text.translate(_MARKS)


def _leading(text: str, count: int) -> Choice | None:
    """The letter a text opens with, as in "(B) green", unless others are listed beside it or it is taken back."""
    lead = _LEAD.match(text)
    if lead and ord(lead.group(1)) - 65 < count and not (lead.group(1) in "AI" and text[lead.end() - 1] not in ").:]"):
        others = {letter for _, letter in _hits(_STRONG, text[lead.end() :], count)}
        if (not others - {lead.group(1)} or not _CORRECTION.search(text)) and not _listed(text, count):
            return Choice(ord(lead.group(1)) - 65, "choice_letter")
    return None


def _letter(text: str, count: int, firm: bool) -> Choice | None:
    for pattern in (_STRONG, _MARKED, _LONE):
        hits = _hits(pattern, text, count)
        if pattern is _LONE:
            hits = [hit for hit in hits if not _is_word(text, hit[0]) and not _names_an_item(text, hit[0])]
            if hits and not firm and not (len({letter for _, letter in hits}) == 1 and text[hits[-1][0] + 1 :].strip(" .)*\t") == ""):
                return None
        hits = [hit for hit in hits if not _NEGATED.search(text, max(0, hit[0] - 24), hit[0] + text[hit[0] :].find(hit[1]))]
        letters = {letter for _, letter in hits}
        if len(letters) == 1:
            return Choice(ord(hits[0][1]) - 65, "choice_letter")
        if len(letters) > 1:
            if _CORRECTION.search(text):
                return Choice(ord(hits[-1][1]) - 65, "choice_letter_corrected")
            return Choice(None, "ambiguous")
    return None


def _hits(pattern: re.Pattern[str], text: str, count: int) -> list[tuple[int, str]]:
    found = [(match.start(), next(group for group in match.groups() if group)) for match in pattern.finditer(text)]
    return [hit for hit in found if ord(hit[1]) - 65 < count]


def _listed(text: str, count: int) -> bool:
    """Whether several letters are given side by side, as in "A, B and D" or "(A) and (C)"."""
    match = re.match(r"[\s*(\[]*([A-J])[\])]?\s*(?:,|and|&|or|/)\s*(?:and\s+|or\s+)?[(\[]?([A-J])\b", text)
    return match is not None and all(ord(letter) - 65 < count for letter in match.groups())


def _is_word(text: str, place: int) -> bool:
    """Whether the letter is the article A or the pronoun I: a lower-case word follows."""
    return text[place] in "AI" and re.match(r"\s+(?!and\b|or\b)[a-z]", text[place + 1 :]) is not None


def _names_an_item(text: str, place: int) -> bool:
    """Whether the letter names a thing of the question (point B, x = C) and not an option."""
    after = text[place + 1 : place + 4].lstrip()
    return _TO_BE_ITEM.search(text, max(0, place - 20), place) is not None or after[:1] in ("=", "+", "^", "<", ">")


def _equal_option(text: str, choices: Sequence[str]) -> int | None:
    wanted = plain_text(text)
    if not wanted:
        return None
    same = [index for index, choice in enumerate(choices) if plain_text(choice) == wanted]
    if same:
        return same[0]
    number = parse_number(text)
    if number is None:
        return None
    equal = [
        index
        for index, parsed in enumerate(parse_number(choice) for choice in choices)
        if parsed is not None and parsed.value == number.value and (not parsed.unit or not number.unit or parsed.unit == number.unit)
    ]
    return equal[0] if len(equal) == 1 else None


def _by_text(text: str, choices: Sequence[str]) -> Choice | None:
    """The only option whose text stands in `text` as whole words, longer options hiding the ones inside them."""
    if not choices:
        return None
    exact = _equal_option(text, choices)
    if exact is not None:
        return Choice(exact, "choice_text")
    rest, found = f" {plain_text(text)} ", []
    options = sorted(((plain_text(choice), index) for index, choice in enumerate(choices)), key=lambda option: -len(option[0]))
    for option, index in options:
        if option and f" {option} " in rest:
            rest = rest.replace(f" {option} ", " \x00 ")
            found.append(index)
    return Choice(found[0], "choice_text") if len(found) == 1 else None
