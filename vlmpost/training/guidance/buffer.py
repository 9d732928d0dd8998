"""Questions that wait until there are enough of them for a step on their traces: the buffer of ReLIFT.

Source: ReLIFT, TheRoadQaQ/ReLIFT at eb95454, relift/verl/verl/relift/trainer.py. Departures: 1. the oldest questions are given out
first, there the newest; 2. a question that waits is not taken in again, there it stands twice. One that was given out may come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Question = tuple[int, str]
"""(index in the dataset, example id)."""


class TraceBuffer:
    """Unsolved questions, oldest first.

    Args:
        size: How many make a step.

    >>> buffer = TraceBuffer(2)
    >>> buffer.add([(7, "a"), (7, "a")])
    >>> buffer.take(), len(buffer)
    ([], 1)
    >>> buffer.add([(8, "b"), (9, "c")])
    >>> buffer.take(), len(buffer)
    ([(7, 'a'), (8, 'b')], 1)
    """

    def __init__(self, size: int) -> None:
        assert size > 0, f"a buffer of {size}"
        self.size = size
        self._waiting: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, questions: Iterable[Question]) -> None:
        """Keeps the questions that do not wait already.

        Args:
            questions: In an order that is the same on every process.
        """
        for index, example_id in questions:
            self._waiting.setdefault(index, example_id)

    def take(self) -> list[Question]:
        """Gives out the oldest `size` questions; none while there are fewer."""
        if len(self) < self.size:
            return []
        taken = list(self._waiting.items())[: self.size]
        for index, _ in taken:
            del self._waiting[index]
        return taken

    def state_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Returns the questions, oldest first."""
        return {"waiting": [list(question) for question in self._waiting.items()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: JSON values
        """Goes on from a state of `state_dict`."""
        self._waiting = dict(state["waiting"])
