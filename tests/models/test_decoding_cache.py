"""The decoding cache against attention written out row by row, while rows and prompts come and go."""

from __future__ import annotations

import random

import pytest
import torch

from vlmpost.models.decoding_cache import MIN_COLUMNS, DecodingCache
from vlmpost.models.prefill import ReadPrompts

NUM_HEADS, NUM_QUERIES, SIZE, SCALING = 2, 3, 4, 0.7
GENERATOR = torch.Generator().manual_seed(0)


class PlainRow:
    """One row's keys and values [H, tokens, D], prompt and completion together, and attention by the textbook."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        self.keys, self.values = keys, values

    def attend(self, query_HQD: torch.Tensor, key_HD: torch.Tensor, value_HD: torch.Tensor, window: int | None) -> torch.Tensor:
        self.keys = torch.cat([self.keys, key_HD[:, None]], dim=1)
        self.values = torch.cat([self.values, value_HD[:, None]], dim=1)
        last = slice(-window if window else None, None)
        return (query_HQD @ self.keys[:, last].mT * SCALING).softmax(dim=-1) @ self.values[:, last]


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR)


def read_prompts(lengths: list[int]) -> ReadPrompts:
    """Prompts of one layer, left-padded; padding is large, so that it would show."""
    longest = max(lengths)
    keys, values = drawn(len(lengths), NUM_HEADS, longest, SIZE), drawn(len(lengths), NUM_HEADS, longest, SIZE)
    for row, length in enumerate(lengths):
        keys[row, :, : longest - length] = values[row, :, : longest - length] = 50.0
    return ReadPrompts([(keys, values)], lengths, torch.empty(0), [])


def rows_of(prompts: ReadPrompts, place: int, num_rows: int) -> list[PlainRow]:
    keys, values = prompts.layers[0]
    real = slice(keys.shape[2] - prompts.lengths[place], None)
    return [PlainRow(keys[place, :, real], values[place, :, real]) for _ in range(num_rows)]


def check_steps(cache: DecodingCache, rows: list[PlainRow], num_steps: int, window: int | None) -> None:
    for _ in range(num_steps):
        cache.begin_step()
        query, key, value = (
            drawn(len(rows), NUM_HEADS, NUM_QUERIES, SIZE),
            drawn(len(rows), NUM_HEADS, SIZE),
            drawn(len(rows), NUM_HEADS, SIZE),
        )
        found = cache.attend(0, query, key, value, scaling=SCALING, window=window)
        expected = torch.stack([row.attend(*given, window) for row, *given in zip(rows, query, key, value, strict=True)])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [None, 6])
def test_rows_and_prompts_may_come_and_go(window: int | None) -> None:
    cache = DecodingCache()
    first = read_prompts([5, 5])
    rows = [*rows_of(first, 0, 2), *rows_of(first, 1, 2)]
    cache.arrange(kept_prompts=[], new_prompts=[first], kept_rows=[None] * 4, groups=[0, 0, 1, 1])
    check_steps(cache, rows, 3, window)
    # Row 1 and later prompt 0 leave; prompts of other lengths join, one of them with more rows than the others.
    second = read_prompts([2, 9])
    rows = [rows[0], rows[2], rows[3], *rows_of(second, 0, 1), *rows_of(second, 1, 3)]
    cache.arrange(kept_prompts=[0, 1], new_prompts=[second], kept_rows=[0, 2, 3, None, None, None, None], groups=[0, 1, 1, 2, 3, 3, 3])
    check_steps(cache, rows, MIN_COLUMNS, window)
    rows = rows[1:5]
    cache.arrange(kept_prompts=[1, 2, 3], new_prompts=[], kept_rows=[1, 2, 3, 4], groups=[0, 0, 1, 2])
    check_steps(cache, rows, 2, window)
    # The longest prompt and the oldest rows leave: columns that only they filled go too.
    before = cache.nbytes
    rows = rows[2:3]
    cache.arrange(kept_prompts=[1], new_prompts=[], kept_rows=[2], groups=[0])
    assert cache.nbytes < before / 3
    check_steps(cache, rows, 2, window)


def test_a_prompt_whose_rows_have_left_may_wait_for_others() -> None:
    cache = DecodingCache()
    prompts = read_prompts([3, 4])
    rows = rows_of(prompts, 1, 1)
    cache.arrange(kept_prompts=[], new_prompts=[prompts], kept_rows=[None], groups=[1])
    check_steps(cache, rows, 2, None)
    rows = [*rows_of(prompts, 0, 1), *rows]
    cache.arrange(kept_prompts=[0, 1], new_prompts=[], kept_rows=[None, 0], groups=[0, 1])
    check_steps(cache, rows, 2, None)


@pytest.mark.parametrize("seed", range(5))
def test_any_coming_and_going_is_attention_row_by_row(seed: int) -> None:
    choice = random.Random(seed)
    cache = DecodingCache()
    rows: list[tuple[int, PlainRow]] = []
    for _ in range(6):
        kept_rows = [place for place in range(len(rows)) if choice.random() < 0.7]
        kept_prompts = sorted({rows[place][0] for place in kept_rows})
        new = [read_prompts([choice.randint(1, 12) for _ in range(choice.randint(1, 3))]) for _ in range(choice.randint(not kept_rows, 2))]
        arranged: list[tuple[int, PlainRow, int | None]] = [
            (kept_prompts.index(group), row, place) for place, (group, row) in enumerate(rows) if place in kept_rows
        ]
        places = [(prompts, place) for prompts in new for place in range(len(prompts.lengths))]
        for number, (prompts, place) in enumerate(places, start=len(kept_prompts)):
            arranged += [(number, row, None) for row in rows_of(prompts, place, choice.randint(1, 3))]
        groups, plain_rows, sources = zip(*arranged, strict=True)
        cache.arrange(kept_prompts=kept_prompts, new_prompts=new, kept_rows=sources, groups=groups)
        rows = list(zip(groups, plain_rows, strict=True))
        check_steps(cache, list(plain_rows), choice.randint(1, 20), choice.choice([None, 4, 30]))
