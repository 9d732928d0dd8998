"""How often questions were answered right: a JSONL file of {id, num_right, num_tried}, by question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from vlmpost import jsonl
from vlmpost.errors import DataError


@dataclass(frozen=True, slots=True)
class PassRate:
    """How often one question was answered right."""

    id: str
    num_right: int
    num_tried: int
    """Answers that were judged; those that did not come do not count."""

    @property
    def share(self) -> float:
        """Right answers over all."""
        return self.num_right / self.num_tried


def read(path: Path | str) -> dict[str, PassRate]:
    """Returns the pass rates in a file, by question.

    Raises:
        DataError: The file cannot be read, a row is no pass rate, or a question stands there twice.
    """
    found: dict[str, PassRate] = {}
    for number, row in jsonl.read(path):
        rate = _rate_of(row, where=f"{path}:{number}")
        if rate.id in found:
            raise DataError(f"{path}:{number}: question {rate.id!r} stands there twice. Remove one of the rows.")
        found[rate.id] = rate
    return found


def write(path: Path | str, rates: Iterable[PassRate]) -> None:
    """Replaces the file.

    Raises:
        RunError: The disk refuses.
    """
    jsonl.replace_text(path, "".join(jsonl.dump(asdict(rate)) for rate in rates))


def _rate_of(row: jsonl.Row, *, where: str) -> PassRate:
    num_right, num_tried = row.get("num_right"), row.get("num_tried")
    if "id" not in row or type(num_right) is not int or type(num_tried) is not int or not 0 <= num_right <= num_tried or num_tried == 0:
        raise DataError(f"{where}: expected id, num_right and num_tried with 0 <= num_right <= num_tried and num_tried > 0, got {row}.")
    return PassRate(str(row["id"]), num_right, num_tried)
