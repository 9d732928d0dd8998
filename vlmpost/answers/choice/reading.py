"""Reads one stretch of text as the choice of an option: a letter that stands for it, else the text of exactly one option.

A letter wins over a text that belongs to another option, and the conflict is said. Several letters without a decision are
"ambiguous". Where the stretch stands in the answer is `judging.py`.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from vlmpost.answers.choice import labels
from vlmpost.answers.choice.options import Named, Options, options, tokens
from vlmpost.answers.values.normal import plain_text
from vlmpost.errors import GraderError

MAX_CHOICES = 10
MAX_OPTION_CHARACTERS = 300
"""Two letters further apart are not taken for neighbours in a list."""
_BARE = re.compile(r"[\s(\[*_\"'`$]{0,12}([A-Ja-j])[\s)\].:*_,;!\"'`$\u3002]{0,12}\Z")
_CORRECTION = re.compile(
    r"\b(?:not|rather than|instead of|wait|actually|but|no,|correction|however|sorry|re-?check\w*|reconsider\w*|instead)\b", re.IGNORECASE
)
_DECIDED_BEFORE = re.compile(
    r"(?:\b(?:is|be|are|choose|select|pick|answer|option|choice|with|as|to)|[:=])\s{0,2}(?:the\s|an?\s|option\s|answer\s|choice\s|therefore\s)?[(\[*\"']{0,3}\Z",
    re.IGNORECASE,
)
_STATED_BEFORE = re.compile(r"\b(?:is|be|choose|select|pick|option|choice)\s{1,2}\Z", re.IGNORECASE)
_DECIDED_AFTER = re.compile(
    r"[)\]*\"']{0,3}(?:\s\([^()\n]{0,80}\))?,?\s(?:is|are|as|would be|seems|appears|must be)\s"
    r"(?:(?:to be|the|clearly|most|best|only|likely)\s){0,3}"
    r"(?:correct|right|true|best|answer|accurate|appropriate|suitable|likely|closest)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which option was read; `index` None with rule "ambiguous" where several stand without a decision."""

    index: int | None
    rule: str
    start: int = 0
    end: int = 0
    """Where the letter stands in the text, as [start, end); both 0 where the whole text says it."""
    conflict: bool = False
    """Whether the letter stands beside the text of another option."""
    stated: bool = False
    """Whether an option text or a lone letter follows a word like "is"."""
    opens: bool = False
    """Whether the text begins with the option text."""
    sure: bool = False
    """Whether the text opens with the letter, is the option, or marks one letter only; else it was picked out of a sentence."""


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
        if choice == answer:
            return index
    for index, choice in enumerate(choices):
        if wanted and plain_text(choice) == wanted:
            return index
    letters = ", ".join(string.ascii_uppercase[:count])
    raise GraderError(f"The reference answer {answer!r} is neither an option letter ({letters}) nor the text of an option.")


def read_choice(text: str, choices: Sequence[str], *, firm: bool) -> Choice | None:
    """Returns the option that `text` names, or None.

    Args:
        text: What stands where the answer should be.
        choices: Option texts in order A, B, ...; may be empty when they are not known.
        firm: Whether the place is one for answers (a tag, a box, after "the answer is"), so that a lone letter in a longer
            text is read; elsewhere it must be marked as an option or end the text.
    """
    count = len(choices) or MAX_CHOICES
    match = _BARE.match(text)
    if match:
        index = ord(match.group(1).upper()) - ord("A")
        if index < count:
            return Choice(index, "choice_letter", match.start(1), match.end(1), sure=True)
        exact = options(tuple(choices)).equal(text) if choices else None
        return None if exact is None else Choice(exact, "choice_text", sure=True)
    shown = labels.clean(text)
    match = _BARE.match(shown)
    if match and ord(match.group(1).upper()) - 65 < count:
        return _at(shown, match.start(1), sure=True)
    known = options(tuple(choices)) if choices else None
    lead = labels.leading(shown, count, firm=False)
    if lead is not None and known is not None and _is_labelled(text, lead, known):
        return _at(shown, lead, sure=True)
    if known is not None and (lead is None or known.holds(text)):
        exact = known.equal(text)
        if exact is not None:
            return Choice(exact, "choice_text", sure=True)
    return _within(text, shown, known, count, firm)


def _is_labelled(text: str, lead: int, known: Options) -> bool:
    """Whether the text is the letter at `lead` with its own option text and nothing else."""
    own = known.texts[ord(text[lead]) - 65].strip() if text[lead] in string.ascii_uppercase else ""
    return bool(own) and text[lead + 1 :].strip(" .):]*\n") == own.rstrip(".")


