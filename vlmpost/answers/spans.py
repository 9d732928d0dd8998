"""Finds where in a model's text the answer stands; knows nothing about what a right answer is.

Positions always refer to the text as given, so that a report can mark them. Every pass is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_TAIL_CHARACTERS = 100_000
"""Soft forms (phrases, last line) are looked for in this much of the end of the text."""
MAX_SHORT_CHARACTERS = 60
"""A text up to this long may be an answer as a whole."""
MAX_REFUSAL_CHARACTERS = 400
"""A refusal is looked for in this much of the end of the text."""

MAX_FORMULA_CHARACTERS = 1000
"""A formula that a line break interrupts is followed for so long."""

_SPECIAL = re.compile(r"<\|[A-Za-z_]{1,24}\|>|</s>|<eos>|<end_of_turn>|<pad>|\x00")
_OPENING = re.compile(r"(?:[\s\x00]++|<s>|<bos>|<\|[A-Za-z_]{1,24}\|>|\[/INST\])*+")
_THINK_CLOSE = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_THINK_OPEN = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_BRACE = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BOX_JOINT = re.compile(r"(?:[\s$.,;&]|\\[()\[\]]|\\q?quad|\\text\{\s*(?:and|or|,)?\s*\}|\band\b|\bor\b){0,24}\Z")
_FINAL_PHRASE = re.compile(
    r"\bfinal\s+(?:answer|result|solution)\b[ \t*_`'\"]*(?:(?:is|are|was|would\s+be|should\s+be)\b|:|=|\n)[ \t:=*_]*", re.IGNORECASE
)
_PHRASE = re.compile(
    r"(?:\b(?:answers?|(?:correct|right|best|appropriate|closest)\s+(?:answer|option|choice|letter|statement)(?:\s+(?:choice|option|letter))?)\b"
    r"(?:\s+(?:choice|option|letter|here|(?:to|for|of)\s[^.\n:=]{1,80}?))?"
    r"[ \t*_`'\"]*(?:(?:is|are|must\s+be|would\s+be|should\s+be|will\s+be)\b|:|=)(?![ \t:=*_]*(?:(?:in)?correct|wrong|not)\b)[ \t:=*_]*"
    r"|\u7b54\u6848(?:\u662f|\u4e3a|\u5e94\u4e3a|\u5e94\u8be5\u662f|\u9009|\s?[:\uff1a])[ \t:\uff1a*]*"
    r"|^\s{0,3}\#{4}[ \t]+|^[ \t]*A:[ \t]*|^[ \t]*\#{1,6}[ \t]*answer[ \t]*\n)",
    re.IGNORECASE | re.MULTILINE,
)
_ANSWERED = re.compile(rf"\\boxed|</answer>|{_PHRASE.pattern}", re.IGNORECASE | re.MULTILINE)
_NEW_QUESTION = re.compile(r"^[ \t*#]*(?:question|problem|q)[ \t]*(?:\d+[ \t]*)?:", re.IGNORECASE | re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<!\b[A-Z])[.!?](?=\s+[A-Z(\\\[*]|\s*\Z)|\n|\u3002")
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) sorry|i apologi[sz]e|(?:i |we )?(?:can(?:no|')t|could(?: not|n't)|am unable to|are unable to"
    r"|'m unable to|do(?: not|n't) have enough information to) (?:be )?(?:answer|determine|provide|see|view|help|assist|solve"
    r"|identify|give|calculate|tell|access)\w*"
    r"|(?:unable|impossible|not possible) to (?:answer|determine|solve|provide|calculate|identify|find|view|see)"
    r"|(?:cannot|can't|can not) be (?:answered|determined|provided|solved|calculated|identified)"
    r"|i (?:really |still )?(?:do not|don't) know\b(?! (?:if|whether|that))|i(?:'m| am) not (?:sure|certain)\b(?! (?:if|whether|that))"
    r"|(?:not enough|insufficient) information|(?:need|require)s? (?:more|additional|further) information"
    r"|(?:do|does|did)(?:n't| not) have access to"
    r"|(?:do|does|did)(?:n't| not) (?:provide|contain|include|give|have|show)(?: enough| sufficient| any)? information)",
    re.IGNORECASE,
)
_TAKEN_UP = re.compile(r"\b(?:however|but|therefore|thus|hence|so|based on|i estimate|my (?:best )?(?:guess|estimate))\b", re.IGNORECASE)
_COURTESY = re.compile(
    r"\s*(?:i hope (?:this|that)|hope (?:this|that)|let me know|feel free|please (?:let me know|note)|if you have any"
    r"|is there anything|thank)\b"
    r"|\s*(?:do|would|have) you (?:have|want|like|need|got)\b[^\n]{0,200}\?\s*\Z"
    r"|\s*\((?:we|note|check|this|one|it|you|here|these|the other)\b[^\n]*\)\s*\Z"
    r"|\s*(?:```|---+|\*\*\*+)\s*\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Span:
    """A place that may hold the answer.

    `firm` places (tag, box) are the answer whatever they hold; soft ones are passed over when nothing can be read there.
    """

    rule: str
    start: int
    end: int
    firm: bool = False
    pieces: tuple[tuple[int, int], ...] = ()
    """Several boxes in one breath: their contents, together a list."""


@dataclass(frozen=True, slots=True)
class Region:
    """The part of the text that is judged, or why there is none."""

    start: int
    end: int
    fault: str | None = None
    """ "unclosed_think", "no_answer", or None."""


def answer_region(text: str) -> Region:
    """Returns the text after the last thinking block, special tokens and a run-on next question cut off.

    >>> answer_region("<think>1 or 2</think> 2<|im_end|>")
    Region(start=22, end=23, fault=None)
    """
    start, end = 0, len(text)
    if "hink" in text or "HINK" in text:
        for match in _THINK_CLOSE.finditer(text):
            start = match.end()
        if _THINK_OPEN.search(text, start, end):
            return Region(start, end, "unclosed_think")
    opening = _OPENING.match(text, start)
    start = opening.end() if opening else start
    if "|>" in text or "<" in text or "\x00" in text:
        special = _SPECIAL.search(text, start, end)
        end = special.start() if special else end
    end = max(start, len(text[:end].rstrip()))
    return Region(start, end) if end > start else Region(start, end, "no_answer")


def candidates(text: str, region: Region) -> Iterator[Span]:
    """Yields the places that may hold the answer, surest first; stops after a firm one."""
    start = region.start
    end = answer_end(text, start, region.end)
    firm = firm_place(text, start, end)
    if firm is not None:
        yield firm
        return
    tail = max(start, end - MAX_TAIL_CHARACTERS)
    if is_short(text, start, end):
        yield Span("whole_text", start, end)
        return
    yield from phrase_places(text, tail, end)
    yield Span("last_line", *last_line(text, tail, end))
    if end - start <= MAX_SHORT_CHARACTERS:
        yield Span("whole_text", start, end)


def is_short(text: str, start: int, end: int) -> bool:
    """Whether the text is one short line without a phrase that announces the answer, so that it may be the answer itself."""
    return end - start <= MAX_SHORT_CHARACTERS and "\n" not in text[start:end] and not _PHRASE.search(text, start, end)


def phrase_places(text: str, start: int, end: int) -> Iterator[Span]:
    """Yields what follows "final answer is", last first, then what follows "answer is"; the last eight of each."""
    for rule, pattern in (("final_answer_phrase", _FINAL_PHRASE), ("answer_phrase", _PHRASE)):
        matches = list(pattern.finditer(text, start, end))
        for match in reversed(matches[-8:]):
            yield Span(rule, *clause(text, match.end(), end))


def is_refusal(text: str, region: Region) -> bool:
    """Whether the end of the region says that no answer is given."""
    return _REFUSAL.search(text, max(region.start, region.end - MAX_REFUSAL_CHARACTERS), region.end) is not None


def after_refusal(text: str, region: Region) -> int | None:
    """Returns where the last refusal near the end of the region ends; None where there is none."""
    ends = [match.end() for match in _REFUSAL.finditer(text, max(region.start, region.end - MAX_REFUSAL_CHARACTERS), region.end)]
    return ends[-1] if ends else None


def is_left_open(text: str, region: Region, start: int) -> bool:
    """Whether the text refuses to answer and what stands from `start` on takes nothing of it back."""
    refused = after_refusal(text, region)
    return refused is not None and (refused > start or _TAKEN_UP.search(text, refused, region.end) is None)


def sentences_backward(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yields [start, end) of the sentences between `start` and `end`, last first."""
    cuts = [start, *(match.end() for match in _SENTENCE_END.finditer(text, start, end)), end]
    for left, right in zip(reversed(cuts[:-1]), reversed(cuts[1:]), strict=True):
        if text[left:right].strip():
            yield left, right


