"""VLMEvalKit TSV files: one question per row, images as base64 in a cell.

Cells are texts: "None", "NA" and "025" stay what they are, an empty cell is absent. An image cell holds base64, a list of
base64 texts, or (at most 64 characters) the index of a row whose image is meant; such a reference may not point to another
reference. `image_path` names files where `image` is absent.

Source: open-compass/VLMEvalKit @ e8e78f05, vlmeval/dataset/image_base.py and vlmeval/smp/file.py. Departures: nothing is
evaluated (`ast.literal_eval`), and a table that breaks CSV quoting is refused.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from vlmpost.data import paths
from vlmpost.data.gold import literal
from vlmpost.data.ledger import RowFault
from vlmpost.errors import DataError

MAX_REFERENCE = 64
"""Characters up to which an image cell is the index of another row."""
MAX_CELL = 2**30

_Cells = dict[str, str]


def read(path: Path) -> Iterator[tuple[int, Mapping[str, object], RowFault | None]]:
    """Yields (line number, row, fault or None); images are under "images" as bytes.

    Raises:
        DataError: The file cannot be read, has no header, or breaks the quoting.
    """
    references = _referenced(path)
    for number, cells, fault in _lines(path):
        row: dict[str, object] = {name: cell for name, cell in cells.items() if cell != ""}
        try:
            if fault is not None:
                raise fault
            if "image" in row:
                row["images"] = _images(str(row.pop("image")), references)
            elif "image_path" in row:
                spelled = literal(str(row.pop("image_path")))
                row["images"] = spelled if isinstance(spelled, list) else [spelled]
        except RowFault as found:
            fault = found
        yield number, row, fault


def _images(cell: str, references: Mapping[str, str]) -> list[bytes]:
    if cell.lstrip().startswith("["):
        spelled = literal(cell)
        if not isinstance(spelled, list) or not all(isinstance(item, str) for item in spelled):
            raise RowFault("image cell not understood", f"{cell[:24]!r}... is not a list of base64 texts")
        return [_image(item, references) for item in spelled]
    return [_image(cell, references)]


def _image(cell: str, references: Mapping[str, str]) -> bytes:
    if len(cell) > MAX_REFERENCE:
        return paths.from_base64(cell).data or b""
    target = references.get(cell.strip())
    if target is None:
        raise RowFault("image reference not found", f"no row has index {cell!r}")
    if len(target) <= MAX_REFERENCE:
        raise RowFault("image reference to a reference", f"index {cell!r} has no image of its own")
    if target.lstrip().startswith("["):
        raise RowFault("image reference to several images", f"index {cell!r}")
    return paths.from_base64(target).data or b""


def _referenced(path: Path) -> dict[str, str]:
    """The image cells of the rows that others refer to, by index."""
    names: set[str] = set()
    for _, cells, _ in _lines(path):
        cell = cells.get("image", "")
        spelled = literal(cell) if cell.lstrip().startswith("[") else cell
        items = spelled if isinstance(spelled, list) else [spelled]
        names |= {item.strip() for item in items if isinstance(item, str) and 0 < len(item) <= MAX_REFERENCE}
    if not names:
        return {}
    return {cells["index"]: cells.get("image", "") for _, cells, _ in _lines(path) if cells.get("index") in names}


def _lines(path: Path) -> Iterator[tuple[int, _Cells, RowFault | None]]:
    # Images make cells far longer than csv's limit of 128 KiB, which is a setting of the whole process.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    reader = None
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t", strict=True)
            header = next(reader, None)
            if not header:
                raise DataError(f"{path}: the file is empty. A TSV starts with a line of column names.")
            if len(set(header)) != len(header):
                raise DataError(f"{path}:1: a column name appears twice: {', '.join(header)}.")
            number = reader.line_num + 1
            for cells in reader:
                if cells:
                    fault = None
                    if len(cells) != len(header):
                        fault = RowFault("cells and columns differ", f"{len(cells)} cells, {len(header)} columns")
                    yield number, dict(zip(header, cells, strict=False)), fault
                number = reader.line_num + 1
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except csv.Error as error:
        line = reader.line_num if reader is not None else 1
        raise DataError(f"{path}:{line}: the quoting of the table is broken ({error}). Export it again as TSV.") from None
