"""Reads boxes and points: out of a response (never evaluated, malformed is unread) and out of an example's gold (malformed is an error).

Forms of a box in a response: `[x1, y1, x2, y2]` also in round brackets, in lists of lists, and in objects (`{"bbox_2d": [...],
"label": ..., "confidence": ...}` or `Position`, single quotes too); `(x1, y1), (x2, y2)`; `<box>x1 y1 x2 y2</box>`; `x1: .., y1: ..,
x2: .., y2: ..` (also xmin, left ...). Of a point: `[x, y]`, `(x, y)`, `<point>x y</point>`, `<click>x, y</click>`, `x: .., y: ..`.
Numbers may be negative, decimal or in scientific notation. Where the place of the answer is nothing but the bare numbers, brackets
may be missing.

Gold: `meta.box` [x1, y1, x2, y2]; `meta.boxes`, a list of such or of objects `{"box": [...], "label": "cat"}` (`bbox_2d`, `bbox` and
`Position` are as good as `box`); else the text of `Example.answer`. An example whose answer is an option, a number or a formula
has no gold box: the reward does not apply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from vlmpost.errors import GraderError
from vlmpost.records import Example
from vlmpost.rewards.places import Place, answer_place, first_tag

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2: the upper left and the lower right corner."""
Point = tuple[float, float]
Reading = Literal["last", "first", "vlm_r1"]
MAX_CHARACTERS: Final = 100_000
"""Of a longer response without a tag the end is read; a longer tag is unread."""
MAX_BOXES: Final = 1000
"""An answer with more boxes is unread."""
BOX_KEYS: Final = ("box", "bbox_2d", "bbox", "Position")

_N = r"[-+\u2212]?(?:[0-9]{1,12}+(?:\.[0-9]{0,30}+)?|\.[0-9]{1,30}+)(?:[eE][-+]?[0-9]{1,2})?(?![0-9.])"
_SEPARATOR = r"(?:\s*+,\s*+|\s++)"
_TWO = rf"({_N}){_SEPARATOR}({_N})"
_FOUR = rf"{_TWO}{_SEPARATOR}{_TWO}"
_NAMED = r"\b(?:{names})\b[\"']?\s*+[:=]\s*+({number})"
_NAMED_FOUR = r"\s*+[,;]?\s*+[\"']?".join(
    _NAMED.format(names=names, number=_N) for names in ("x1|x_?min|left", "y1|y_?min|top", "x2|x_?max|right", "y2|y_?max|bottom")
)
_NAMED_TWO = r"\s*+[,;]?\s*+[\"']?".join(_NAMED.format(names=names, number=_N) for names in ("x", "y"))
_BOX = re.compile(
    rf"[\[(]\s*+{_FOUR}\s*+[\])]|[\[(]\s*+{_TWO}\s*+[\])]\s*+,?\s*+[\[(]\s*+{_TWO}\s*+[\])]|<b?box>\s*+{_FOUR}\s*+</b?box>|{_NAMED_FOUR}"
)
_POINT = re.compile(rf"[\[(]\s*+{_TWO}\s*+[\])]|<(?:point|click)>\s*+{_TWO}\s*+</(?:point|click)>|{_NAMED_TWO}")
_BARE_BOX, _BARE_POINT = re.compile(_FOUR), re.compile(_TWO)
_VLM_R1_BOX = re.compile(r"\[([0-9]{1,15}),\s*+([0-9]{1,15}),\s*+([0-9]{1,15}),\s*+([0-9]{1,15})\]")
_STRING = r"\s*+:\s*+(?:\"((?:[^\"\\]|\\.){0,200}+)\"|'((?:[^'\\]|\\.){0,200}+)')"
_LABEL = re.compile(rf"[\"'](?:label|category|class|name)[\"']{_STRING}", re.IGNORECASE)
_CONFIDENCE = re.compile(rf"[\"'](?:confidence|score)[\"']\s*+:\s*+[\"']?({_N})", re.IGNORECASE)
_SPECIAL = re.compile(r"<\|(?!box_|object_ref_|quad_|(?:ref|det|grounding)\|)[A-Za-z_]{1,24}\|>|</s>|<eos>|<end_of_turn>|<pad>|\x00")
_EMPTY = frozenset(("[]", "{}", "none", "null", "no objects", "no object"))


@dataclass(frozen=True, slots=True)
class FoundBox:
    """One box as it stands in a response or a gold."""

    box: Box
    label: str = ""
    """Lower case, without blanks around it; "" where none is given."""
    confidence: float | None = None
    span: tuple[int, int] | None = None
    """Where it stands in the response, as [start, end) characters."""


