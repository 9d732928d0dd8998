"""A stored row to an `Example`: shape, options, markers, images, answer, in this order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

from vlmpost.data import gold, markers, paths, shapes
from vlmpost.data.ledger import RowFault
from vlmpost.data.readers import StoredRow
from vlmpost.media.images import size_for_boxes
from vlmpost.records import AnswerType, Example, ImageRef, Message

NOTE_NOTHING = "no answer and no solution: cannot be scored or imitated"
NOTE_LEVEL = "level is not 1 to 5 and was left in meta"


def example_of(
    row: StoredRow, *, shape: str, name: str, columns: Mapping[str, str], image_root: Path | None, allow_outside_root: bool
) -> tuple[Example, tuple[str, ...]]:
    """The example of a row, and what to note about it.

    Args:
        row: The row as stored.
        shape: The row's shape (`shapes.shape_of`).
        name: The source's name: the task of the example, and the head of its id if the row has none.
        columns: Renames, ours to theirs.
        image_root: The folder that image paths start from; None: that of the row's file.
        allow_outside_root: Whether image paths may leave that folder.

    Raises:
        RowFault: The row cannot be used.
    """
    draft = shapes.draft(shapes.renamed(row.values, columns), shape=shape, own_level="level" in columns)
    choices = gold.options(draft.choices)
    question = draft.messages[-1].text
    if not question.strip() and not draft.images:
        raise RowFault("no question")
    reference = _reference(draft, choices, question)
    own = draft.answer_type is not None
    lines = "" if own else gold.option_lines(choices, question=question)
    placement = markers.place(draft.messages, num_images=len(draft.images), appended=lines)
    root = image_root or row.root
    images = [paths.resolve(draft.images[index], root=root, allow_outside_root=allow_outside_root) for index in placement.order]
    solution = draft.solution if draft.solution and draft.solution.strip() else None
    notes = [*placement.notes, *reference.notes]
    if solution and markers.MARKER.search(solution):
        solution = markers.without_markers(solution)
        notes.append(markers.NOTE_SOLUTION)
    if reference.answer is None and solution is None:
        notes.append(NOTE_NOTHING)
    level, level_notes = _level(draft)
    example = Example(
        id=_id(draft.id, row, name),
        task=str(draft.task) if draft.task is not None else name,
        prompt=placement.messages,
        images=tuple(images),
        answer=reference.answer,
        answer_type=reference.answer_type,
        choices=tuple(markers.without_markers(choice) for choice in choices),
        solution=solution,
        level=level,
        meta=_meta(draft, reference, tuple(images)) | {"row": row.where},
    )
    return example, (*notes, *level_notes)


def _meta(draft: shapes.Draft, reference: gold.Gold, images: Sequence[ImageRef]) -> dict[str, object]:
    """What the row says beside the fields of an example, for rewards and profiles."""
    accepted: dict[str, object] = {"accepted_answers": list(reference.accepted)} if reference.accepted else {}
    return draft.meta | accepted | size_for_boxes(images, draft.meta)


def content_of(example: Example) -> tuple[tuple[Message, ...], object, str | None, str | None]:
    """What makes two rows with one id the same row: prompt, images, answer and solution."""
    return example.prompt, example.images, example.answer, example.solution


def _reference(draft: shapes.Draft, choices: tuple[str, ...], question: str) -> gold.Gold:
    if draft.answer_type in get_args(AnswerType) and not isinstance(draft.answer, list | tuple | Mapping):
        answer = None if draft.answer is None else str(draft.answer)
        return gold.Gold(answer, cast(AnswerType, draft.answer_type))
    if isinstance(draft.answer_type, str) and draft.answer_type:
        draft.meta["kind"] = draft.answer_type
    draft.answer_type = None
    return gold.gold(draft.answer, choices=choices, question=question, kind=draft.kind)


def _level(draft: shapes.Draft) -> tuple[int | None, tuple[str, ...]]:
    if draft.level is None:
        return None, ()
    text = str(draft.level).strip().removeprefix("Level ").removeprefix("L").removesuffix(".0")
    if text in ("1", "2", "3", "4", "5"):
        return int(text), ()
    draft.meta["level"] = draft.level
    return None, (NOTE_LEVEL,)


def _id(given: object, row: StoredRow, name: str) -> str:
    if given is None:
        place = row.where.rsplit(":", 1)[-1].rsplit(" ", 1)[-1]
        return f"{name}-{os.path.basename(place)}"
    return str(int(given)) if isinstance(given, float) and given.is_integer() else str(given)
