"""Rows for TRL's trainers, made when they are asked for: no image is decoded before its step.

TRL insists on a `datasets.Dataset`; this one holds an index column and builds each row from an `Example`. Lengths are not looked at:
rows that are too long were dropped and counted before (`vlmpost.data`), and nothing is cut here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import datasets
from PIL import Image

from vlmpost.data.conversation import to_completion, to_messages
from vlmpost.errors import DataError
from vlmpost.media.images import open_image
from vlmpost.records import Example

Row = dict[str, Any]  # Any: messages, PIL images, an Example
RowMaker = Callable[[Example, list[Image.Image]], Row]


class ExampleDataset(datasets.Dataset):
    """A `datasets.Dataset` over examples; `images` is always a list, empty for a text-only row, never None.

    Args:
        examples: What the rows are made of.
        make_row: Builds one row from an example and its decoded images.
        max_cached: Examples whose decoded images are kept: RL asks for each prompt once per completion and pass.
    """

    def __init__(self, examples: Sequence[Example], *, make_row: RowMaker, max_cached: int = 0) -> None:
        index = datasets.Dataset.from_dict({"index": list(range(len(examples)))})
        super().__init__(index.data, info=index.info)
        self.examples = tuple(examples)
        self._make_row = make_row
        self._max_cached = max_cached
        self._decoded: OrderedDict[int, list[Image.Image]] = OrderedDict()

    def __getitem__(self, key: int) -> Row:  # type: ignore[override]
        images = self._images(key)
        return self._make_row(self.examples[key], images)

    def __getitems__(self, keys: list[int]) -> list[Row]:
        return [self[key] for key in keys]

    def __iter__(self) -> Iterator[Row]:
        return (self[index] for index in range(len(self.examples)))

    def _images(self, key: int) -> list[Image.Image]:
        if key in self._decoded:
            self._decoded.move_to_end(key)
            return list(self._decoded[key])
        images = [open_image(reference) for reference in self.examples[key].images]
        if self._max_cached:
            self._decoded[key] = images
            if len(self._decoded) > self._max_cached:
                self._decoded.popitem(last=False)
        return list(images)


def sft_dataset(examples: Sequence[Example], *, instruction: str | None) -> ExampleDataset:
    """Rows with `prompt`, `completion` and `images` for `SFTTrainer`: only the completion is trained on.

    Raises:
        DataError: An example has no solution.
    """
    without = [example.id for example in examples if not example.solution]
    if without:
        raise DataError(
            f"data.train: {len(without)} of {len(examples)} examples have no solution to imitate (first: {without[0]}). "
            "Give a `solution` column (data.train[].columns), or train with `vlmpost rl`."
        )

    def make_row(example: Example, images: list[Image.Image]) -> Row:
        return {"prompt": to_messages(example, instruction=instruction), "completion": to_completion(example), "images": images}

    return ExampleDataset(examples, make_row=make_row)


def rl_dataset(examples: Sequence[Example], *, instruction: str | None, prompts_per_step: int) -> ExampleDataset:
    """Rows with `prompt`, `images`, the `example` itself and its `index` for the policy trainer."""
    index_of = {id(example): index for index, example in enumerate(examples)}

    def make_row(example: Example, images: list[Image.Image]) -> Row:
        messages = to_messages(example, instruction=instruction)
        return {"prompt": messages, "images": images, "example": example, "index": index_of[id(example)]}

    return ExampleDataset(examples, make_row=make_row, max_cached=prompts_per_step)


def has_mixed_rows(examples: Sequence[Example]) -> bool:
    """Whether some examples have images and some have none."""
    return len({bool(example.images) for example in examples}) == 2
