"""What a batch of rollouts is to the update: taking, joining and padding its rows."""

from __future__ import annotations

import pytest
import torch

from vlmpost.models.prompts import EncodedPrompt
from vlmpost.training.update.experience import Experience, completion_mask, joined, owners_of, padded

FIRST, SECOND, THIRD = (EncodedPrompt((place,), {"pixel_values": torch.full((1, 2), float(place))}, {}) for place in range(3))


def _experience():
    return Experience(
        prompts=(FIRST, SECOND, THIRD),
        owners=(0, 0, 2, 2),
        completions=((5,), (6, 7, 8), (9, 10), (11,)),
        tensors={
            "sampled": torch.tensor([[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.bool),
            "advantages": torch.tensor([1.0, -1.0, 0.5, -0.5]),
            "sampling_ratio": torch.tensor([[1.0], [2.0], [3.0], [4.0]]),
        },
    )


def test_rows_are_taken_in_the_order_asked_with_their_prompts_alone():
    taken = _experience().take([3, 2])
    assert taken.prompts == (THIRD,) and taken.owners == (0, 0)
    assert taken.completions == ((11,), (9, 10))
    assert taken.tensors["advantages"].tolist() == [-0.5, 0.5]
    assert taken.tensors["sampled"].tolist() == [[True, False], [True, True]]
    assert taken.tensors["sampling_ratio"].tolist() == [[4.0], [3.0]]


def test_a_row_alone_is_as_wide_as_it_is_long():
    taken = _experience().take([0])
    assert taken.tensors["sampled"].tolist() == [[True]]
    assert len(taken) == 1


def test_all_rows_taken_are_the_same_experience():
    whole = Experience((FIRST, SECOND), (0, 1), ((1,), (2, 3)), {"sampled": torch.ones(2, 2, dtype=torch.bool)})
    taken = whole.take([0, 1])
    assert (taken.prompts, taken.owners, taken.completions) == (whole.prompts, whole.owners, whole.completions)
    assert torch.equal(taken.tensors["sampled"], whole.tensors["sampled"])


@pytest.mark.parametrize("turned", [False, True])
def test_joined_experiences_are_padded_to_the_longest_row(turned):
    long = Experience((FIRST,), (0,), ((1, 2, 3),), {"old_logps": torch.tensor([[-1.0, -2.0, -3.0]]), "flat": torch.tensor([True])})
    short = Experience((SECOND, THIRD), (1,), ((4,),), {"old_logps": torch.tensor([[-4.0]]), "flat": torch.tensor([False])})
    both = joined(short, long) if turned else joined(long, short)
    assert both.prompts == ((SECOND, THIRD, FIRST) if turned else (FIRST, SECOND, THIRD))
    assert both.owners == ((1, 2) if turned else (0, 2))
    rows = [[-1.0, -2.0, -3.0], [-4.0, 0.0, 0.0]]
    assert both.tensors["old_logps"].tolist() == (rows[::-1] if turned else rows)
    assert both.tensors["flat"].tolist() == ([False, True] if turned else [True, False])


def test_a_figure_for_a_whole_completion_stays_one_when_experiences_are_joined():
    """A ratio of the whole completion, [B, 1], is no token's: zeros beside it would take its weight off all tokens but the first."""
    long = Experience((FIRST,), (0,), ((1, 2, 3),), {"sampling_ratio": torch.tensor([[2.0]])})
    short = Experience((SECOND,), (0,), ((4,),), {"sampling_ratio": torch.tensor([[3.0]])})
    assert joined(long, short).tensors["sampling_ratio"].tolist() == [[2.0], [3.0]]


def test_experiences_that_know_different_things_are_not_joined():
    with pytest.raises(AssertionError, match="old_logps"):
        joined(Experience((FIRST,), (0,), ((1,),), {"old_logps": torch.zeros(1, 1)}), Experience((FIRST,), (0,), ((1,),)))


def test_padding_fills_with_zero_up_to_the_width():
    assert padded([[1.5], [2.5, 3.5]], dtype=torch.float32, width=3).tolist() == [[1.5, 0.0, 0.0], [2.5, 3.5, 0.0]]
    assert padded([[1, 0], [1]], dtype=torch.bool).tolist() == [[True, False], [True, False]]


def test_the_mask_of_completions_ends_with_each():
    assert completion_mask([(7, 7), (7,)]).tolist() == [[True, True], [True, False]]


def test_rows_belong_to_the_same_object_not_to_an_equal_one():
    one, equal = [1], [1]
    assert owners_of([one, equal, one]) == ([0, 1], [0, 1, 0])


def test_a_saved_batch_tells_the_prompts_the_pixels_and_every_tensor():
    told = _experience().described()
    assert told["prompt_2_ids"].tolist() == [2] and told["prompt_2_pixel_values"].tolist() == [[2.0, 2.0]]
    assert told["completion_ids"].tolist() == [[5, 0, 0], [6, 7, 8], [9, 10, 0], [11, 0, 0]]
    assert told["owners"].tolist() == [0, 0, 2, 2] and "advantages" in told
