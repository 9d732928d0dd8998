from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.errors import RunError
from vlmpost.training.signal.prompts import POOLS, PromptPools, PromptSource, PromptStream, integer_weights, prompt_source

SHARES = {"unseen": 0.5, "useful": 0.4, "hard": 0.08, "easy": 0.02}

share_tables = st.none() | st.dictionaries(st.sampled_from(POOLS), st.sampled_from([0.0, 0.02, 0.25, 0.5, 1.0]), max_size=4)
rounds = st.lists(st.tuples(st.integers(0, 12), st.sets(st.integers(0, 30), max_size=8), st.integers(0, 2**24)), max_size=12)


def play(source: PromptSource, script: list[tuple[int, set[int], int]]) -> list[list[int]]:
    """Takes and tells as the script says: how many, which are excluded, and bits for what each group showed."""
    given_out = []
    for num_prompts, barred, bits in script:
        taken = source.take(num_prompts, exclude={index % source.num_examples for index in barred})
        for place, index in enumerate(taken):
            source.tell(index, flat=bool(bits >> 2 * place & 1), high=bool(bits >> 2 * place & 2))
        given_out.append(taken)
    return given_out


@given(num_examples=st.integers(1, 20), shares=share_tables, script=rounds)
def test_a_batch_has_no_prompt_twice_none_that_is_excluded_and_as_many_as_there_are(num_examples, shares, script):
    source = prompt_source(num_examples, seed=1, pool_shares=shares)
    for (num_prompts, barred, _), taken in zip(script, play(source, script), strict=True):
        excluded = {index % num_examples for index in barred}
        assert len(taken) == len(set(taken)) == min(num_prompts, num_examples - len(excluded))
        assert not excluded & set(taken) and set(taken) <= set(range(num_examples))


@given(num_examples=st.integers(1, 20), shares=share_tables, before=rounds, after=rounds)
def test_a_state_read_back_from_json_goes_on_as_if_nothing_had_been(num_examples, shares, before, after):
    straight = prompt_source(num_examples, seed=2, pool_shares=shares)
    play(straight, before)
    resumed = prompt_source(num_examples, seed=2, pool_shares=shares)
    resumed.load_state_dict(json.loads(json.dumps(straight.state_dict())))
    assert play(straight, after) == play(resumed, after)
    assert straight.state_dict() == resumed.state_dict()


def test_a_state_that_was_handed_out_does_not_change_with_its_source():
    for shares in (None, SHARES):
        source = prompt_source(5, seed=0, pool_shares=shares)
        source.tell(source.take(2)[0], flat=False, high=False)
        state = source.state_dict()
        before = json.dumps(state)
        source.tell(source.take(1)[0], flat=True, high=True)
        assert json.dumps(state) == before != json.dumps(source.state_dict())


def test_a_stream_asks_each_prompt_once_before_any_twice():
    stream = PromptStream(7, seed=3)
    orders = [tuple(stream.take(7)) for _ in range(3)]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len(set(orders)) == 3


def test_a_stream_first_gives_what_it_had_to_pass_over():
    stream = PromptStream(6, seed=0)
    order = PromptStream(6, seed=0).take(6)
    assert stream.take(2, exclude=order[:2]) == order[2:4]
    assert stream.take(4) == [*order[:2], *order[4:]]


def test_two_seeds_give_two_orders():
    for shares in (None, SHARES):
        assert prompt_source(50, seed=0, pool_shares=shares).take(50) != prompt_source(50, seed=1, pool_shares=shares).take(50)


