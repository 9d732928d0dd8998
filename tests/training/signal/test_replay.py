from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.training.signal.replay import KeptGroup, ReplayBuffer


def group(index: int, step: int, rewards: tuple[float, ...] = (0.0, 1.0), logp: float = -0.5) -> KeptGroup:
    return KeptGroup(
        index=index,
        step=step,
        completions=((5, 6), (7,)),
        masks=((1, 1), (1,)),
        logps=((logp, logp), (logp,)),
        rewards=rewards,
        advantages=(-1.0, 1.0),
    )


@given(
    script=st.lists(st.tuples(st.lists(st.integers(0, 5), max_size=4), st.integers(0, 4)), max_size=25),
    size=st.integers(0, 6),
    max_age=st.integers(1, 6),
    rest_steps=st.integers(0, 4),
)
def test_no_group_is_stale_unrested_twice_in_a_batch_or_beyond_the_size(script, size, max_age, rest_steps):
    buffer = ReplayBuffer(size, max_age=max_age, rest_steps=rest_steps)
    last_use: dict[tuple[int, int, int], int] = {}
    for step, (indices, num_wanted) in enumerate(script, start=1):
        chosen = buffer.choose(num_wanted, step=step, seed=0, exclude={0})
        assert len(chosen) <= num_wanted
        assert len({kept.index for kept in chosen}) == len(chosen) and all(kept.index != 0 for kept in chosen)
        for kept in chosen:
            assert 1 <= step - kept.step <= max_age
            identity = (kept.index, kept.step, kept.completions[0][0])
            assert step - last_use.get(identity, -100) > rest_steps
            last_use[identity] = step
        buffer.add([numbered(index, step, place) for place, index in enumerate(indices)])
        assert len(buffer) <= size


def numbered(index: int, step: int, place: int) -> KeptGroup:
    """A group with a name of its own: `place` is its first token."""
    return KeptGroup(
        index=index, step=step, completions=((place,),), masks=((1,),), logps=((-1.0,),), rewards=(float(place), 9.0), advantages=(1.0,)
    )


@given(
    script=st.lists(st.tuples(st.lists(st.integers(0, 5), max_size=4), st.integers(0, 4)), max_size=12),
    cut=st.integers(0, 12),
    logps=st.lists(st.floats(max_value=0, allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=4),
)
def test_a_state_read_back_from_json_goes_on_to_the_last_bit(script, cut, logps):
    straight, resumed = ReplayBuffer(5, max_age=4), ReplayBuffer(5, max_age=4)
    for step, (indices, num_wanted) in enumerate(script, start=1):
        if step == cut:
            resumed.load_state_dict(json.loads(json.dumps(straight.state_dict())))
        if step >= cut:
            assert straight.choose(num_wanted, step=step, seed=0) == resumed.choose(num_wanted, step=step, seed=0)
        else:
            straight.choose(num_wanted, step=step, seed=0)
        groups = [group(index, step, logp=logps[place % len(logps)]) for place, index in enumerate(indices)]
        for buffer in (straight, resumed) if step >= cut else (straight,):
            buffer.add(groups)
    if len(script) >= cut:
        assert straight.state_dict() == resumed.state_dict()


@given(logp=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_comes_back_with_its_own_bits(logp):
    buffer, read = ReplayBuffer(1, max_age=9), ReplayBuffer(1, max_age=9)
    buffer.add([group(0, 1, logp=logp)])
    read.load_state_dict(json.loads(json.dumps(buffer.state_dict())))
    (kept,) = read.choose(1, step=2, seed=0)
    assert np.float32(kept.logps[0][0]).tobytes() == np.float32(logp).tobytes()
    assert kept == group(0, 1, logp=logp)


def test_the_newest_groups_are_kept():
    buffer = ReplayBuffer(2, max_age=9)
    buffer.add([group(0, 1), group(1, 1)])
    buffer.add([group(2, 2)])
    assert {kept.index for kept in buffer.choose(5, step=3, seed=0)} == {1, 2}


def test_a_group_of_this_very_step_is_not_replayed_in_it():
    buffer = ReplayBuffer(2, max_age=9)
    buffer.add([group(0, 4)])
    assert buffer.choose(1, step=4, seed=0) == []
    assert [kept.index for kept in buffer.choose(1, step=5, seed=0)] == [0]


def test_a_used_group_rests_and_then_returns():
    buffer = ReplayBuffer(1, max_age=9, rest_steps=2)
    buffer.add([group(0, 0)])
    assert [len(buffer.choose(1, step=step, seed=0)) for step in range(1, 8)] == [1, 0, 0, 1, 0, 0, 1]


def test_a_group_past_its_age_is_forgotten():
    buffer = ReplayBuffer(3, max_age=2)
    buffer.add([group(0, 1), group(1, 2)])
    assert [kept.index for kept in buffer.choose(3, step=4, seed=0)] == [1]
    assert len(buffer) == 1


def test_draws_are_in_proportion_to_spread_times_recency():
    # max_age 3, step 3. Group 0: rewards 0, 2 (deviation 1), age 1, recency 3 / 4. Group 1: rewards 0, 1 (1 / 2), age 2, recency 2 / 4.
    # Weights 3 / 4 and 1 / 4: group 0 comes first in 3 of 4 draws. 4000 seeds: 0.75 +- 3.3 * sqrt(0.75 * 0.25 / 4000) = +- 0.023.
    firsts: Counter[int] = Counter()
    for seed in range(4000):
        buffer = ReplayBuffer(2, max_age=3)
        buffer.add([group(1, 1, rewards=(0.0, 1.0)), group(0, 2, rewards=(0.0, 2.0))])
        firsts[buffer.choose(1, step=3, seed=seed)[0].index] += 1
    assert firsts[0] / 4000 == pytest.approx(0.75, abs=0.023)


def test_a_group_whose_sums_are_equal_is_drawn_last():
    buffer = ReplayBuffer(2, max_age=9)
    buffer.add([group(0, 1, rewards=(1.0, 1.0)), group(1, 1, rewards=(0.0, float("nan"), 1.0))])
    assert [kept.index for kept in buffer.choose(2, step=2, seed=0)] == [1, 0]


def test_a_buffer_of_size_0_keeps_nothing():
    buffer = ReplayBuffer(0, max_age=9)
    buffer.add([group(0, 1)])
    assert len(buffer) == 0 and buffer.choose(1, step=2, seed=0) == []