@dataclass(frozen=True, slots=True)
class BoxReading:
    """What a response gives as boxes."""

    boxes: tuple[FoundBox, ...]
    rule: str
    """Where they stand ("answer_tag", ...), or why nothing could be read."""
    readable: bool
    """False: the answer is unparsed. True without boxes: it says that there are none."""


def read_box(text: str, *, reading: Reading = "last") -> FoundBox | None:
    """Returns the one box that a response gives; None where none can be read or its corners are swapped.

    Args:
        text: The response.
        reading: "last": the last box of the answer's place. "first": the first box of the first answer block, else of the response.
            "vlm_r1": the first `[int, int, int, int]` of the first answer block, as VLM-R1 reads.

    >>> read_box("<answer>[10, 20, 30, 40]</answer>").box
    (10.0, 20.0, 30.0, 40.0)
    """
    if reading == "last":
        found = read_boxes(text).boxes
        box = found[-1] if found else None
    else:
        box = _first(text, strict=reading == "vlm_r1")
    return box if box is not None and is_box(box.box) else None


def read_boxes(text: str) -> BoxReading:
    """Returns all boxes of the answer's place: tag, box, else the last fenced block, else all that follows the thinking."""
    place = _place(text)
    if place.fault:
        return BoxReading((), place.rule, readable=False)
    boxes = _boxes(text, place.start, place.end)
    bare = _BARE_BOX.fullmatch(text[place.start : place.end].strip()) if not boxes and place.end - place.start < 500 else None
    if bare is not None:
        boxes = [FoundBox(_numbers(bare), span=(place.start, place.end))]
    if len(boxes) > MAX_BOXES:
        return BoxReading((), "too_many_boxes", readable=False)
    empty = not boxes and _says_none(text[place.start : place.end])
    return BoxReading(tuple(boxes), place.rule if boxes or empty else "no_box", readable=bool(boxes) or empty)


def read_fenced_boxes(text: str) -> BoxReading:
    """Returns the boxes of the last JSON fence of the last answer tag, as VLM-R1 reads them; anything else is unread."""
    place = answer_place(text)
    if place.fault or place.rule != "answer_tag" or place.end - place.start > MAX_CHARACTERS:
        return BoxReading((), place.rule, readable=False)
    content = text[place.start : place.end]
    if content.strip().rstrip(".").lower() == "none":
        return BoxReading((), "none", readable=True)
    opened = content.lower().rfind("```json")
    closed = content.find("```", opened + 7) if opened >= 0 else -1
    if closed < 0:
        return BoxReading((), "no_fence", readable=False)
    try:
        items = json.loads(content[opened + 7 : closed])
    except (ValueError, RecursionError):
        return BoxReading((), "malformed_json", readable=False)
    boxes = [_from_json(item) for item in items[:MAX_BOXES]] if isinstance(items, list) else [None]
    if None in boxes:
        return BoxReading((), "malformed_json", readable=False)
    return BoxReading(tuple(box for box in boxes if box is not None), "answer_tag", readable=True)


def read_point(text: str) -> Point | None:
    """Returns the last point of the answer's place, a box standing for its middle; None where neither can be read.

    >>> read_point("I click at (12.5, 30).")
    (12.5, 30.0)
    """
    place = _place(text)
    if place.fault:
        return None
    boxes = _boxes(text, place.start, place.end)
    last = boxes[-1] if boxes else None
    after = last.span[1] if last is not None and last.span is not None else place.start
    points = list(_POINT.finditer(text, after, place.end))
    if points:
        x, y = _floats(points[-1])
        return x, y
    if last is not None and is_box(last.box):
        return (last.box[0] + last.box[2]) / 2, (last.box[1] + last.box[3]) / 2
    bare = _BARE_POINT.fullmatch(text[place.start : place.end].strip()) if place.end - place.start < 500 else None
    if bare is None:
        return None
    x, y = _floats(bare)
    return x, y


def gold_boxes(example: Example) -> tuple[FoundBox, ...] | None:
    """Returns the gold boxes of an example, possibly none at all; None where it is not a question about boxes.

    Raises:
        GraderError: The gold cannot be read, or a box has no area.
    """
    meta = example.meta
    if meta.get("box") is not None:
        return (_gold(meta["box"], "meta.box", example.id),)
    boxes = meta.get("boxes")
    if boxes is not None:
        if not isinstance(boxes, list | tuple):
            raise GraderError(f"Example {example.id!r}: meta.boxes must be a list of boxes, got {boxes!r:.200}.")
        return tuple(_gold(box, f"meta.boxes[{number}]", example.id) for number, box in enumerate(boxes))
    if example.answer is None or example.answer_type in ("choice", "number") or _is_formula(example):
        return None
    found = read_boxes(example.answer)
    if not found.readable:
        raise GraderError(
            f"Example {example.id!r}: the reference answer {example.answer!r:.200} holds no box. Write [x1, y1, x2, y2], or set meta.box."
        )
    return tuple(_gold({"box": box.box, "label": box.label}, "answer", example.id) for box in found.boxes)


