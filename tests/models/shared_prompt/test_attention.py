"""Attention over blocks against softmax over one dense mask that says for each pair of tokens whether one sees the other."""

from __future__ import annotations

import pytest
import torch

from vlmpost.models.shared_prompt import attention
from vlmpost.models.shared_prompt.attention import packed_attention
from vlmpost.models.shared_prompt.layout import Layout, lay_out, spans
from vlmpost.models.shared_prompt.masks import block_mask, prompt_mask

PROMPTS, OWNERS, COMPLETIONS = [6, 3, 9], [0, 2, 0, 1, 2], [4, 2, 5, 3, 3]
IMAGES = [torch.tensor([-1, 0, 0, 0, -1, -1]), torch.tensor([-1, -1, -1]), torch.tensor([-1, 0, 0, -1, -1, 1, 1, 1, -1])]
NUM_HEADS, NUM_KEY_HEADS, SIZE = 4, 2, 8


def dense_mask(window: int | None = None, *, with_images: bool = False) -> torch.Tensor:
    """Who sees whom in the packed row, token by token: [T, T]."""
    where = spans(PROMPTS, OWNERS, COMPLETIONS)
    marks = torch.zeros(where.num_tokens, 4, dtype=torch.int64)
    for index, (start, length) in enumerate(zip(where.prompt_starts, PROMPTS, strict=True)):
        for step in range(length):
            marks[start + step] = torch.tensor([index, -1, step, IMAGES[index][step] if with_images else -1])
    for index, (start, length) in enumerate(zip(where.completion_starts, COMPLETIONS, strict=True)):
        for step in range(length):
            marks[start + step] = torch.tensor([OWNERS[index], index, PROMPTS[OWNERS[index]] + step, -1])
    prompt, completion, position, image = marks.T
    seen_TT = (prompt[:, None] == prompt) & ((completion == -1) | (completion == completion[:, None]))
    behind_TT = position[:, None] - position
    same_TT = (image[:, None] == image) & (image >= 0) & (completion == -1)
    seen_TT = seen_TT & ((behind_TT >= 0) | same_TT)
    return seen_TT if window is None else seen_TT & (behind_TT < window)


def states(dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    num_tokens = sum(PROMPTS) + sum(COMPLETIONS)
    return [
        torch.randn(1, heads, num_tokens, SIZE, generator=generator, dtype=dtype, requires_grad=True)
        for heads in (NUM_HEADS, NUM_KEY_HEADS, NUM_KEY_HEADS)
    ]


def by_definition(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, seen_TT: torch.Tensor, scaling: float) -> torch.Tensor:
    key, value = (part.repeat_interleave(NUM_HEADS // NUM_KEY_HEADS, dim=1) for part in (key, value))
    scores = (query @ key.mT * scaling).masked_fill(~seen_TT, -torch.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2)


def laid_out(*, with_images: bool = False) -> Layout:
    return lay_out(PROMPTS, OWNERS, COMPLETIONS, image_numbers=IMAGES if with_images else None)


@pytest.mark.parametrize("entries", [2**24, 40], ids=["one part", "many parts"])
@pytest.mark.parametrize("with_images", [False, True], ids=["causal", "images"])
@pytest.mark.parametrize("window", [None, 1, 4, 100])
def test_blocks_give_the_output_and_gradients_of_the_dense_mask(
    window: int | None, with_images: bool, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "MAX_MASK_ENTRIES", entries)
    ours, theirs = states(), states()
    layout = laid_out(with_images=with_images)
    output = packed_attention(*ours, layout, scaling=0.3, sliding_window=window)
    expected = by_definition(*theirs, dense_mask(window, with_images=with_images), 0.3)
    torch.testing.assert_close(output, expected, atol=1e-12, rtol=0)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=output.dtype)
    (output * weights).sum().backward()
    (expected * weights).sum().backward()
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.grad, other.grad, atol=1e-12, rtol=0)


def test_a_mask_too_large_for_one_part_is_neither_made_nor_kept_for_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MAX_MASK_ENTRIES", 2000)
    layout = lay_out([10], [0, 0], [200, 200])
    row = [torch.randn(1, 2, 410, SIZE, requires_grad=True) for _ in range(3)]
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor.numel()) or tensor, lambda tensor: tensor):
        packed_attention(*row, layout)
    assert layout.masks == {}
    # The most that is kept are keys of both completions behind their prompt, 2 * 210 tokens; the whole mask has 200 * 210 entries.
    assert max(saved) == 2 * 210 * 2 * SIZE