def first_sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns [start, end) of the sentence at `start`."""
    match = _SENTENCE_END.search(text, start, end)
    return start, match.end() if match else end


def opening_sentence(text: str, region: Region) -> tuple[int, int]:
    """Returns [start, end) of the first sentence, for answers that open with yes or no and then explain."""
    match = _SENTENCE_END.search(text, region.start, min(region.end, region.start + MAX_REFUSAL_CHARACTERS))
    return region.start, (match.start() if match else min(region.end, region.start + MAX_REFUSAL_CHARACTERS))


def last_box(text: str, start: int = 0, end: int | None = None) -> tuple[int, int] | None:
    r"""Returns where the content of the last balanced `\boxed{}` or `\fbox{}` stands, or None.

    >>> text = r"so \boxed{\frac{1}{2}}"
    >>> text[slice(*last_box(text))]
    '\\frac{1}{2}'
    """
    boxes, _ = _boxes(text, start, len(text) if end is None else end)
    return boxes[-1] if boxes else None


def boxed_answer(text: str) -> str | None:
    """Returns what the last box says, or the last boxes side by side as a list; None where there is no closed box."""
    boxes, _ = _boxes(text, 0, len(text))
    if not boxes:
        return None
    span = _box_span(text, boxes, "last_box")
    return ", ".join(text[start:end].strip() for start, end in span.pieces or ((span.start, span.end),))


def firm_place(text: str, start: int, end: int) -> Span | None:
    """Returns the last answer tag, else the last box or boxes side by side; None where there is neither."""
    if "nswer>" in text or "NSWER>" in text:
        opened = closed = None
        for match in _TAG.finditer(text, start, end):
            if not match.group(1):
                opened = match.end()
            elif opened is not None:
                closed, opened = (opened, match.start()), None
        if closed is not None:
            inner, _ = _boxes(text, *closed)
            return _box_span(text, inner, "answer_tag") if inner else Span("answer_tag", *closed, firm=True)
    boxes, unclosed = _boxes(text, start, end)
    if boxes:
        return _box_span(text, boxes, "last_box")
    return Span("unclosed_box", end, end, firm=True) if unclosed else None


def _box_span(text: str, boxes: list[tuple[int, int]], rule: str) -> Span:
    first = len(boxes) - 1
    while first > 0:
        before = boxes[first - 1][1]
        opening = max(text.rfind(name, before + 1, boxes[first][0]) for name in ("\\boxed", "\\fbox"))
        if not before < opening <= before + 40 or not _BOX_JOINT.match(text[before + 1 : opening]):
            break
        first -= 1
    pieces = tuple(boxes[first:]) if first < len(boxes) - 1 else ()
    return Span(rule, boxes[first][0], boxes[-1][1], firm=True, pieces=pieces)


def _boxes(text: str, start: int, end: int) -> tuple[list[tuple[int, int]], bool]:
    """Contents of the balanced outermost boxes in order, and whether a box stays open at the end."""
    first = [place for place in (text.find("\\boxed", start, end), text.find("\\fbox", start, end)) if place >= 0]
    if not first:
        return [], False
    boxes: list[tuple[int, int]] = []
    open_braces: list[int | None] = []
    for match in _BRACE.finditer(text, min(first), end):
        token = match.group()
        if token == "{":
            open_braces.append(None)
        elif token == "}":
            opening = open_braces.pop() if open_braces else None
            if opening is not None:
                while boxes and boxes[-1][0] > opening:
                    boxes.pop()
                boxes.append((opening, match.start()))
        elif token[-1] == "{" and len(token) > 2:
            open_braces.append(match.end())
    return boxes, any(opening is not None for opening in open_braces)


def answer_end(text: str, start: int, end: int) -> int:
    """Returns the end of the first answer where the text runs on into a new question, else `end`."""
    if _NEW_QUESTION.search(text, start, end) is None:
        return end
    answered = _ANSWERED.search(text, start, end)
    question = _NEW_QUESTION.search(text, answered.end(), end) if answered else None
    return question.start() if question else end


def clause(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns [start, end) of the rest of the sentence from `start`, or the next line (or display formula) when the line ends there."""
    while start < end and (text[start].isspace() or text[start] in ":*"):
        start += 1
    for opening, closing in (("\\[", "\\]"), ("$$", "$$")):
        if text.startswith(opening, start):
            closed = text.find(closing, start + 2, end)
            return (start, end if closed < 0 else closed + 2)
    match = _SENTENCE_END.search(text, start, end)
    stop = match.start() if match else end
    if text.count("$", start, stop) % 2 and "\n" in text[stop : stop + 1]:  # the line breaks inside a formula
        closed = text.find("$", stop, min(end, stop + MAX_FORMULA_CHARACTERS))
        stop = stop if closed < 0 or "\n\n" in text[stop:closed] else closed + 1
    return start, stop


def last_line(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns [start, end) of the last line or display formula, courtesies left out."""
    for closing, opening in (("\\]", "\\["), ("$$", "$$")):
        if text.endswith(closing, start, end):
            opened = text.rfind(opening, start, end - 2)
            if opened >= 0:
                return opened, end
    while True:
        begin = max(start, text.rfind("\n", start, end) + 1)
        if begin == start or not _COURTESY.match(text, begin, end):
            return begin, end
        end = begin + len(text[begin:end]) - len(text[begin:end].lstrip())
        while end > start and text[end - 1].isspace():
            end -= 1
