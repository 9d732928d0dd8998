"""Average precision of ranked boxes for one label, as COCO counts it; in a file of its own since it needs numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

_RECALLS: Final = np.linspace(0.0, 1.0, 101)


def average_precision(overlaps: Sequence[Sequence[float]], threshold: float, *, num_golds: int) -> float:
    """Returns COCO's interpolated precision at 101 recalls for one label and one threshold, 0 to 1.

    Args:
        overlaps: IoU by ranked answer and gold, shape [answers, golds].
        threshold: IoU from which a pair matches.
        num_golds: How many golds there are, at least 1.
    """
    num_answers = len(overlaps)
    hits = np.zeros(num_answers)
    free = np.ones(num_golds, dtype=bool)
    for row in range(num_answers):
        values = np.where(free, np.asarray(overlaps[row]), -1.0)
        best = num_golds - 1 - int(np.argmax(values[::-1]))  # of equal overlaps COCO takes the later gold
        if values[best] >= min(threshold, 1 - 1e-10):
            hits[row], free[best] = 1.0, False
    found = np.cumsum(hits)
    precision = found / np.arange(1, num_answers + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(found / num_golds, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[places].mean())