def is_box(box: Box) -> bool:
    """Whether the corners are in order; a box without area counts."""
    return box[0] <= box[2] and box[1] <= box[3]


def _is_formula(example: Example) -> bool:
    """A "latex" answer may be JSON: an underscore makes it look like one where nobody declared its type."""
    return example.answer_type == "latex" and not any(key in (example.answer or "") for key in BOX_KEYS)


def _place(text: str) -> Place:
    place = answer_place(text)
    if place.rule == "no_answer" and "<|" in text[place.start :]:
        place = Place("whole_text", place.start, place.end)
    if place.fault or place.rule in ("answer_tag", "last_box"):
        long = place.end - place.start > MAX_CHARACTERS
        return Place("too_long", place.start, place.end, fault=True) if long else place
    special = _SPECIAL.search(text, place.start)
    end = special.start() if special else len(text)
    start = max(place.start, end - MAX_CHARACTERS)
    closed = text.rfind("```", start, end)
    opened = text.rfind("```", start, closed) if closed >= 0 else -1
    if opened >= 0 and (_says_none(text[opened + 3 : closed]) or _BOX.search(text, opened, closed)):
        return Place("last_fence", opened + 3, closed)
    return Place("whole_text", start, end)


def _says_none(content: str) -> bool:
    return len(content) < 200 and content.strip(" \n\t.`").removeprefix("json").strip().lower() in _EMPTY


def _boxes(text: str, start: int, end: int) -> list[FoundBox]:
    matches = list(_BOX.finditer(text, start, end))
    befores = [start, *(match.end() for match in matches[:-1])]
    afters = [*(match.start() for match in matches[1:]), end]
    return [_with_attributes(text, match, befores[place], afters[place]) for place, match in enumerate(matches)]


def _with_attributes(text: str, match: re.Match[str], before: int, after: int) -> FoundBox:
    """The box with the label and the confidence of the object it stands in."""
    span = match.span()
    opened = text.rfind("{", before, span[0])
    closed = text.find("}", span[1], after)
    if opened < 0 or closed < 0:
        return FoundBox(_numbers(match), span=span)
    label = _LABEL.search(text, opened, closed)
    confidence = _CONFIDENCE.search(text, opened, closed)
    return FoundBox(
        _numbers(match),
        _label(label.group(1) or label.group(2) or "") if label else "",
        float(confidence.group(1)) if confidence else None,
        span,
    )


def _first(text: str, *, strict: bool) -> FoundBox | None:
    block = first_tag(text)
    if block is None and strict:
        return None
    start, end = block or (0, len(text))
    match = (_VLM_R1_BOX if strict else _BOX).search(text, start, min(end, start + MAX_CHARACTERS))
    return None if match is None else FoundBox(_numbers(match), span=match.span())


def _floats(match: re.Match[str]) -> list[float]:
    return [float(group.replace("\u2212", "-")) for group in match.groups() if group is not None]


def _numbers(match: re.Match[str]) -> Box:
    x1, y1, x2, y2 = _floats(match)
    return x1, y1, x2, y2


def _label(text: str) -> str:
    return text.strip().lower()


def _from_json(item: object) -> FoundBox | None:
    if not isinstance(item, dict):
        return None
    box = _four(item.get("bbox_2d"))
    label = item.get("label", "")
    if box is None or not is_box(box) or not isinstance(label, str):
        return None
    return FoundBox(box, _label(label))


def _four(value: object) -> Box | None:
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    if any(isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < 1e12 for number in value):
        return None
    x1, y1, x2, y2 = (float(number) for number in value)
    return x1, y1, x2, y2


def _gold(value: object, key: str, owner: str) -> FoundBox:
    label: object = ""
    numbers = value
    if isinstance(value, Mapping):
        numbers = next((value[name] for name in BOX_KEYS if name in value), None)
        label = value.get("label", "")
    box = _four(numbers)
    if box is None or not isinstance(label, str):
        wanted = f"[x1, y1, x2, y2], or an object with one of {', '.join(BOX_KEYS)} and a label"
        raise GraderError(f"Example {owner!r}: {key} must be {wanted}, got {value!r:.200}.")
    if not (box[0] < box[2] and box[1] < box[3]):
        raise GraderError(f"Example {owner!r}: the gold box {key} {value!r:.200} has no area. Corners are upper left, then lower right.")
    return FoundBox(box, _label(label))
