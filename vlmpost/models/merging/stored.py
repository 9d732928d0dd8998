"""The tensors of a model folder, read a stretch at a time: names, types and shapes from the headers, numbers only when asked for.

Knows no architectures: names are those in the files. Numbers are read, not mapped, and a file is open only while they are, so that no
more of a model is in memory than the stretch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import torch

from vlmpost.errors import ModelError
from vlmpost.models.weights import INDEX_FILE, SINGLE_FILE, weight_files

MAX_NAMES_SHOWN: Final = 10
DTYPES: Final[Mapping[str, torch.dtype]] = {
    "BF16": torch.bfloat16,
    "BOOL": torch.bool,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "I8": torch.int8,
    "U8": torch.uint8,
}
"""Name in a safetensors header -> type."""


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies and what it is, without its numbers."""

    file: Path
    dtype: str
    """As in the header, e.g. "BF16"."""
    shape: tuple[int, ...]
    offset: int
    """Byte of the file at which its numbers begin."""

    @property
    def num_entries(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether it can be merged; other tensors are counts and tables."""
        return DTYPES[self.dtype].is_floating_point


Read = Callable[[int, int], torch.Tensor]
"""Entries from start to stop of one tensor, flat, in the type in which they are stored, in memory of their own."""


class Weights(Protocol):
    """What a merge needs of a model: a folder's tensors, or those of a base with an adapter in them."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that its numbers come from."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Name to place, file by file in the order in which they lie there."""

    def reader(self, name: str) -> Read:
        """What reads the numbers of one tensor."""


@dataclass(frozen=True)
class StoredWeights:
    """The tensors of a folder of full weights."""

    files: tuple[Path, ...]
    entries: Mapping[str, Entry]

    def reader(self, name: str) -> Read:
        """What reads the numbers of one tensor."""
        entry = self.entries[name]
        return lambda start, stop: _stretch(entry, start, stop)

    def read(self, name: str) -> torch.Tensor:
        """All numbers of one tensor, in its shape."""
        entry = self.entries[name]
        return _stretch(entry, 0, entry.num_entries).view(entry.shape)


def open_weights(folder: Path) -> StoredWeights:
    """Returns the tensors of the model in `folder`.

    Raises:
        ModelError: There are no whole safetensors files, or they hold quantised numbers.
    """
    files = weight_files(folder)
    entries = {name: entry for file in files for name, entry in entries_of(file).items()}
    odd = [f"{name} ({entry.dtype})" for name, entry in entries.items() if entry.dtype not in DTYPES]
    if odd:
        raise ModelError(f"{folder} holds numbers of a type that cannot be merged: {listed(odd)}. Give the model before it was quantised.")
    _check_index(folder, entries)
    return StoredWeights(files, entries)


def entries_of(file: Path) -> dict[str, Entry]:
    """Returns the tensors of one safetensors file, in the order in which they lie in it; the file is known to be whole."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        begin = stream.tell()
    header.pop("__metadata__", None)
    in_order = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    return {name: Entry(file, entry["dtype"], tuple(entry["shape"]), begin + entry["data_offsets"][0]) for name, entry in in_order}


def differences(first: Mapping[str, Entry], other: Mapping[str, Entry]) -> list[str]:
    """Returns what differs between two models' names and shapes, in words; empty where nothing does."""
    missing = [name for name in first if name not in other]
    extra = [name for name in other if name not in first]
    shapes = [
        f"{name} {list(entry.shape)} against {list(other[name].shape)}"
        for name, entry in first.items()
        if name in other and entry.shape != other[name].shape
    ]
    kinds = [name for name, entry in first.items() if name in other and entry.is_float != other[name].is_float]
    said = (
        (missing, "missing"),
        (extra, "in it alone"),
        (shapes, "of another shape"),
        (kinds, "of whole numbers in one, floating in the other"),
    )
    return [f"{len(names)} tensor{'s' * (len(names) > 1)} {what}: {listed(names)}" for names, what in said if names]


def listed(names: Sequence[str]) -> str:
    """Returns the first ten names, and how many more there are.

    >>> listed(["a", "b"])
    'a, b'
    """
    more = len(names) - MAX_NAMES_SHOWN
    return ", ".join(names[:MAX_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _stretch(entry: Entry, start: int, stop: int) -> torch.Tensor:
    dtype = DTYPES[entry.dtype]
    numbers = torch.empty(stop - start, dtype=dtype)
    if stop > start:
        with entry.file.open("rb", buffering=0) as stream:
            stream.seek(entry.offset + start * dtype.itemsize)
            num_read = stream.readinto(numbers.view(torch.uint8).numpy())
        assert num_read == (stop - start) * dtype.itemsize, (entry, start, stop, num_read)
    return numbers


def _check_index(folder: Path, entries: Mapping[str, Entry]) -> None:
    """Says where the index of a folder in shards and the shards themselves contradict each other."""
    if (folder / SINGLE_FILE).is_file():
        return
    named = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))["weight_map"]
    lost = [f"{name} in {file}" for name, file in named.items() if name not in entries or entries[name].file.name != file]
    extra = [f"{name} in {entry.file.name}" for name, entry in entries.items() if name not in named]
    if lost or extra:
        said = ((lost, "names what is not there"), (extra, "does not name what is"))
        parts = "; ".join(f"it {what} ({len(names)}): {listed(names)}" for names, what in said if names)
        raise ModelError(f"{folder / INDEX_FILE} does not fit its files: {parts}. Save or copy the model again.")
