"""Finds the stretch of a response that holds a box, a point, an order or a transcription: tag, box, else what follows the thinking.

It knows nothing about what stands there. Every pass is linear in the text, so that a response of 10 MB costs milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from vlmpost.answers import answer_region, last_box

_OPENINGS = ("<answer>", "<Answer>", "<ANSWER>")
_CLOSINGS = ("</answer>", "</Answer>", "</ANSWER>")


@dataclass(frozen=True, slots=True)
class Place:
    """The characters [start, end) of a response that hold its answer, or why there are none."""

    rule: str
    """ "answer_tag", "last_box" or "whole_text"; the fault where there is one."""
    start: int
    end: int
    fault: bool = False
    """True for an unclosed thinking block or tag, and for a response without an answer: it is unparsed."""


def answer_place(text: str) -> Place:
    r"""Returns the last closed answer tag after the thinking, else the last closed `\boxed{}`, else all that follows the thinking.

    A tag that is opened but never closed is a fault: the response was cut.

    >>> answer_place("<think>[1, 2]</think> <answer>[3, 4]</answer>")
    Place(rule='answer_tag', start=30, end=36, fault=False)
    """
    region = answer_region(text)
    if region.fault:
        return Place(region.fault, region.start, region.end, fault=True)
    closed = max(text.rfind(tag, region.start) for tag in _CLOSINGS)
    opened = max(text.rfind(tag, region.start, closed if closed >= 0 else len(text)) for tag in _OPENINGS)
    if opened >= 0 and closed < 0:
        return Place("unclosed_tag", opened, region.end, fault=True)
    if opened >= 0:
        return Place("answer_tag", opened + len(_OPENINGS[0]), closed)
    box = last_box(text, region.start)
    if box is not None:
        return Place("last_box", *box)
    return Place("whole_text", region.start, region.end)


def first_tag(text: str) -> tuple[int, int] | None:
    """Returns where the content of the first `<answer>` block stands, thinking not looked at; None without a closed one."""
    opened = text.find("<answer>")
    closed = text.find("</answer>", opened) if opened >= 0 else -1
    return (opened + len("<answer>"), closed) if closed >= 0 else None
