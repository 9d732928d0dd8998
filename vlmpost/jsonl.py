"""JSONL and JSON files: read with line numbers, appended whole lines at a time, replaced atomically.

What is written can be read by anything; what is read is checked by the caller.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from vlmpost.errors import DataError, RunError

Row = dict[str, object]
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_UNDECODED = re.compile("[\udc80-\udcff]")
"""A byte that is no UTF-8, as `surrogateescape` reads it."""
"""Surrogates without their partner, as a cut text may end in; UTF-8 cannot hold them."""


def read(path: Path | str, *, torn_tail: bool = False) -> Iterator[tuple[int, Row]]:
    """Yields (line number from 1, object) for each line that is not blank.

    Args:
        path: A UTF-8 file with one JSON object a line.
        torn_tail: Whether a last line without its newline that does not parse is left out: a file that a
            killed process was appending to.

    Raises:
        DataError: The file cannot be read, or a line is not a JSON object.
    """
    for number, line in _lines(path):
        try:
            row = _parse(line, f"{path}:{number}")
        except DataError:
            if torn_tail and not line.endswith("\n"):
                return
            raise
        yield number, row


def read_each(path: Path | str) -> Iterator[tuple[int, Row | DataError]]:
    """Like `read`, but a line that is not a JSON object is yielded as its error, and reading goes on.

    Raises:
        DataError: The file cannot be read.
    """
    for number, line in _lines(path):
        try:
            yield number, _parse(line, f"{path}:{number}")
        except DataError as error:
            yield number, error


def _lines(path: Path | str) -> Iterator[tuple[int, str]]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:  # a line may be torn inside a character
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


def _parse(line: str, where: str) -> Row:
    if _UNDECODED.search(line):
        raise DataError(f"{where}: not UTF-8 text. Save the file as UTF-8.")
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error.msg}): {line[:80]!r}. Mend or remove the line.") from None
    except (ValueError, RecursionError):
        raise DataError(f"{where}: holds a number or a nesting that is too large to read: {line[:80]!r}.") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected a JSON object, got {type(row).__name__}.")
    return row


def dump(row: Mapping[str, object]) -> str:
    """One line of JSON, newline included; NaN and infinities become null, since JSON has none, half characters escapes."""
    text = json.dumps(_finite(row), ensure_ascii=False, separators=(", ", ": "))
    if not text.isascii() and _HALF_CHARACTER.search(text):
        text = json.dumps(_finite(row), separators=(", ", ": "))
    return text + "\n"


def append(path: Path | str, rows: Iterable[Mapping[str, object]]) -> None:
    """Appends rows in one write, so that a reader never sees half of a batch that fits the pipe.

    Raises:
        RunError: The disk refuses.
    """
    text = "".join(dump(row) for row in rows)
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}). Free space or choose another folder (--run-dir, --out).") from None


def replace_text(path: Path | str, text: str) -> None:
    """Puts `text` in place of the file at `path` so that every reader sees the old or the new file whole.

    Raises:
        RunError: The disk refuses; the old file is untouched.
    """
    target = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise RunError(f"{target}: cannot be written ({error.strerror}). Free space or choose another folder (--run-dir, --out).") from None


def replace_json(path: Path | str, value: Mapping[str, object]) -> None:
    """Like `replace_text`, with indented JSON."""
    replace_text(path, json.dumps(_finite(value), ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> Row:
    """The object in a JSON file that vlmpost wrote.

    Raises:
        RunError: The file cannot be read, or does not hold an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}).") from None
    except json.JSONDecodeError as error:
        raise RunError(f"{path}: not JSON ({error.msg}).") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    if not isinstance(value, dict):
        raise RunError(f"{path}: not a mapping.")
    return value


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
