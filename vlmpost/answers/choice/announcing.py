"""Places that announce the chosen option: "final answer is", "answer is", "I would choose B", "B is correct"; and what takes it back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vlmpost.answers.choice import labels
from vlmpost.answers.choice.places import Found, is_list_item, read_place
from vlmpost.answers.choice.reading import MAX_CHOICES
from vlmpost.answers.spans import Span, clause, last_line, phrase_places

MAX_STATEMENT_CHARACTERS = 300
"""So much of what follows "I would choose" is read."""
_STATEMENT = re.compile(
    r"\b(?:I(?:'d|'ll| would| will| must| have to)?|we|let's|should|would|will|must|to)\s(?:therefore\s|also\s|still\s|then\s)?"
    r"(?:choose|select|pick|go with|opt for|guess|say|answer|lean towards|conclude)\b(?:\s(?:is|that|with|the|an?))*[\s:*]{0,6}"
    r"|\b(?:conclusion|conclude that|choice|selection|pick|guess)\s(?:is|would be)\b[\s:*]{0,6}"
    r"|\u9009\u62e9?(?:\u9879|\u62e9)?(?:\u4e3a|\u662f|[:\uff1a])?[\s*]{0,4}(?=[(\uff08]?[A-J])",
    re.IGNORECASE,
)
_DECLARED = re.compile(
    r"(?:\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ss]tatement)\s{0,2})?[(\[*\"']{0,4}(?<![A-Za-z0-9_,])(?<!,\s)(?<!\bor\s)(?<!\band\s)([A-J])"
    r"[)\]*\"']{0,4}(?![A-Za-z0-9_])(?:\s\([^()\n]{1,80}\))?"
    r",?\s(?:is|are|as|would be|seems|appears|must be)\s(?:(?:to be|the|clearly|indeed|thus|therefore|most|best|only|one)\s){0,4}"
    r"(?:correct|right|best\s|answer|appropriate|suitable|accurate|closest\s(?:match|answer|option))"
)
_TAKEN_BACK = re.compile(r"\b(?:wait|actually|correction|let me re\w+|on second thought|i made a mistake|sorry)\b", re.IGNORECASE)


def announced(text: str, start: int, end: int, choices: tuple[str, ...]) -> Found | None:
    """Returns the last readable place after "final answer is", "answer is" or a statement; a sure reading counts before an unsure one."""
    firsts: dict[str, Found] = {}
    for span in _announcements(text, start, end):
        if span.rule in firsts or is_list_item(text, span, end):
            continue
        found = read_place(text, span.rule, span.start, span.end, choices, firm=True)
        if (
            found is None
            or found.choice is None
            or (span.rule == "statement" and not (found.choice.sure or found.choice.stated or found.choice.opens))
        ):
            continue
        firsts[span.rule] = found
        if found.choice.sure:
            break
    sure = (found for found in firsts.values() if found.choice is not None and found.choice.sure)
    return next(sure, None) or next(iter(firsts.values()), None)


def unless_taken_back(text: str, found: Found, end: int, choices: tuple[str, ...]) -> Found:
    """Returns what is said after "wait" or "actually" where that is a sure reading, else `found`."""
    said = found.start + found.choice.end if found.choice is not None and found.choice.end else found.end
    match = _TAKEN_BACK.search(text, said, end)
    if match is None:
        return found
    later = announced(text, match.end(), end, choices)
    later = later or read_place(text, "last_line", max(match.end(), last_line(text, match.end(), end)[0]), end, choices, firm=True)
    return later if later is not None and later.choice is not None and later.choice.sure else found


def _announcements(text: str, start: int, end: int) -> Iterator[Span]:
    yield from phrase_places(text, start, end)
    for match in list(_DECLARED.finditer(text, start, end))[-4:][::-1]:
        if labels.standing(text, [match.start(1)], MAX_CHOICES):
            yield Span("declared", *match.span(1))
    for match in list(_STATEMENT.finditer(text, start, end))[-4:][::-1]:
        left, right = clause(text, match.end(), end)
        yield Span("statement", left, min(right, left + MAX_STATEMENT_CHARACTERS))
