"""Stored data and drawn tasks to `Example`s, with a ledger of every row.

`build` is the door. Images stay encoded until `images.open_image`; token counts need a processor and are `audit`'s.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vlmpost.config.schema import DataConfig, SourceConfig
from vlmpost.data import normalise, readers, shapes
from vlmpost.data.ledger import Drop, Kept, Ledger, Note, RowFault
from vlmpost.data.material import examples_on
from vlmpost.errors import ConfigError, DataError
from vlmpost.records import Example

__all__ = ["Drop", "Kept", "Ledger", "Note", "RowFault", "build", "collect"]

Progress = Callable[[str, int, int | None], None]
"""Called with (what is being done, done so far, total or None)."""

NOTE_RENAMED = "id used before, #n added"
NOTE_FEWER = "fewer rows than num_examples"
_PROGRESS_ROWS = 256


def build(
    sources: Sequence[SourceConfig], *, data: DataConfig, base_dir: Path | None, progress: Progress | None = None
) -> tuple[list[Example], Ledger]:
    """The examples of all sources in order, and the ledger of their rows.

    Args:
        sources: What to read.
        data: Whose `max_drop_share` applies to all sources together.
        base_dir: The folder that relative paths start from. None: the working directory.
        progress: Called now and then; None: not.

    Raises:
        DataError: A source cannot be read, has no known shape, is empty, or loses too many rows.
        ConfigError: A source is not given properly.
    """
    examples, ledger = collect(sources, base_dir=base_dir, progress=progress)
    ledger.check(max_drop_share=data.max_drop_share)
    return examples, ledger


def collect(sources: Sequence[SourceConfig], *, base_dir: Path | None, progress: Progress | None = None) -> tuple[list[Example], Ledger]:
    """As `build`, whatever the share of dropped rows.

    Raises:
        DataError: A source cannot be read or has no known shape.
        ConfigError: A source is not given properly.
    """
    ledger = Ledger()
    examples: list[Example] = []
    taken: dict[str, tuple[int, list[Example]]] = {}
    for number, source in enumerate(sources):
        before = len(examples)
        unseen = set(source.columns.values())
        for example, notes in _source(source, base_dir=base_dir, ledger=ledger, unseen=unseen):
            kept = _unique(example, number, taken, ledger)
            if kept is None:
                continue
            for text in notes:
                ledger.note(text, id=kept.id, where=_where(kept))
            examples.append(kept)
            if progress is not None and len(examples) % _PROGRESS_ROWS == 0:
                progress("reading rows", len(examples), None)
            if len(examples) - before == source.num_examples:
                break
        if unseen:
            raise DataError(f"{source.path}: columns renames {', '.join(sorted(unseen))}, which no row has.")
        if source.num_examples is not None and len(examples) - before < source.num_examples:
            ledger.note(f"{NOTE_FEWER} ({len(examples) - before} of {source.num_examples})", id=_name(source), where=_name(source))
    ledger.kept = [Kept(example.id, _where(example)) for example in examples]
    return examples, ledger


def _source(source: SourceConfig, *, base_dir: Path | None, ledger: Ledger, unseen: set[str]) -> Iterator[tuple[Example, tuple[str, ...]]]:
    if source.task is None and source.path is None:
        raise ConfigError("A source needs a task (drawn), a path (stored), or both (a task on stored pictures); it has neither.")
    if source.task is not None and source.path is not None:
        return ((example, ()) for example in examples_on(source, base_dir=base_dir, ledger=ledger, unseen=unseen))
    if source.task is not None:
        return ((example, ()) for example in _drawn(source))
    return _stored(source, base_dir=base_dir, ledger=ledger, unseen=unseen)


def _drawn(source: SourceConfig) -> Iterator[Example]:
    from vlmpost import tasks

    assert source.task is not None
    if source.num_examples is None:
        raise ConfigError(f"Source task={source.task!r}: num_examples is missing; a drawn task has no end.")
    examples = tasks.stream(
        source.task,
        split=source.split,
        seed=source.seed,
        num_examples=source.num_examples,
        difficulties=source.difficulties,
        options=source.options,
        shift=source.shift,
    )
    if source.solutions is None:
        return examples
    task, style = tasks.find(source.task), source.solutions
    return (replace(example, solution=task.solve(example, style=style)) for example in examples)


def _stored(source: SourceConfig, *, base_dir: Path | None, ledger: Ledger, unseen: set[str]) -> Iterator[tuple[Example, tuple[str, ...]]]:
    """Yields the examples of stored rows with their notes; takes the columns it meets out of `unseen`."""
    assert source.path is not None
    shapes.check_renames(source.columns)
    image_root = None if source.image_root is None else (base_dir or Path.cwd()).absolute() / Path(source.image_root).expanduser()
    if image_root is not None and not image_root.is_dir():
        raise DataError(f"image_root {source.image_root}: there is no such folder (looked for {image_root}).")
    rows = readers.read(source.path, split=source.split, base_dir=base_dir)
    for number in itertools.count():
        row = next(rows, None)
        if row is None:
            if number == 0:
                raise DataError(f"{source.path}: the dataset is empty (split {source.split!r}): it has no rows.")
            return
        unseen.difference_update(row.values)
        try:
            if row.fault is not None:
                raise row.fault
            shape = shapes.shape_of(shapes.renamed(row.values, source.columns))
            if shape is None:
                _check_shape(source, row, first=number == 0)
                raise RowFault("unknown shape", f"columns {', '.join(row.values)}")
            yield normalise.example_of(
                row,
                shape=shape,
                name=_name(source),
                columns=source.columns,
                image_root=image_root,
                allow_outside_root=source.allow_outside_root,
            )
        except RowFault as fault:
            ledger.drop(fault, id=_row_id(row), where=row.where)


def _check_shape(source: SourceConfig, row: readers.StoredRow, *, first: bool) -> None:
    missing = sorted(set(source.columns.values()) - set(row.values))
    found = ", ".join(sorted(row.values)) or "none"
    if first and missing:
        raise DataError(f"{source.path}: columns renames {', '.join(missing)}, which {row.where} does not have. Found: {found}.")
    if first:
        known = "; ".join(shapes.KNOWN_SHAPES)
        raise DataError(
            f"{source.path}: the shape of the rows is not known ({row.where}). Columns found: {found}. "
            f"Known shapes, by their question column: {known}. Rename with columns, e.g. {{question: <theirs>}}."
        )


def _unique(example: Example, source: int, taken: dict[str, tuple[int, list[Example]]], ledger: Ledger) -> Example | None:
    """The example under an id of its own; None: the same row of the same source was there before."""
    if example.id not in taken:
        taken[example.id] = (source, [example])
        return example
    first_source, seen = taken[example.id]
    if first_source == source and any(normalise.content_of(example) == normalise.content_of(other) for other in seen):
        ledger.drop(RowFault("duplicate id", "the same row again"), id=example.id, where=_where(example))
        return None
    taken[example.id] = (source, [*seen, example] if first_source == source else [example])
    number = len(seen) + 1
    while f"{example.id}#{number}" in taken:
        number += 1
    changed = replace(example, id=f"{example.id}#{number}")
    taken[changed.id] = (source, [changed])
    ledger.note(NOTE_RENAMED, id=changed.id, where=_where(example))
    return changed


def _where(example: Example) -> str:
    return str(example.meta["row"]) if "row" in example.meta else example.task


def _row_id(row: readers.StoredRow) -> str:
    found = shapes.Columns(row.values).take(*shapes.ID_COLUMNS)
    return "?" if found is None else str(found)


def _name(source: SourceConfig) -> str:
    return source.task if source.task is not None else Path(str(source.path)).stem
