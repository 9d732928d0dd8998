"""The multiple-choice part of the generic judge: which option a text chooses and whether it is a right one.

How an option is read out of one stretch of text is `reading.py`. The stretches, surest first: tag or box, last line that is a
letter, announced answers (`announcing.py`), then lines and sentences (`deciding.py`). Only the text is read; nothing is guessed.
"""

from __future__ import annotations

import functools
import re

from vlmpost.answers import symbolic
from vlmpost.answers.choice.announcing import announced, unless_taken_back
from vlmpost.answers.choice.deciding import MAX_SHORT_TEXT_CHARACTERS, unannounced
from vlmpost.answers.choice.options import options
from vlmpost.answers.choice.places import MAX_ANSWER_CHARACTERS, Found, continues_list, read_place
from vlmpost.answers.choice.reading import gold_index, read_choice
from vlmpost.answers.reference import Reference
from vlmpost.answers.spans import MAX_TAIL_CHARACTERS, Region, Span, answer_end, boxed_answer, firm_place, is_short, last_line
from vlmpost.records import Verdict

MAX_FORMULA_CHARACTERS = 200
"""A longer formula is not compared with an option symbolically."""
_BARE_LINE = re.compile(r"[\s(\[*_\"'`$]{0,12}[A-J][\s)\].:*_,;!\"'`$\u3002]{0,12}\Z")
_WORTH_COMPARING = re.compile(r"[\d\\]")


def judge_choice(text: str, region: Region, reference: Reference) -> Verdict | None:
    """Returns the verdict on the option that `text` chooses in `region`, or None where no answer form is found.

    Raises:
        GraderError: A reference answer is not an option, or the worker process does not start.
    """
    golds, twins = _golds(reference.answers, reference.choices)
    found = _find(text, region, reference.choices)
    if found is None:
        return None
    written, place = text[found.start : found.end], (found.start, found.end)
    choice = found.choice
    if choice is None:
        return _by_value(written, golds, reference.choices, found) or Verdict("unparsed", written, found.rule, place)
    if choice.index is None:
        return Verdict("unparsed", written, choice.rule, place)
    if choice.end:
        place = (found.start + choice.start, found.start + choice.end)
    letter = "ABCDEFGHIJ"[choice.index]
    rule = f"{found.rule}_conflict" if choice.conflict else found.rule
    right = choice.index in (twins if choice.rule == "choice_text" else golds)
    return Verdict("correct" if right else "wrong", letter, rule, place, letter)


def check_options(reference: Reference) -> None:
    """Does nothing where every reference answer is an option.

    Raises:
        GraderError: One is not, or there are too many options.
    """
    _golds(reference.answers, reference.choices)


@functools.lru_cache(maxsize=4096)
def _golds(answers: tuple[str, ...], choices: tuple[str, ...]) -> tuple[frozenset[int], frozenset[int]]:
    """The right options, and those that are right where they are named by their text: with the same text as a right one."""
    indices = [gold_index(_unboxed(answer), choices) for answer in answers]
    twins = frozenset(
        index for index, text in enumerate(choices) if text.strip() and text.strip() in {choices[right].strip() for right in indices}
    )
    by_text = any(not re.fullmatch(r"\W{0,8}[A-Ja-j]\W{0,8}", answer) for answer in answers)
    right = frozenset(indices)
    return (right | twins, right | twins) if by_text else (right, right | twins)


def _unboxed(answer: str) -> str:
    return (boxed_answer(answer) or answer) if "boxed" in answer else answer


def _by_value(written: str, golds: frozenset[int], choices: tuple[str, ...], found: Found) -> Verdict | None:
    """The verdict on a formula that has the value of a right option in another writing; None where it has not."""
    if len(written) > MAX_FORMULA_CHARACTERS or not _WORTH_COMPARING.search(written):
        return None
    for index in sorted(golds):
        if not choices or not _WORTH_COMPARING.search(choices[index]) or not options(choices).is_formula(index):
            continue
        if ("=" in written) != ("=" in choices[index]):
            continue
        result = symbolic.compare(choices[index], written)
        if result == "equal":
            letter = "ABCDEFGHIJ"[index]
            return Verdict("correct", letter, f"{found.rule}_value", (found.start, found.end), letter)
        if result in ("timeout", "failed"):
            return Verdict("uncertain", written, f"{found.rule}_{result}", (found.start, found.end))
    return None


def _find(text: str, region: Region, choices: tuple[str, ...]) -> Found | None:
    start, end = region.start, answer_end(text, region.start, region.end)
    firm = firm_place(text, start, end)
    if firm is not None and (firm.rule == "unclosed_box" or any(map(str.isalnum, text[firm.start : firm.end]))):
        return _from_firm(text, firm, end, choices)
    if is_short(text, start, end):
        return read_place(text, "whole_text", start, end, choices, firm=True)
    tail = max(start, end - MAX_TAIL_CHARACTERS)
    line = last_line(text, tail, end)
    if _BARE_LINE.match(text, *line) and line[0] > start:
        bare = None if continues_list(text, line[0]) else read_place(text, "last_line", *line, choices, firm=True)
        if bare is not None:
            return bare
    found = announced(text, tail, end, choices)
    if found is not None:
        return unless_taken_back(text, found, end, choices)
    return unannounced(text, region, (start, end), line, choices)


def _from_firm(text: str, firm: Span, end: int, choices: tuple[str, ...]) -> Found:
    """What the tag or box says; a letter announced after it counts before an option text in it."""
    if firm.end - firm.start > MAX_ANSWER_CHARACTERS:
        return Found("too_long", firm.start, firm.end, None)
    choice = read_choice(text[firm.start : firm.end], choices, firm=True)
    if choice is None and "=" in text[firm.start : firm.end]:
        choice = read_choice(text[text.rindex("=", firm.start, firm.end) + 1 : firm.end], choices, firm=False)
        choice = choice if choice is not None and choice.rule == "choice_text" and choice.sure else None
    if choice is not None and choice.rule != "choice_text":
        return Found(firm.rule, firm.start, firm.end, choice)
    after = min(end, firm.end + 1)
    later = announced(text, after, end, choices) if end - after <= MAX_TAIL_CHARACTERS else None
    if later is None and choice is None and end - after <= MAX_SHORT_TEXT_CHARACTERS:
        later = read_place(text, "after_box", after, end, choices, firm=False)
    if later is not None and later.choice is not None and later.choice.rule == "choice_letter" and (later.choice.sure or choice is None):
        return later
    return Found(firm.rule, firm.start, firm.end, choice)
