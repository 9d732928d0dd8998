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
            raise DataError(f"{path}:{number}: id {rate.id!r} has a row before this one. Give each question one row.")
        found[rate.id] = rate
    return found


def write(path: Path | str, rates: Iterable[PassRate]) -> None:
    """Replaces the file.

    Raises:
        RunError: The disk refuses.
    """
    jsonl.replace_text(path, "".join(jsonl.dump(asdict(rate)) for rate in rates))


def _rate_of(row: jsonl.Row, *, where: str) -> PassRate:
    example_id = row.get("id")
    if isinstance(example_id, bool) or not isinstance(example_id, str | int) or example_id == "":
        raise DataError(f"{where}: expected an `id`, got {example_id!r}. Give each row {{id, num_right, num_tried}}.")
    num_right, num_tried = (_count(row, name, where) for name in ("num_right", "num_tried"))
    if num_right > num_tried:
        raise DataError(f"{where}: num_right is {num_right}, above num_tried {num_tried}. Mend the row.")
    if not num_tried:
        raise DataError(f"{where}: num_tried is 0, so there is no rate. Remove the row.")
    return PassRate(str(example_id), num_right, num_tried)


def _count(row: jsonl.Row, name: str, where: str) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DataError(f"{where}: {name} is {value!r}. Give a whole number, 0 or more.")
    return value