def test_places_go_to_pools_in_their_shares():
    # 100 examples in each pool; 50 places a step, 2 steps: 50 unseen, 40 useful, 8 hard, 2 easy.
    pools = filled_pools(SHARES, each=100)
    counts = Counter(index // 100 for _ in range(2) for index in pools.take(50))
    assert [counts[pool] for pool in range(4)] == [50, 40, 8, 2]


def test_a_share_too_small_for_one_step_is_paid_over_several():
    # 4 places a step: the 2 % of easy prompts are one place in 50, so 100 steps have 8 of them.
    pools = filled_pools(SHARES, each=100)
    counts = Counter(index // 100 for _ in range(100) for index in pools.take(4))
    assert [counts[pool] for pool in range(4)] == [200, 160, 32, 8]


def test_the_share_of_an_empty_pool_goes_to_the_others_in_proportion():
    # Without unseen ones the weights 20, 4, 1 of the others make up 25: 40 useful, 8 hard and 2 easy of 50.
    pools = filled_pools(SHARES, each=100, pools=("useful", "hard", "easy"))
    counts = Counter(index // 100 for index in pools.take(50))
    assert [counts[pool] for pool in range(3)] == [40, 8, 2]


def test_a_pool_that_runs_out_within_a_step_leaves_its_places_to_the_others():
    pools = PromptPools(10, seed=0, shares={"unseen": 0.5, "useful": 0.5})
    first = pools.take(2)
    for index in first:
        pools.tell(index, flat=False, high=False)
    taken = pools.take(8)
    assert set(first) <= set(taken) and len(taken) == 8


@given(num_examples=st.integers(1, 20), shares=share_tables.filter(bool), script=rounds)
def test_a_pool_without_a_share_is_asked_only_when_no_other_has_a_prompt_left(num_examples, shares, script):
    source = PromptPools(num_examples, seed=1, shares=shares)
    for num_prompts, barred, bits in script:
        members = source.state_dict()["pools"]
        excluded = {index % num_examples for index in barred}
        (taken,) = play(source, [(num_prompts, barred, bits)])
        with_share = {index for pool in POOLS if shares.get(pool) for index in members[pool]} - excluded
        assert set(taken) <= with_share or with_share <= set(taken)


def test_a_pool_in_debt_comes_before_one_without_a_share():
    pools = filled_pools({"useful": 0.5, "easy": 0.5}, each=2)
    assert pools.take(1) == [2]  # useful, whose credit falls to 1 - 2 = -1
    for index in (6, 7):
        pools.tell(index, flat=False, high=False)
    assert pools.take(1) == [3]  # useful again: -1 + 1 = 0, no more than the unseen ones have, whose share is 0


def test_pools_without_a_share_come_in_their_order():
    pools = filled_pools({"useful": 1.0}, each=2, pools=("hard", "easy"))
    assert [pools.take(1)[0] // 2 for _ in range(3)] == [0, 0, 0]
    assert [index // 2 for index in pools.take(4)] == [0, 0, 1, 1]


@given(bits=st.integers(0, 2**60), num_examples=st.integers(4, 12))
def test_every_prompt_is_asked_again_and_again_whatever_it_shows(bits, num_examples):
    # The rarest pool has one place in 50, and at most 12 prompts wait in it: 12 * 50 places of 4 a step are 150 steps.
    pools = PromptPools(num_examples, seed=0, shares=SHARES)
    for _ in range(2):
        asked = set()
        for step in range(200):
            for index in pools.take(4):
                pools.tell(index, flat=bool(bits >> (index + step) % 60 & 1), high=bool(bits >> index & 1))
                asked.add(index)
        assert asked == set(range(num_examples))


def test_the_prompt_asked_longest_ago_comes_first():
    pools = PromptPools(3, seed=0, shares={"useful": 1.0})
    order = pools.take(3)
    for index in order:
        pools.tell(index, flat=False, high=False)
    assert [pools.take(1)[0] for _ in range(6)] == order * 2


@pytest.mark.parametrize(
    ("flat", "high", "pool"), [(False, True, "useful"), (False, False, "useful"), (True, True, "easy"), (True, False, "hard")]
)
def test_a_prompt_goes_to_the_pool_of_its_latest_group(flat, high, pool):
    pools = PromptPools(1, seed=0, shares=SHARES)
    for before in ((False, False), (True, True), (True, False)):
        pools.tell(0, flat=before[0], high=before[1])
    pools.tell(0, flat=flat, high=high)
    assert pools.sizes() == {**dict.fromkeys(POOLS, 0), pool: 1}


def test_weights_are_the_shares_as_written():
    assert integer_weights([0.5, 0.4, 0.08, 0.02]) == [25, 20, 4, 1]
    assert integer_weights([0.1, 0.2, 0.0, 0.0]) == [1, 2, 0, 0]  # the floats' quotient is not 2
    assert integer_weights([0.0, 0.0]) == [0, 0]


def test_a_state_of_other_data_or_another_kind_is_refused():
    state = PromptPools(10, seed=0, shares=SHARES).state_dict()
    with pytest.raises(RunError, match="10 examples, the data has 11"):
        PromptPools(11, seed=0, shares=SHARES).load_state_dict(state)
    with pytest.raises(RunError, match="prompt_pools"):
        PromptStream(10, seed=0).load_state_dict(state)


def filled_pools(shares: dict[str, float], *, each: int, pools: tuple[str, ...] = POOLS) -> PromptPools:
    """`each` examples in each of these pools, in order: the first `each` in the first pool."""
    source = PromptPools(each * len(pools), seed=0, shares=shares)
    for place, pool in enumerate(pools):
        for index in range(place * each, (place + 1) * each):
            if pool != "unseen":
                source.tell(index, flat=pool != "useful", high=pool == "easy")
    return source
