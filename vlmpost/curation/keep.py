"""Which of the answers that passed every filter become rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from vlmpost.config.curate import KeepConfig
from vlmpost.curation.records import Candidate
from vlmpost.models.sampling import row_seed

NOT_CHOSEN = "beyond keep.num"
OVER_THE_CAP = "beyond keep.max_rows"


def in_order(candidates: Sequence[Candidate], config: KeepConfig, *, seed: int, length_of: Callable[[Candidate], int]) -> list[Candidate]:
    """Returns the answers to one question in the order in which they are taken, all of them.

    Args:
        candidates: Answers that passed.
        config: Its `which` says the order; answers of the same length are taken by their number.
        seed: Of `which: random`.
        length_of: Tokens of an answer.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.sample)
    if config.which in ("shortest", "longest"):
        sign = 1 if config.which == "shortest" else -1
        ordered.sort(key=lambda candidate: sign * length_of(candidate))
    if config.which == "random":
        ordered.sort(key=lambda candidate: row_seed(seed, "keep", candidate.example.id, candidate.sample))
    return ordered


def in_turn(sizes: Sequence[int], *, max_rows: int | None) -> list[int]:
    """Returns how many rows of each question stay under the cap: one of each in order, then a second of each, and so on.

    Args:
        sizes: How many rows each question has.
        max_rows: The cap. None: there is none.

    >>> in_turn([3, 1, 2], max_rows=4)
    [2, 1, 1]
    """
    turns = [question for turn in range(max(sizes, default=0)) for question, size in enumerate(sizes) if turn < size]
    counts = Counter(turns[:max_rows])
    return [counts[question] for question in range(len(sizes))]
