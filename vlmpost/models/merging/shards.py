"""Writing a model's safetensors files block by block, so that only one block of the result is ever in memory.

The result has the files of the first model, each tensor in the file where that model has it; `safetensors` itself writes whole files only.

Source: the safetensors format: 8 bytes of header length, a JSON header padded to 8 bytes, the numbers without gaps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from io import FileIO
from pathlib import Path
from typing import Final

import torch

from vlmpost.models.merging.stored import DTYPES, Entry
from vlmpost.models.weights import INDEX_FILE, SINGLE_FILE

ALIGNMENT: Final = 8
NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}

Make = Callable[[str], Iterable[torch.Tensor]]
"""The numbers of a tensor in blocks, flat, in the type of its entry."""


def write_weights(folder: Path, entries: Mapping[str, Entry], make: Make) -> None:
    """Writes the weight files of a model, and their index where there are several or the one has another name than a single file's.

    Args:
        folder: It exists and has no weights.
        entries: Name to file, type and shape of the result; files are taken by their names.
        make: Gives the numbers of a tensor. It is called once for each name, file by file.
    """
    by_file: dict[str, dict[str, Entry]] = {}
    for name, entry in entries.items():
        by_file.setdefault(entry.file.name, {})[name] = entry
    for file, of_file in by_file.items():
        _write_file(folder / file, of_file, make)
    if list(by_file) != [SINGLE_FILE]:
        weight_map = {name: file for file, of_file in by_file.items() for name in of_file}
        index = {"metadata": {"total_size": sum(num_bytes(entry) for entry in entries.values())}, "weight_map": weight_map}
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def num_bytes(entry: Entry) -> int:
    """Returns the size of a tensor on disk."""
    return entry.num_entries * DTYPES[entry.dtype].itemsize


def _write_file(file: Path, entries: Mapping[str, Entry], make: Make) -> None:
    # Wide types first, so that every tensor starts at a multiple of its own width.
    in_order = sorted(entries.items(), key=lambda item: -DTYPES[item[1].dtype].itemsize)
    with file.open("wb", buffering=0) as stream:
        _write(stream, memoryview(_header(dict(in_order))))
        for name, entry in in_order:
            num_written = 0
            for block in make(name):
                assert NAMES[block.dtype] == entry.dtype, (name, block.dtype, entry)
                _write(stream, memoryview(block.view(torch.uint8).numpy()))
                num_written += block.numel()
            assert num_written == entry.num_entries, (name, num_written, entry)


def _write(stream: FileIO, content: memoryview) -> None:
    """Writes all of it: a file without a buffer may take less at a time."""
    while content:
        content = content[stream.write(content) :]


def _header(entries: Mapping[str, Entry]) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, entry in entries.items():
        end = start + num_bytes(entry)
        header[name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