def test_members_in_blocks_of_their_own_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlmpost.models.shared_prompt.layout.FREE_WORK", 0)
    monkeypatch.setattr("vlmpost.models.shared_prompt.layout.MAX_PADDED_WORK", 1.0)
    layout = laid_out()
    assert len(layout.prompt_blocks) == 3
    assert len(layout.completion_blocks) == 5
    torch.testing.assert_close(packed_attention(*states(), layout), by_definition(*states(), dense_mask(), SIZE**-0.5), atol=1e-12, rtol=0)


def test_equal_groups_give_the_same_through_their_shorter_way() -> None:
    layout = lay_out([3, 3], [0, 0, 1, 1], [2, 2, 2, 2])
    assert layout.completion_blocks[0].per_prompt == 2
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 14, SIZE, generator=generator, dtype=torch.float64) for _ in range(3))
    together = packed_attention(query, key, value, layout)
    for first in (0, 7):  # the row of one prompt alone
        part = slice(first, first + 7)
        alone = packed_attention(query[:, :, part], key[:, :, part], value[:, :, part], lay_out([3], [0, 0], [2, 2]))
        torch.testing.assert_close(together[:, part], alone, atol=1e-12, rtol=0)


def test_what_fills_blocks_up_is_never_read() -> None:
    query, key, value = states()
    layout = laid_out()
    assert layout.fills_S is not None
    expected = packed_attention(query, key, value, layout)
    layout.slots_S = torch.where(layout.fills_S, 7, layout.slots_S)  # other tokens stand in the slots that only fill up
    layout.masks.clear()
    assert torch.equal(packed_attention(query, key, value, layout), expected)


def test_bfloat16_goes_through_with_a_mask_of_its_own_type() -> None:
    layout = laid_out(with_images=True)
    output = packed_attention(*states(torch.bfloat16), layout, sliding_window=4)
    expected = by_definition(*(part.double() for part in states(torch.bfloat16)), dense_mask(4, with_images=True), SIZE**-0.5)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.double(), expected, atol=0.02, rtol=0)
    assert {mask.dtype for mask in layout.masks.values()} == {torch.bfloat16}


def test_a_completion_sees_its_prompt_without_filling_and_its_own_past() -> None:
    layout = lay_out([3, 2], [0, 1], [2, 2])
    (block,) = layout.completion_blocks
    # keys: 3 places of the prompt block, then 2 own tokens; the second prompt fills its third place up
    assert block_mask(block, 3, None, slice(0, 2)).int().tolist() == [
        [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]],
        [[1, 1, 0, 1, 0], [1, 1, 0, 1, 1]],
    ]
    # a window of 2: itself and the token before, which for the first token is the prompt's last but one
    assert block_mask(block, 3, 2, slice(0, 2)).int().tolist() == [
        [[0, 0, 1, 1, 0], [0, 0, 0, 1, 1]],
        [[0, 1, 0, 1, 0], [0, 0, 0, 1, 1]],
    ]
    assert block_mask(block, 3, None, slice(1, 2)).shape == (2, 1, 5)


def test_an_image_sees_itself_whole_and_nothing_else_ahead() -> None:
    layout = lay_out([4], [0], [1], image_numbers=[torch.tensor([-1, 0, 0, -1])])
    mask = prompt_mask(layout.prompt_blocks[0], None, slice(0, 4))
    assert mask.int().tolist() == [[[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]]
