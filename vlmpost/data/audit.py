"""The audit before any training: every image opened, every row counted in tokens, what does not fit dropped whole and named.

`audit` drops rows and fills a ledger; `prepare` joins it with reading and applies `max_drop_share` to both together. Nothing is
truncated here or later: rows that are too long are dropped.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from vlmpost.answers import fault_in_reference
from vlmpost.config.schema import DataConfig, SourceConfig
from vlmpost.data import Progress, collect
from vlmpost.data.conversation import to_completion, to_messages
from vlmpost.data.ledger import Kept, Ledger, RowFault
from vlmpost.data.tokens import Size, TokenCounter
from vlmpost.errors import DataError
from vlmpost.media.images import image_size, open_image
from vlmpost.records import Example, ImageRef

QUANTILES = (0.0, 0.5, 0.9, 0.99, 1.0)
_PROGRESS_ROWS = 16


def prepare(
    sources: Sequence[SourceConfig],
    processor: Any,  # Any: the library's processors share no typed interface.
    *,
    data: DataConfig,
    with_solution: bool,
    base_dir: Path | None,
    progress: Progress | None = None,
) -> tuple[list[Example], Ledger]:
    """The examples to train on: read, audited, and few enough dropped.

    Raises:
        DataError: A source cannot be read, or more than `data.max_drop_share` of the rows is dropped.
        ConfigError: A source is not given properly.
    """
    read, ledger = collect(sources, base_dir=base_dir, progress=progress)
    kept, audited = audit(read, processor, data, with_solution=with_solution, progress=progress)
    joined = ledger.joined(audited)
    joined.check(max_drop_share=data.max_drop_share)
    return kept, joined


def audit(
    examples: Sequence[Example],
    processor: Any,  # Any: as in prepare.
    data: DataConfig,
    *,
    with_solution: bool,
    decode_images: bool = True,
    progress: Progress | None = None,
) -> tuple[list[Example], Ledger]:
    """The examples that can be trained on, and the ledger of all of them with token counts.

    Args:
        examples: What `build` gave.
        processor: Of the model that is trained; its pixel budget counts.
        data: Its instruction is counted; its max_prompt_length and max_length drop rows; its num_workers open images.
        with_solution: Whether rows are to be imitated (SFT): a row without a solution is dropped, and max_length applies.
        decode_images: Whether images are decoded whole, which finds damage behind the header.
        progress: Called now and then; None: not.
    """
    sizes = _sizes(examples, decode=decode_images, num_workers=data.num_workers, progress=progress)
    counter = TokenCounter(processor)
    ledger = Ledger()
    kept: list[Example] = []
    for number, example in enumerate(examples, start=1):
        try:
            ledger.kept.append(_counted(example, sizes, counter, data, with_solution=with_solution))
            kept.append(example)
        except RowFault as fault:
            ledger.drop(fault, id=example.id, where=where_of(example))
        if progress is not None and (number % _PROGRESS_ROWS == 0 or number == len(examples)):
            progress("counting tokens", number, len(examples))
    ledger.statistics = _statistics(ledger.kept)
    return kept, ledger


def where_of(example: Example) -> str:
    """The place of an example's row, or its task if it was drawn."""
    return str(example.meta["row"]) if "row" in example.meta else example.task


def _counted(example: Example, sizes: dict[ImageRef, Size | str], counter: TokenCounter, data: DataConfig, *, with_solution: bool) -> Kept:
    found = [sizes[ref] for ref in example.images]
    for size in found:
        if isinstance(size, str):
            raise RowFault("image cannot be opened", size)
    fitting = [size for size in found if not isinstance(size, str)]
    messages = to_messages(example, instruction=data.instruction)
    completion = 0
    if not with_solution:
        fault = fault_in_reference(example)
        if fault is not None:
            raise RowFault("answer cannot be judged", fault)
        prompt = counter.prompt(messages, fitting)
    elif example.solution is None:
        raise RowFault("no solution", "SFT imitates a solution: give the column solution (or completion, or an assistant turn)")
    else:
        prompt, completion = counter.pair(messages, to_completion(example), fitting)
    if data.max_prompt_length is not None and prompt.total > data.max_prompt_length:
        raise RowFault(
            "longer than max_prompt_length", f"{prompt.total} tokens ({prompt.image} of images), at most {data.max_prompt_length}"
        )
    if with_solution and data.max_length is not None and prompt.total + completion > data.max_length:
        total = prompt.total + completion
        raise RowFault("longer than max_length", f"{total} tokens ({prompt.image} of images), at most {data.max_length}")
    return Kept(
        id=example.id,
        where=where_of(example),
        prompt_tokens=prompt.total,
        image_tokens=prompt.image,
        solution_tokens=completion if with_solution else None,
        num_images=len(example.images),
    )


def _sizes(examples: Sequence[Example], *, decode: bool, num_workers: int, progress: Progress | None) -> dict[ImageRef, Size | str]:
    """The size of each image that occurs, or the sentence that says why it has none."""
    refs = list(dict.fromkeys(ref for example in examples for ref in example.images))
    sizes: dict[ImageRef, Size | str] = {}
    for number, (ref, size) in enumerate(zip(refs, _measured(refs, decode=decode, num_workers=num_workers), strict=True), start=1):
        sizes[ref] = size
        if progress is not None and (number % _PROGRESS_ROWS == 0 or number == len(refs)):
            progress("opening images", number, len(refs))
    return sizes


def _measured(refs: Sequence[ImageRef], *, decode: bool, num_workers: int) -> Iterator[Size | str]:
    measure = _decoded_size if decode else _header_size
    if num_workers == 0 or len(refs) < 2 * _PROGRESS_ROWS:
        yield from map(measure, refs)
        return
    # Not forked: the parent may hold torch's threads.
    with ProcessPoolExecutor(num_workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(measure, refs, chunksize=_PROGRESS_ROWS)


def _decoded_size(ref: ImageRef) -> Size | str:
    try:
        return open_image(ref).size
    except DataError as error:
        return str(error)


def _header_size(ref: ImageRef) -> Size | str:
    try:
        return image_size(ref)
    except DataError as error:
        return str(error)


def _statistics(kept: Sequence[Kept]) -> dict[str, object]:
    """Totals and quantiles of the kept rows, in tokens."""
    columns = {
        "prompt_tokens": [row.prompt_tokens or 0 for row in kept],
        "image_tokens": [row.image_tokens or 0 for row in kept],
        "solution_tokens": [row.solution_tokens for row in kept if row.solution_tokens is not None],
    }
    quantiles = {name: _quantiles(values) for name, values in columns.items() if values}
    totals = {f"total_{name}": sum(values) for name, values in columns.items() if values}
    return {**totals, "num_images": sum(row.num_images or 0 for row in kept), "quantiles": quantiles}


def _quantiles(values: Sequence[int]) -> dict[str, int]:
    """Values at `QUANTILES` of the sorted row counts: the smallest value that at least that share of rows does not exceed."""
    ordered = sorted(values)
    names = ["min", "p50", "p90", "p99", "max"]
    indices = [max(0, -int(-share * len(ordered) // 1) - 1) for share in QUANTILES]
    return {name: ordered[index] for name, index in zip(names, indices, strict=True)}
