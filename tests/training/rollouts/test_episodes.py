"""The episodes of a batch: who is asked again, with what tokens, and what of a completion was sampled."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vlmpost import tasks
from vlmpost.config.schema import EpisodeConfig
from vlmpost.errors import ConfigError, DataError
from vlmpost.records import Example, Message
from vlmpost.training.rollouts.episodes import EpisodeBatch, open_episode

END = 99


class SpelledOut:
    """A renderer whose environment tokens can be read: 1000 and more, closed by what the template would put."""

    def between(self, reply_ids: Sequence[int], feedback: str) -> tuple[int, ...]:
        closing = () if reply_ids[-1] == END else (END,)
        return (*closing, 1000, 1001)


def decode(ids: Sequence[int]) -> str:
    return "\\boxed{" + "".join(str(token) for token in ids if token != END) + "}"


def batch(*examples: Example, verify_iterations: int) -> EpisodeBatch:
    config = EpisodeConfig(verify_iterations=verify_iterations)
    return EpisodeBatch(examples, config=config, renderer=SpelledOut(), decode=decode)


@pytest.fixture
def seven() -> Example:
    """A question whose answer is 7."""
    return Example(id="seven", task="counting", prompt=(Message("user", ("3 + 4 = ?",)),), answer="7", answer_type="number")


def test_right_rows_leave_and_wrong_rows_go_on_until_their_attempts_end(seven: Example) -> None:
    episodes = batch(seven, seven, verify_iterations=3)
    episodes.add([0, 1], [[7, END], [8, END]])
    assert episodes.live == [1]
    episodes.add([1], [[9]])
    assert episodes.live == [1]
    episodes.add([1], [[6, END]])
    assert episodes.live == []
    assert [[step.correct for step in steps] for steps in episodes.steps] == [[True], [False, False, False]]


def test_a_completion_is_the_replies_as_sampled_with_the_environment_between_and_masked(seven: Example) -> None:
    episodes = batch(seven, verify_iterations=3)
    episodes.add([0], [[8, END]])
    assert episodes.histories([0]) == [[8, END, 1000, 1001]]
    episodes.add([0], [[9]])  # cut by its budget: the environment closes the turn
    assert episodes.histories([0]) == [[8, END, 1000, 1001, 9, END, 1000, 1001]]
    episodes.add([0], [[7, END]])
    assert episodes.completion_ids == [[8, END, 1000, 1001, 9, END, 1000, 1001, 7, END]]
    assert episodes.masks == [[1, 1, 0, 0, 1, 0, 0, 0, 1, 1]]
    assert episodes.replies == [[[8, END], [9], [7, END]]]


def test_log_probabilities_of_a_sampler_have_none_at_the_environments_tokens(seven: Example) -> None:
    episodes = batch(seven, verify_iterations=2)
    episodes.add([0], [[8, END]], [[-0.5, -0.25]])
    episodes.add([0], [[7, END]], [[-1.0, -2.0]])
    assert episodes.logps == [[-0.5, -0.25, None, None, -1.0, -2.0]]
    silent = batch(seven, verify_iterations=1)
    silent.add([0], [[7]])
    assert silent.logps is None


def test_an_example_of_no_task_is_refused_by_name() -> None:
    stranger = Example(id="row 4", task="gsm8k", prompt=(Message("user", ("?",)),), answer="7")
    with pytest.raises(DataError, match=r"'row 4' cannot be played: There is no task 'gsm8k'"):
        open_episode(stranger, config=EpisodeConfig())


def test_a_reward_table_that_the_task_does_not_have_is_refused() -> None:
    example = tasks.make("counting", split="train", index=0, difficulty=1)
    with pytest.raises(ConfigError, match="task 'counting' has no reward table 'repo'; it has: paper"):
        open_episode(example, config=EpisodeConfig(rewards="repo"))
