"""Stored data to rows with their places: JSONL, JSON, Parquet, TSV, folders, `datasets` folders, hub ids.

Rows are yielded as they are stored; nothing is recognised, checked or decoded here. `pyarrow` and `datasets` are imported
only by the readers that need them. Nothing is unpickled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlmpost import jsonl
from vlmpost.data import tsv
from vlmpost.data.ledger import RowFault
from vlmpost.errors import DataError

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".json", ".jsonl", ".parquet", ".tsv")
IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
IMAGE_QUESTION = "What does the image show?"
"""The question of an image folder, whose subfolders are the answers."""

_BATCH_ROWS = 64
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(:[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row as stored."""

    values: Mapping[str, object]
    where: str
    """File and line (or item), e.g. "test.jsonl:12"."""
    root: Path
    """The folder that image paths are relative to."""
    fault: RowFault | None = None
    """What is wrong with it already; None: nothing yet."""


def read(path: str, *, split: str, base_dir: Path | None) -> Iterator[StoredRow]:
    """Yields the rows of a file, a folder or a hub dataset.

    Args:
        path: As in a recipe. A relative path starts from `base_dir`.
        split: The split of a folder or a hub dataset; a single file has no splits.
        base_dir: None: the working directory.

    Raises:
        DataError: It does not exist, or cannot be read.
    """
    place = (base_dir or Path.cwd()).absolute() / Path(path).expanduser()
    if place.is_file():
        return _file(place)
    if place.is_dir():
        return _folder(place, split)
    if _HUB_ID.fullmatch(path) and place.suffix not in SUFFIXES:
        return _hub(path, split, place)
    raise DataError(f"{path}: there is no such file or folder (looked for {place}), and it is not a hub id (owner/name).")


def holds_rows(folder: Path, split: str) -> bool:
    """Whether a folder holds rows of a split, and not just pictures."""
    saved = any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))
    return saved or _metadata_folder(folder, split) is not None or bool(_split_files(folder, split))


def has_splits(place: Path, split: str) -> bool:
    """Whether the rows at a place have splits of their own: a hub dataset, a saved one of several splits, files or folders by name.

    A file that is alone has none, whatever its name, as it is read for every split.
    """
    if not place.is_dir():
        return not place.is_file()
    files = _data_files(place) or _data_files(place / "data")
    by_name = len(files) > 1 and any(_is_of_split(path, split) for path in files)
    return by_name or (place / "dataset_dict.json").is_file() or (place / split / "metadata.jsonl").is_file()


def _file(path: Path) -> Iterator[StoredRow]:
    readers = {".jsonl": _jsonl, ".json": _json, ".parquet": _parquet, ".tsv": _tsv}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path}: files of kind {path.suffix or '(none)'} are not read. Known: {', '.join(SUFFIXES)}.")
    return readers[path.suffix.lower()](path)


def _jsonl(path: Path) -> Iterator[StoredRow]:
    for number, row in jsonl.read(path):
        yield StoredRow(row, f"{path.name}:{number}", path.parent)


def _json(path: Path) -> Iterator[StoredRow]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}). Rows line by line belong in a .jsonl file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        content = content["data"]
    if isinstance(content, dict) and content and all(isinstance(row, dict) for row in content.values()):
        content = [{"id": key} | row for key, row in content.items()]
    if not isinstance(content, list):
        raise DataError(f'{path}: expected a list of rows, {{"data": [rows]}} or {{id: row}}, got {type(content).__name__}.')
    for number, row in enumerate(content, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: item {number} is not an object but {type(row).__name__}.")
        yield StoredRow(row, f"{path.name} item {number}", path.parent)


def _tsv(path: Path) -> Iterator[StoredRow]:
    for number, values, fault in tsv.read(path):
        yield StoredRow(values, f"{path.name}:{number}", path.parent, fault)


def _parquet(path: Path) -> Iterator[StoredRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        number = 0
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for values in _rows(batch):
                    number += 1
                    yield StoredRow(values, f"{path.name} row {number}", path.parent)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]}).") from None


def _rows(batch: pyarrow.RecordBatch) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = batch.to_pylist()
    return rows


