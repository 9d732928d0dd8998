"""Stored items to the examples of a task that is posed on them: `{task: image_jigsaw, path: my_pictures}`.

Example i is posed on the i-th usable item of the split, with randomness from (seed, i, content); after the last item it starts again
with the first. Items that cannot be used are entered in the ledger, once. Where the data has no splits of its own, an item belongs to
the split that the hash of its content says, so that no picture is in two splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vlmpost.config.schema import SourceConfig
from vlmpost.data.items import Found, find_items
from vlmpost.data.ledger import Ledger, RowFault
from vlmpost.errors import ConfigError, DataError
from vlmpost.records import Example
from vlmpost.tasks.material import Kind, MaterialTask, Unsuitable
from vlmpost.tasks.task import SPLITS, split_of

_CANNOT_BE_OPENED: dict[Kind, str] = {
    "images": "image cannot be opened",
    "videos": "video cannot be read",
    "rgbd": "picture or depth map cannot be read",
}


def examples_on(source: SourceConfig, *, base_dir: Path | None, ledger: Ledger, unseen: set[str] | None = None) -> Iterator[Example]:
    """Yields the examples of a task posed on stored items.

    Args:
        source: With both `task` and `path`. `num_examples` null: one for each usable item.
        base_dir: What a relative path starts from. None: the working directory.
        ledger: Where items that cannot be used are entered.
        unseen: Renamed columns; those that rows have are taken out. None: nobody asks.

    Raises:
        ConfigError: The task takes no stored items, or an option is wrong.
        DataError: There is nothing at the path, or nothing for this split.
    """
    task = _material_task(source)
    options = task.options_of(source.options, shift=source.shift)
    left_out: set[str] = set()
    number = 0
    while True:
        before = number
        found, has_splits = find_items(source, task.material, base_dir=base_dir, unseen=set() if unseen is None else unseen)
        if not has_splits and source.split not in SPLITS:
            raise ConfigError(f"{source.path}: it has no splits of its own; split {source.split!r} must be one of {', '.join(SPLITS)}.")
        for one in found:
            if one.where in left_out:
                continue
            example = _example(task, one, source, number, options=options, by_hash=not has_splits, ledger=ledger)
            if example is None:
                left_out.add(one.where)
                continue
            yield example
            number += 1
            if number == source.num_examples:
                return
        if number == 0 and not ledger.drops:
            raise DataError(f"{source.path}: none of the {len(left_out)} items is in split {source.split!r}. Give more, or another split.")
        if source.num_examples is None or number == before:
            return


def _material_task(source: SourceConfig) -> MaterialTask:
    from vlmpost import tasks

    assert source.task is not None and source.path is not None, source
    task = tasks.find(source.task)
    if not isinstance(task, MaterialTask):
        able = [name for name in tasks.names() if isinstance(tasks.find(name), MaterialTask)]
        raise ConfigError(f"Task {source.task!r} draws its own pictures: leave path out. Tasks for stored ones: {', '.join(able)}.")
    if source.difficulties is not None:
        raise ConfigError(f"Task {source.task!r} on stored items has no difficulties: leave them out.")
    return task


def _example(
    task: MaterialTask, one: Found, source: SourceConfig, number: int, *, options: object, by_hash: bool, ledger: Ledger
) -> Example | None:
    """The example on an item; None: the item is of another split, or cannot be used and stands in the ledger."""
    try:
        item = one.open()
        digest = item.digest()
        if by_hash and split_of(digest) != source.split:
            return None
        example = task.make_on(
            item,
            digest=digest,
            split=source.split,
            index=number,
            seed=source.seed,
            options=options,  # type: ignore[arg-type]  # of options_of
            shift=source.shift,
        )
    except (RowFault, Unsuitable) as fault:
        ledger.drop(RowFault(fault.reason, fault.detail), id=one.where, where=str(source.path))
        return None
    except DataError as error:
        ledger.drop(RowFault(_CANNOT_BE_OPENED[task.material], str(error)), id=one.where, where=str(source.path))
        return None
    return example if source.solutions is None else replace(example, solution=task.solve(example, style=source.solutions))