def _within(text: str, shown: str, known: Options | None, count: int, firm: bool) -> Choice | None:
    """The option that a longer text names."""
    shaded = labels.shade(shown)
    lead = labels.leading(shown, count, firm=firm)
    marked = labels.strong(shaded, count)
    named = known.named(text if known.compares else labels.shade(text)) if known is not None else []
    if lead is not None and labels.foreign(shaded, count) and named and shown[lead] not in {chr(65 + name.index) for name in named}:
        lead = None
    if lead is not None and not _lists_options(shown, sorted({lead, *marked}), known):
        opening = known.opening(text[lead : lead + MAX_OPTION_CHARACTERS]) if known is not None else None
        if opening is not None:
            return Choice(opening, "choice_text", stated=True)
        later = {shown[place] for place in marked if place > lead}
        if not later - {shown[lead]} or not _CORRECTION.search(shown, lead):
            return _at(shown, lead, named, sure=True)
    if named and labels.foreign(shaded, count):
        return _by_text(named)
    if marked:
        return _decide(shaded, marked, named, known, sure=True)
    dotted = labels.dotted(shaded, count)
    dotted = [place for place in dotted if firm or _DECIDED_BEFORE.search(shaded, max(0, place - 24), place)]
    if dotted:
        return _decide(shaded, dotted, named, known)
    if not firm or any(name.stated for name in named):
        chosen = _by_text(named)
        if chosen is not None:
            return chosen
    lone = labels.weak(shaded, count)
    if not firm and not (len({shaded[place] for place in lone}) == 1 and labels.ends(shaded, lone[-1] + 1)):
        stated = [place for place in lone if _STATED_BEFORE.search(shaded, max(0, place - 24), place)]
        lone = [] if _joined(shaded, lone) else stated
    if lone and not (named and not firm):
        return _decide_lone(shaded, lone, named, known)
    return _by_text(named)


def _at(text: str, place: int, named: Sequence[Named] = (), *, sure: bool = False) -> Choice:
    index = ord(text[place].upper()) - ord("A")
    conflict = bool(named) and all(name.index != index for name in named)
    return Choice(index, "choice_letter", place, place + 1, conflict, sure=sure)


def _decide(text: str, places: Sequence[int], named: Sequence[Named], known: Options | None, *, sure: bool = False) -> Choice:
    """The only letter, else the last one after a correction, else the only one that is declared right."""
    if len({text[place] for place in places}) == 1:
        return _at(text, places[-1], named, sure=sure)
    declared = {text[place]: place for place in places if _DECIDED_AFTER.match(text, place + 1)}
    if len(declared) == 1:
        return _at(text, next(iter(declared.values())), named)
    if _CORRECTION.search(text, places[0]):
        return Choice(ord(text[places[-1]]) - 65, "choice_letter_corrected", places[-1], places[-1] + 1)
    declared = {text[place]: place for place in places if _DECIDED_BEFORE.search(text, max(0, place - 24), place)}
    if len(declared) == 1 and not _joined(text, places) and not _lists_options(text, places, known):
        return _at(text, next(iter(declared.values())), named)
    return Choice(None, "ambiguous")


def _decide_lone(text: str, places: Sequence[int], named: Sequence[Named], known: Options | None) -> Choice:
    choice = _decide(text, places, named, known)
    stated = choice.index is not None and _STATED_BEFORE.search(text, max(0, choice.start - 24), choice.start) is not None
    return dataclasses.replace(choice, stated=stated)


def _joined(text: str, places: Sequence[int]) -> bool:
    """Whether the letters are a list, as in "A, B and D"."""
    return any(
        re.fullmatch(r"[)\]*.\s]{0,4}(?:,|and|&|or|/|;)\s{0,2}(?:and |or )?(?:option )?[(\[*]{0,3}", text[left + 1 : right]) is not None
        for left, right in itertools.pairwise(places)
        if right - left < 24
    )


def _lists_options(text: str, places: Sequence[int], known: Options | None) -> bool:
    """Whether the letters are given with their option texts side by side, as in "(A) red and (C) blue"."""
    if known is None:
        return False
    for left, right in itertools.pairwise(places):
        if right - left > MAX_OPTION_CHARACTERS or text[left] == text[right]:
            continue
        between = [word for word in tokens(text[left + 1 : right]) if word not in ("and", "or", "option")]
        if tuple(between) == known.tokens[ord(text[left]) - 65] and between:
            return True
    return False


def _by_text(named: Sequence[Named]) -> Choice | None:
    """The only option that is named, else the only one that follows a word like "is"."""
    indices = {name.index for name in named}
    formulas = all(name.formula for name in named)
    if len(indices) > 2 and not formulas:
        return None
    if len(indices) > 1:
        named = [name for name in named if name.stated or name.opens]
        indices = {name.index for name in named}
    if len(indices) > 1 and formulas:
        indices = {named[-1].index}
    if len(indices) != 1:
        return None
    index = indices.pop()
    mine = [name for name in named if name.index == index]
    return Choice(index, "choice_text", stated=any(name.stated for name in mine), opens=any(name.opens for name in mine))
