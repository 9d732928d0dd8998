"""Traces that come one after another, whatever the batch asks: the SFT data beside RL of CHORD."""

from __future__ import annotations

import random

from vlmpost.training.dataset import ExampleDataset
from vlmpost.training.guidance.traces import TraceStore


class TraceStream:
    """All questions with a trace, in passes that are each shuffled anew; a pure function of the number of the batch.

    Args:
        traces: By question.
        dataset: Of the run.
        per_step: Traces of a batch.
        seed: Of the order.
    """

    def __init__(self, traces: TraceStore, dataset: ExampleDataset, *, per_step: int, seed: int) -> None:
        index_of = {example.id: index for index, example in enumerate(dataset.examples)}
        self._questions = [(index_of[example_id], example_id) for example_id in traces.ids]
        self._per_step = per_step
        self._seed = seed
        self._passes: dict[int, list[tuple[int, str]]] = {}

    def of_batch(self, number: int) -> list[tuple[int, str]]:
        """Returns (index in the dataset, example id) of each trace of a batch; no trace comes again before all have come."""
        places = range(number * self._per_step, (number + 1) * self._per_step)
        return [self._pass(place // len(self._questions))[place % len(self._questions)] for place in places]

    def _pass(self, number: int) -> list[tuple[int, str]]:
        if number not in self._passes:
            shuffled = list(self._questions)
            random.Random(f"stream/{self._seed}/{number}").shuffle(shuffled)
            self._passes = {kept: order for kept, order in self._passes.items() if kept == number - 1} | {number: shuffled}
        return self._passes[number]
