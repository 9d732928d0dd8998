from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.config.schema import SignalConfig
from vlmpost.training.signal.refill import Chosen, Refill


@given(
    each=st.integers(1, 6),
    num_processes=st.integers(1, 4),
    max_rounds=st.integers(1, 5),
    num_examples=st.integers(0, 60),
    bits=st.integers(0, 2**140),
)
def test_no_batch_exceeds_its_budget_and_every_process_has_its_part(each, num_processes, max_rounds, num_examples, bits):
    num_groups = each * num_processes
    refill = Refill(num_groups=num_groups, num_processes=num_processes, max_rounds=max_rounds)
    flags = [bool(bits >> place & 1) for place in range(num_groups)]
    num_examples += num_groups
    num_rounds = 1
    while more := refill.num_more(flags, num_rounds=num_rounds, num_left=num_examples - len(flags)):
        assert 0 < more <= num_groups and more % num_processes == 0
        assert sum(flags) < num_groups
        flags += [bool(bits >> len(flags) + place & 1) for place in range(more)]
        num_rounds += 1
    assert num_rounds <= max_rounds and len(flags) <= min(num_examples, max_rounds * num_groups)
    chosen = refill.choose(flags)
    assert len(chosen.batch()) == num_groups == len(set(chosen.batch()))
    assert len(chosen.useful) == min(num_groups, sum(flags))
    assert all(flags[place] for place in (*chosen.useful, *chosen.surplus)) and not any(flags[place] for place in chosen.flat)
    assert sorted((*chosen.useful, *chosen.surplus)) == [place for place, flag in enumerate(flags) if flag]


@pytest.mark.parametrize(
    ("num_useful", "expected"),
    [
        (8, 0),  # full
        (6, 3),  # 2 missing of (6 + 1) in (8 + 2): 2 * 10 / 7 = 2.86
        (4, 8),  # 4 * 10 / 5
        (1, 8),  # 7 * 10 / 2 = 35, at most a batch
        (0, 8),
    ],
)
def test_a_round_asks_for_what_should_be_enough(num_useful, expected):
    useful = [place < num_useful for place in range(8)]
    assert Refill(num_groups=8, max_rounds=2).num_more(useful, num_rounds=1, num_left=100) == expected


def test_a_useful_and_a_flat_group_are_added_to_what_was_seen():
    # 8 missing, 12 + 1 useful of 20 + 2: 8 * 22 / 13 = 13.5
    assert Refill(num_groups=20, max_rounds=2).num_more([True] * 12 + [False] * 8, num_rounds=1, num_left=100) == 14


def test_a_round_is_whole_on_every_process():
    refill = Refill(num_groups=8, num_processes=4, max_rounds=3)
    useful = [True] * 7 + [False]
    assert refill.num_more(useful, num_rounds=1, num_left=100) == 4  # 1 * 10 / 8 = 1.25, so 2; on four processes one each
    assert refill.num_more(useful, num_rounds=1, num_left=3) == 0  # not one for each


def test_the_budget_of_rounds_ends_the_sampling():
    flat = [False] * 4
    refill = Refill(num_groups=4, max_rounds=3)
    assert [refill.num_more(flat, num_rounds=rounds, num_left=100) for rounds in (1, 2, 3)] == [4, 4, 0]
    assert Refill(num_groups=4).num_more(flat, num_rounds=1, num_left=100) == 0


def test_useful_groups_come_before_flat_ones_and_surplus_is_named():
    assert Refill(num_groups=2).choose([True, False, True, True]) == Chosen(useful=(0, 2), flat=(), surplus=(3,))
    assert Refill(num_groups=3).choose([False, False, True, False]) == Chosen(useful=(2,), flat=(0, 1), surplus=())


def test_replayed_groups_stand_in_for_the_flat_ones_sampled_last():
    chosen = Chosen(useful=(2,), flat=(0, 1), surplus=())
    assert chosen.batch() == (0, 1, 2)
    assert chosen.batch(num_replayed=1) == (0, 2)
    assert chosen.batch(num_replayed=2) == (2,)


def test_without_dynamic_sampling_there_is_one_round():
    off, on = SignalConfig(max_sampling_rounds=5), SignalConfig(max_sampling_rounds=5, dynamic_sampling=True)
    assert Refill.of(off, num_groups=4, num_processes=2) == Refill(num_groups=4, num_processes=2, max_rounds=1)
    assert Refill.of(on, num_groups=4, num_processes=2) == Refill(num_groups=4, num_processes=2, max_rounds=5)
