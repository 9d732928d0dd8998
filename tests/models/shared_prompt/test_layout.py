"""Places in the packed row and blocks for attention, against rows drawn by hand."""

from __future__ import annotations

import pytest
import torch

from vlmpost.models.shared_prompt.layout import FREE_WORK, TEXT, alike, lay_out, spans


def squared(length: int) -> int:
    return length * length


def test_completions_follow_their_prompt_in_their_own_order() -> None:
    # a a | y y y (0) | z z (2) || b | x x (1)   prompts a, b without their last tokens; completions 0, 2 of a and 1 of b
    where = spans([2, 1], [0, 1, 0], [3, 2, 2])
    assert where.prompt_starts == (0, 7)
    assert where.completion_starts == (2, 8, 5)
    assert where.num_tokens == 10


def test_every_token_has_one_slot_and_every_other_slot_only_fills_up() -> None:
    layout = lay_out([2, 1], [0, 1, 0], [3, 2, 2])
    # prompts [2, 2]: a0 a1 / b7 -; completions [3, 3] in their order: 2 3 4 / 8 9 - / 5 6 -
    assert layout.slots_S.tolist() == [0, 1, 7, 0, 2, 3, 4, 8, 9, 0, 5, 6, 0]
    assert layout.fills_S is not None
    assert layout.fills_S.nonzero().flatten().tolist() == [3, 9, 12]
    assert layout.places_T.tolist() == [0, 1, 4, 5, 6, 10, 11, 2, 7, 8]
    (prompts,), (completions,) = layout.prompt_blocks, layout.completion_blocks
    assert (prompts.num_prompts, prompts.length, prompts.lengths_B.tolist()) == (2, 2, [2, 1])
    assert (completions.num_completions, completions.length) == (3, 3)
    assert completions.owners_N.tolist() == [0, 1, 0]
    assert completions.prompt_lengths_N1.tolist() == [[2], [1], [2]]
    assert completions.per_prompt is None
    assert not completions.has_equal_prompts


def test_equal_groups_in_order_are_seen_as_such_and_need_no_filling() -> None:
    layout = lay_out([3, 3], [0, 0, 1, 1], [2, 2, 2, 2])
    assert layout.fills_S is None
    assert layout.completion_blocks[0].per_prompt == 2
    assert layout.completion_blocks[0].has_equal_prompts


def test_members_share_a_block_only_while_filling_up_costs_little() -> None:
    # Lengths 4000 and 4400: 2 * 4400^2 = 38.7 M against 1.25 * (4000^2 + 4400^2) + 2^20 = 45.2 M, one block.
    assert alike([4000, 4400], squared) == [[0, 1]]
    # 2000 and 4000: 32 M against 1.25 * 20 M + 1.05 M = 26.0 M, two blocks, longest first.
    assert alike([2000, 4000], squared) == [[1], [0]]
    # However unlike, small ones are one call: 4 * 500^2 = 10^6 is below the free work.
    assert FREE_WORK > 4 * 500**2
    assert alike([500, 1, 1, 1], squared) == [[0, 1, 2, 3]]


def test_completions_stand_in_a_block_with_completions_of_the_same_prompt_block() -> None:
    layout = lay_out([4000, 10, 4000], [1, 0, 2, 1], [5, 6, 7, 8])
    assert [block.lengths_B.tolist() for block in layout.prompt_blocks] == [[4000, 4000], [10]]
    assert [block.prompt_block for block in layout.completion_blocks] == [0, 1]
    assert [block.owners_N.tolist() for block in layout.completion_blocks] == [[0, 1], [0, 0]]
    assert [block.length for block in layout.completion_blocks] == [7, 8]


def test_image_numbers_are_filled_up_with_text() -> None:
    layout = lay_out([3, 1], [0, 1], [1, 1], image_numbers=[torch.tensor([-1, 0, 0]), torch.tensor([-1])])
    numbers_BP = layout.prompt_blocks[0].image_numbers_BP
    assert numbers_BP is not None
    assert numbers_BP.tolist() == [[TEXT, 0, 0], [TEXT, TEXT, TEXT]]


@pytest.mark.parametrize("seed", range(5))
def test_going_to_the_slots_and_back_changes_nothing(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def drawn(count: int, high: int) -> list[int]:
        return torch.randint(1, high, (count,), generator=generator).tolist()

    prompt_lengths, completion_lengths = drawn(6, 3000), drawn(20, 2000)
    owners = torch.randint(0, 6, (20,), generator=generator).tolist()
    layout = lay_out(prompt_lengths, owners, completion_lengths)
    tokens_T = torch.arange(sum(prompt_lengths) + sum(completion_lengths))
    assert torch.equal(tokens_T[layout.slots_S][layout.places_T], tokens_T)
    num_slots = sum(block.num_prompts * block.length for block in layout.prompt_blocks)
    num_slots += sum(block.num_completions * block.length for block in layout.completion_blocks)
    assert len(layout.slots_S) == num_slots
    assert len(layout.prompt_blocks) > 1
