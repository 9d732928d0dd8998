"""Questions wait in order, none twice, and leave by exactly the size of the buffer."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from vlmpost.training.guidance.buffer import TraceBuffer


@given(size=st.integers(1, 6), batches=st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=20))
def test_nothing_is_lost_nothing_waits_twice_and_steps_are_full(size: int, batches: list[list[int]]) -> None:
    buffer = TraceBuffer(size)
    waiting: list[int] = []
    for batch in batches:
        buffer.add((index, f"q{index}") for index in batch)
        for index in batch:
            if index not in waiting:
                waiting.append(index)
        taken = buffer.take()
        assert len(taken) == (size if len(waiting) >= size else 0)
        assert taken == [(index, f"q{index}") for index in waiting[: len(taken)]]
        waiting = waiting[len(taken) :]
        assert len(buffer) == len(waiting)


def test_one_that_was_given_out_may_come_back() -> None:
    buffer = TraceBuffer(1)
    buffer.add([(3, "a")])
    assert buffer.take() == [(3, "a")]
    buffer.add([(3, "a")])
    assert buffer.take() == [(3, "a")] and buffer.take() == []


def test_the_state_comes_back_from_json_in_order() -> None:
    buffer, restored = TraceBuffer(2), TraceBuffer(2)
    buffer.add([(9, "i"), (1, "a"), (5, "e")])
    restored.add([(7, "left over")])
    restored.load_state_dict(json.loads(json.dumps(buffer.state_dict())))
    assert restored.take() == buffer.take() == [(9, "i"), (1, "a")]
    assert restored.state_dict() == buffer.state_dict()