def _folder(folder: Path, split: str) -> Iterator[StoredRow]:
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return _saved(folder, split)
    described = _metadata_folder(folder, split)
    if described is not None:
        return _with_metadata(described)
    files = _split_files(folder, split)
    if files:
        return (row for path in files for row in _file(path))
    labelled = folder / split if (folder / split).is_dir() else folder
    images = _labelled_images(labelled)
    if images:
        return _image_rows(images, labelled)
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise DataError(
        f"{folder}: no data for split {split!r} here. Looked for a `datasets` folder, metadata.jsonl, data/{split}-*.parquet, "
        f"{split}.jsonl (or .json, .parquet, .tsv), one such file alone, and subfolders of images; found {found}."
    )


def _metadata_folder(folder: Path, split: str) -> Path | None:
    return next((within for within in (folder, folder / split, folder / "data") if (within / "metadata.jsonl").is_file()), None)


def _is_of_split(path: Path, split: str) -> bool:
    return re.fullmatch(rf"{re.escape(split)}([-_.].*)?", path.stem) is not None


def _split_files(folder: Path, split: str) -> list[Path]:
    """The files that hold a split: by name in `folder` or `folder/data`, else the only data file of the folder."""
    for within in (folder, folder / "data"):
        named = [path for path in _data_files(within) if _is_of_split(path, split)]
        kinds = {path.suffix.lower() for path in named}
        if len(kinds) > 1:
            raise DataError(f"{within}: split {split!r} is there as {', '.join(sorted(kinds))}. Give the file you mean.")
        if named:
            return _complete_shards(named)
    return next((files for within in (folder, folder / "data") if len(files := _data_files(within)) == 1), [])


def _complete_shards(files: list[Path]) -> list[Path]:
    for path in files:
        match = re.search(r"-of-(\d+)", path.stem)
        if match and int(match[1]) != len(files):
            raise DataError(f"{path.parent}: {len(files)} of {int(match[1])} shards are there ({path.name}). Fetch the others.")
    return files


def _data_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name != "dataset_infos.json")


def _with_metadata(folder: Path) -> Iterator[StoredRow]:
    for row in _jsonl(folder / "metadata.jsonl"):
        values = dict(row.values)
        if "file_name" in values:
            values["image"] = values.pop("file_name")
        yield StoredRow(values, row.where, row.root)


def _labelled_images(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("*/*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    return sorted(found, key=lambda path: (path.parent.name, path.name))


def _image_rows(images: Sequence[Path], folder: Path) -> Iterator[StoredRow]:
    labels = sorted({path.parent.name for path in images})
    choices = labels if 2 <= len(labels) <= 26 else []
    for path in images:
        name = f"{path.parent.name}/{path.name}"
        row: dict[str, object] = {"id": name, "question": IMAGE_QUESTION, "image": name, "answer": path.parent.name}
        yield StoredRow(row | {"choices": choices}, name, folder)


def _saved(folder: Path, split: str) -> Iterator[StoredRow]:
    import datasets

    try:
        stored = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: not a readable `datasets` folder ({error}).") from None
    if isinstance(stored, datasets.DatasetDict):
        if split not in stored:
            raise DataError(f"{folder}: no split {split!r}. There are {', '.join(sorted(stored))}.")
        stored = stored[split]
    yield from _dataset_rows(stored, folder.name, folder)


def _hub(name: str, split: str, place: Path) -> Iterator[StoredRow]:
    import datasets

    repository, _, subset = name.partition(":")
    try:
        stored = datasets.load_dataset(repository, subset or None, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{name}: no such file or folder ({place}), and as a hub dataset it cannot be loaded: {cause}") from None
    # Files that the library fetched lie in its cache; a row may name no others.
    yield from _dataset_rows(stored, repository, Path(datasets.config.HF_CACHE_HOME))


def _dataset_rows(stored: object, name: str, root: Path) -> Iterator[StoredRow]:
    import datasets

    assert isinstance(stored, datasets.Dataset), type(stored)
    number = 0
    # In arrow format the images stay encoded: a struct of bytes and path.
    for table in stored.with_format("arrow").iter(batch_size=_BATCH_ROWS):
        for values in table.to_pylist():
            number += 1
            yield StoredRow(values, f"{name} row {number}", root)
