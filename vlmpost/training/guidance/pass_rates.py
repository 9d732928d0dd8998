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

from vlmpost.curation import pass_rates


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
        for known in pass_rates.read(path).values():
            rates.add(known.id, num_right=known.num_right, num_tried=known.num_tried)
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
