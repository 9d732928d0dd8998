"""Image markers in text: `<image>`, `<image1>`, `<image 1>` become image slots.

Rules, for one row with its images:

1. Without a marker and without an image slot, the images go first in the first user turn (noted).
2. `<image>` markers and image slots take the images in order; there must be as many of them as images.
3. Numbered markers name images, from 1. Each image must be named; the first mention is its slot, later mentions
   become the text "image 1" (noted). Mentions may come in any order: slots are filled in reading order.
4. One image and numbered markers of several numbers is a merged picture (MathVision): the first marker is its slot, the
   others become text (noted). If such markers stand only in the options, the image goes first.
5. Anything else is a fault of the row: markers without images, a count that differs, both kinds of marker, a marker in a
   turn that is not the user's.

One line break right after an image at the start of a turn is dropped: it belongs to the marker (LLaVA writes `<image>\\n`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vlmpost.data.ledger import RowFault
from vlmpost.records import IMAGE, ImageSlot, Message, Part

MARKER = re.compile(r"<image(?: ?(\d{1,3}))?>")

NOTE_FIRST = "images placed first"
NOTE_REPEATED = "repeated marker written as text"
NOTE_MERGED = "one image for several markers"
NOTE_SOLUTION = "marker in the solution written as text"

MISMATCH = "markers and images differ"

_Piece = str | ImageSlot | int
"""A text, a slot for the next image, or the number of a named image (from 1)."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Messages with their slots, the images those slots take, and what to note."""

    messages: tuple[Message, ...]
    order: tuple[int, ...]
    """Indices (from 0) into the row's images, in the order of the slots."""
    notes: tuple[str, ...] = ()


def place(messages: Sequence[Message], *, num_images: int, appended: str = "") -> Placement:
    """Turns the markers of a row into image slots.

    Args:
        messages: The prompt; texts may hold markers, contents may hold slots already.
        num_images: Images the row has.
        appended: Text (option lines) that belongs to the end of the last message but is not the question's own.

    Raises:
        RowFault: The markers do not fit the images.
    """
    turns = [[piece for part in message.content for piece in _split(part)] for message in messages]
    own_numbers = _numbers(turns)
    if appended:
        turns[-1].extend(_split(appended))
    _check_roles(messages, turns)
    numbers = _numbers(turns)
    num_slots = sum(piece is IMAGE for turn in turns for piece in turn)
    if numbers and num_slots:
        raise RowFault(MISMATCH, "both numbered and plain markers")
    if not numbers and not num_slots and num_images:
        return _first(messages, turns, num_images)
    if numbers:
        if num_images == 1 and not own_numbers and len(set(numbers)) > 1:
            return _first(messages, turns, 1, note=NOTE_MERGED)
        return _named(messages, turns, numbers, num_images)
    if num_slots != num_images:
        raise RowFault(MISMATCH, f"{_count(num_slots, 'marker')}, {_count(num_images, 'image')}")
    return Placement(_joined(messages, turns), tuple(range(num_images)))


def without_markers(text: str) -> str:
    """The text with each marker written as words: `<image2>` as "image 2", `<image>` as "the image"."""
    return MARKER.sub(lambda match: f"image {match[1]}" if match[1] else "the image", text)


def _split(part: Part) -> list[_Piece]:
    if isinstance(part, ImageSlot):
        return [part]
    pieces: list[_Piece] = []
    start = 0
    for match in MARKER.finditer(part):
        pieces += [part[start : match.start()], int(match[1]) if match[1] else IMAGE]
        start = match.end()
    return [piece for piece in [*pieces, part[start:]] if piece != ""]


def _numbers(turns: list[list[_Piece]]) -> list[int]:
    return [piece for turn in turns for piece in turn if isinstance(piece, int)]


def _check_roles(messages: Sequence[Message], turns: list[list[_Piece]]) -> None:
    for message, turn in zip(messages, turns, strict=True):
        if message.role != "user" and any(not isinstance(piece, str) for piece in turn):
            raise RowFault("image marker outside a user turn", f"in a {message.role} turn")


def _first(messages: Sequence[Message], turns: list[list[_Piece]], num_images: int, *, note: str = NOTE_FIRST) -> Placement:
    target = next((index for index, message in enumerate(messages) if message.role == "user"), None)
    assert target is not None, f"a prompt without a user turn: {[message.role for message in messages]}"
    turns[target] = [IMAGE] * num_images + turns[target]
    return Placement(_joined(messages, turns), tuple(range(num_images)), (note,))


def _named(messages: Sequence[Message], turns: list[list[_Piece]], numbers: list[int], num_images: int) -> Placement:
    merged = num_images == 1 and set(numbers) != {1}
    if num_images == 0 or (not merged and set(numbers) != set(range(1, num_images + 1))):
        named = ", ".join(f"<image{number}>" for number in sorted(set(numbers)))
        raise RowFault(MISMATCH, f"{_count(len(set(numbers)), 'marker')} ({named}), {_count(num_images, 'image')}")
    order: list[int] = []
    for turn in turns:
        for index, piece in enumerate(turn):
            if not isinstance(piece, int):
                continue
            image = 0 if merged else piece - 1
            turn[index] = f"image {piece}" if image in order else IMAGE
            order += [] if image in order else [image]
    notes = (NOTE_MERGED,) if merged else (NOTE_REPEATED,) if len(numbers) > len(order) else ()
    return Placement(_joined(messages, turns), tuple(order), notes)


def _joined(messages: Sequence[Message], turns: list[list[_Piece]]) -> tuple[Message, ...]:
    return tuple(Message(message.role, _content(turn)) for message, turn in zip(messages, turns, strict=True))


def _content(pieces: list[_Piece]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for piece in pieces:
        if isinstance(piece, ImageSlot):
            parts.append(piece)
            continue
        text = str(piece) if isinstance(piece, str) else f"image {piece}"
        if parts and all(part is IMAGE for part in parts):
            text = text.removeprefix("\n")
        if parts and isinstance(parts[-1], str):
            parts[-1] += text
        elif text:
            parts.append(text)
    return tuple(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
