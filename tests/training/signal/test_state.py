from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.config.schema import SignalConfig
from vlmpost.errors import RunError
from vlmpost.training.signal.flat import GroupReport
from vlmpost.training.signal.prompts import PromptPools, PromptStream
from vlmpost.training.signal.replay import KeptGroup
from vlmpost.training.signal.state import SignalState

ON = SignalConfig(prompt_pools=True, dynamic_sampling=True, replay_size=4, replay_max_age=5)


def reports_of(indices: list[int], rewards: list[float], *, flat: bool = True) -> list[GroupReport]:
    return [
        GroupReport(index=index, flat=flat, reward=reward, correct=None, num_tokens=10)
        for index, reward in zip(indices, rewards, strict=True)
    ]


def kept(index: int, step: int) -> KeptGroup:
    return KeptGroup(index, step, ((1,), (2,)), ((1,), (1,)), ((-0.25,), (-0.5,)), (0.0, 1.0), (-1.0, 1.0))


def test_pools_and_replay_are_there_only_where_the_recipe_asks_for_them():
    assert isinstance(SignalState(SignalConfig(), num_examples=4, seed=0).source, PromptStream)
    state = SignalState(ON, num_examples=4, seed=0)
    assert isinstance(state.source, PromptPools) and state.replay.size == 4 and state.replay.max_age == 5


def test_the_mean_of_all_batches_says_which_flat_groups_are_high():
    state = SignalState(ON, num_examples=4, seed=0)
    assert state.note(reports_of([0, 1], [0.0, 1.0])) == [False, True]  # mean 1 / 2
    assert state.note(reports_of([2, 3], [0.25, 0.75])) == [False, True]  # mean 2 / 4
    assert state.note(reports_of([2], [0.45])) == [False]  # 2.45 / 5 = 0.49


def test_useful_groups_fill_the_useful_pool():
    state = SignalState(ON, num_examples=4, seed=0)
    state.note(reports_of([2, 0], [0.5, 0.5], flat=False))
    assert isinstance(state.source, PromptPools)
    assert state.source.sizes() == {"unseen": 2, "useful": 2, "hard": 0, "easy": 0}


@given(cut=st.integers(0, 8), rewards=st.lists(st.sampled_from([0.0, 0.1, 1.0]), min_size=16, max_size=16))
def test_a_state_read_back_from_json_goes_on_identically(cut, rewards):
    straight, resumed = (SignalState(ON, num_examples=6, seed=7) for _ in range(2))
    for step in range(8):
        if step == cut:
            resumed.load_state_dict(json.loads(json.dumps(straight.state_dict())))
        trail = [
            one_batch(state, step, rewards[2 * step : 2 * step + 2]) for state in ((straight, resumed) if step >= cut else (straight,))
        ]
        assert all(batch == trail[0] for batch in trail)
    assert cut == 8 or straight.state_dict() == resumed.state_dict()


def one_batch(state: SignalState, step: int, rewards: list[float]) -> tuple[object, ...]:
    indices = state.source.take(2)
    replayed = state.replay.choose(1, step=step, seed=7, exclude=indices)
    high = state.note([GroupReport(index, reward != 0.1, reward, None, 10) for index, reward in zip(indices, rewards, strict=True)])
    state.keep([kept(index, step) for index in indices])
    return indices, replayed, high


def test_the_order_in_which_processes_give_their_groups_changes_nothing():
    one, two = (SignalState(ON, num_examples=9, seed=0) for _ in range(2))
    one.keep([kept(index, 1) for index in (7, 2, 5)])
    two.keep([kept(index, 1) for index in (5, 7, 2)])
    assert one.replay.choose(2, step=2, seed=0) == two.replay.choose(2, step=2, seed=0)
    assert one.state_dict() == two.state_dict()


def test_a_state_of_other_data_is_refused():
    state = SignalState(ON, num_examples=4, seed=0).state_dict()
    with pytest.raises(RunError, match="4 examples, the data has 5"):
        SignalState(ON, num_examples=5, seed=0).load_state_dict(state)
