"""The cut of an optimizer step into forward passes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vlmpost.training.update.micro_batches import Limits, micro_batches, num_tokens


def test_all_rows_go_together_in_their_order_where_they_fit():
    assert micro_batches([3, 9, 5], [0, 0, 1], [4, 4], Limits(max_rows=3)) == [[0, 1, 2]]


def test_the_longest_completions_go_first():
    # Groups of two with longest completions 2, 8 and 5.
    assert micro_batches([2, 1, 8, 1, 5, 4], [0, 0, 1, 1, 2, 2], [1, 1, 1], Limits(max_rows=2)) == [[2, 3], [4, 5], [0, 1]]


def test_a_group_stays_together_where_it_fits():
    # A budget of 10 holds the prompt of 4 with its two completions of 3, not two prompts with one each beside a third completion.
    assert micro_batches([3, 3, 3, 3], [0, 1, 0, 1], [4, 4], Limits(max_rows=4, max_tokens=10)) == [[0, 2], [1, 3]]


def test_a_group_over_the_limit_is_split_and_its_prompt_counted_in_each_part():
    # A prompt of 4 with completions 6, 5, 3, 2 under 15 tokens: 4 + 6 + 5 = 15, and 4 + 3 + 2 = 9.
    assert micro_batches([2, 6, 3, 5], [0] * 4, [4], Limits(max_rows=4, max_tokens=15)) == [[1, 3], [2, 0]]


def test_without_sharing_the_padding_counts():
    # Two rows of 4 + 6 and 4 + 2 are 2 x (4 + 6) = 20 padded tokens, and 4 + 6 + 2 = 12 packed ones.
    lengths, owners, prompts = [6, 2], [0, 0], [4]
    assert num_tokens([0, 1], lengths, owners, prompts, shared=False) == 20
    assert micro_batches(lengths, owners, prompts, Limits(2, 19, shared=False)) == [[0], [1]]
    assert micro_batches(lengths, owners, prompts, Limits(2, 12, shared=True)) == [[0, 1]]


def test_a_completion_over_the_limit_is_a_part_of_its_own():
    assert micro_batches([50, 1, 1], [0, 0, 0], [5], Limits(max_rows=3, max_tokens=10)) == [[0], [1, 2]]


def test_more_parts_come_from_the_fullest_one():
    assert micro_batches([4, 4, 4, 4], [0] * 4, [2], Limits(max_rows=4), at_least=3) == [[0], [1], [2, 3]]


def test_a_process_with_fewer_rows_than_passes_has_empty_parts():
    assert micro_batches([4], [0], [2], Limits(max_rows=4), at_least=3) == [[0], [], []]


@st.composite
def _steps(draw):
    """Completions of any lengths for any prompts, any limits, any number of parts wanted."""
    prompts = draw(st.lists(st.integers(1, 40), min_size=1, max_size=5))
    owners = draw(st.lists(st.integers(0, len(prompts) - 1), min_size=1, max_size=24))
    lengths = draw(st.lists(st.integers(1, 60), min_size=len(owners), max_size=len(owners)))
    limits = Limits(draw(st.integers(1, 12)), draw(st.none() | st.integers(1, 200)), draw(st.booleans()))
    return lengths, owners, prompts, limits, draw(st.integers(1, 30))


@given(_steps())
def test_every_row_is_in_one_part_and_no_part_of_several_is_over_a_limit(step):
    lengths, owners, prompts, limits, at_least = step
    parts = micro_batches(lengths, owners, prompts, limits, at_least=at_least)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert len(parts) >= at_least
    for part in parts:
        assert len(part) <= limits.max_rows
        if len(part) > 1 and limits.max_tokens is not None:
            assert num_tokens(part, lengths, owners, prompts, shared=limits.shared) <= limits.max_tokens
    filled = sum(map(bool, parts))
    assert len(parts) == filled or filled == len(lengths), "an empty part beside one that could give it a row"


@given(_steps())
def test_a_group_that_fits_is_never_cut(step):
    lengths, owners, prompts, limits, _ = step
    parts = micro_batches(lengths, owners, prompts, limits)
    for owner in set(owners):
        group = {row for row, own in enumerate(owners) if own == owner}
        tokens = num_tokens(sorted(group), lengths, owners, prompts, shared=limits.shared)
        if len(group) <= limits.max_rows and (limits.max_tokens is None or tokens <= limits.max_tokens):
            assert any(group <= set(part) for part in parts)


@given(_steps())
def test_the_longest_rows_of_the_groups_do_not_grow(step):
    lengths, owners, prompts, limits, _ = step
    parts = micro_batches(lengths, owners, prompts, limits)
    longest = [max(lengths[row] for row in part) for part in parts]
    assert longest == sorted(longest, reverse=True)
