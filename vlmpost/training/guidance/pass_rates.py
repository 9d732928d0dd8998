"""How often the policy answers each question right: counts of judged answers, never of rewards.

Only rollouts without a hint may be counted, and only those that were judged: a rollout that begins with a part of the solution says
nothing of what the policy can do alone, and one that could not be judged says nothing at all. A reward is not looked at: a wrong answer
in the right format earns one too.

Rates are exact fractions, so that "none right" and "two of eight" are what they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from vlmpost import jsonl
from vlmpost.errors import DataError


class PassRates:
    """Right and tried answers of each question; a question never told of is unknown.

    >>> rates = PassRates()
    >>> rates.add("q1", num_right=2, num_tried=8)
    >>> rates.rate("q1"), rates.rate("q2")
    (Fraction(1, 4), None)
    """

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    @staticmethod
    def read(path: Path | str) -> PassRates:
        """Returns the counts in a file of rows {id, num_right, num_tried}; other keys of a row are not looked at.

        Raises:
            DataError: The file cannot be read, or a row is wrong: the message names its line.
        """
        rates = PassRates()
        for line, row in jsonl.read(path):
            where = f"{path}:{line}"
            example_id = _id(row, where)
            if example_id in rates._counts:
                raise DataError(f"{where}: id {example_id!r} has a row before this one. Give each question one row.")
            rates._counts[example_id] = _counts(row, where)
        return rates

    def rate(self, example_id: str) -> Fraction | None:
        """Returns the share of right answers. None: nothing was tried."""
        num_right, num_tried = self.counts(example_id)
        return Fraction(num_right, num_tried) if num_tried else None

    def counts(self, example_id: str) -> tuple[int, int]:
        """Returns (right, tried); (0, 0) of a question never told of."""
        return self._counts.get(example_id, (0, 0))

    def add(self, example_id: str, *, num_right: int, num_tried: int) -> None:
        """Counts judged answers of rollouts without a hint."""
        assert 0 <= num_right <= num_tried, f"{num_right} right of {num_tried}"
        right, tried = self.counts(example_id)
        self._counts[example_id] = (right + num_right, tried + num_tried)

    def rows(self) -> list[dict[str, object]]:
        """Returns the rows of a file that `read` reads."""
        return [{"id": key, "num_right": right, "num_tried": tried} for key, (right, tried) in self._counts.items()]

    @property
    def hash(self) -> str:
        """SHA-256 of what is known."""
        return hashlib.sha256(json.dumps(self.rows(), sort_keys=True).encode()).hexdigest()

    def state_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Returns the counts."""
        return {"counts": {key: list(counts) for key, counts in self._counts.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: JSON values
        """Goes on from a state of `state_dict`; what was known before is forgotten."""
        self._counts = {key: (right, tried) for key, (right, tried) in state["counts"].items()}


def _id(row: jsonl.Row, where: str) -> str:
    value = row.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DataError(f"{where}: expected an `id`, got {value!r}. Give each row {{id, num_right, num_tried}}.")
    return str(value)


def _counts(row: jsonl.Row, where: str) -> tuple[int, int]:
    num_right, num_tried = (_count(row, name, where) for name in ("num_right", "num_tried"))
    if num_right > num_tried:
        raise DataError(f"{where}: num_right is {num_right}, above num_tried {num_tried}. Mend the row.")
    return num_right, num_tried


def _count(row: jsonl.Row, name: str, where: str) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DataError(f"{where}: {name} is {value!r}. Give a whole number, 0 or more.")
    return value
