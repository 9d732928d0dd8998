"""Episodes on a toy task of two states: attempts per state, chat growth, and how they end."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from PIL import Image

from vlmpost.records import IMAGE, Example, Message
from vlmpost.tasks.episode import OVER, STEP_LIMIT, Episode
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import Task, TaskOptions

RIGHT, WRONG = "\\boxed{4}", "\\boxed{5}"


def red() -> Sequence[Image.Image]:
    return (Image.new("RGB", (4, 4), (255, 0, 0)),)


class TwoDoors(Task):
    """Two states with the answer 4; the second follows the first."""

    name = "two_doors"

    def pose(self, rng: random.Random, *, options: TaskOptions, difficulty: int | None) -> Problem:
        return Problem(
            prompt=(IMAGE, "What is 2+2?"), content={"door": 1, "salt": rng.random()}, answer="4", answer_type="number", draw=red
        )

    def following(self, example: Example) -> Example | None:
        if example.meta["door"] == 2:
            return None
        problem = Problem(prompt=(IMAGE, "And 1+3?"), content={"door": 2}, answer="4", answer_type="number", draw=red)
        return self.example_of(problem, id=f"{example.id}-2", facts={})


@pytest.fixture
def example() -> Example:
    return TwoDoors().make(split="train", index=0)


def roles(messages: Sequence[Message]) -> str:
    return "".join(message.role[0] for message in messages)


def test_a_state_grades_as_many_replies_as_there_are_iterations_and_then_limits(example: Example) -> None:
    episode = Episode(TwoDoors(), example, verify_iterations=3)
    steps = [episode.step(WRONG) for _ in range(3)]
    assert [(step.outcome, step.reward, step.truncated) for step in steps] == [("WRONG", 0.0, False)] * 3
    assert not episode.wants_reply, "the paper's table asks for no reply that is not graded"
    limit = episode.step(RIGHT)
    assert (limit.outcome, limit.reward, limit.correct) == (STEP_LIMIT, -1.0, False)
    assert (limit.terminated, limit.truncated) == (False, True)
    assert not episode.succeeded
    assert episode.steps == [*steps, limit]


def test_the_released_codes_table_asks_for_one_more_reply_and_does_not_grade_it(example: Example) -> None:
    episode = Episode(TwoDoors(), example, verify_iterations=2, rewards="repo")
    asked = 0
    while episode.wants_reply:
        episode.step(WRONG)
        asked += 1
    assert asked == 3
    assert [step.outcome for step in episode.steps] == ["WRONG", "WRONG", STEP_LIMIT]


def test_attempts_are_refilled_by_each_right_reply(example: Example) -> None:
    episode = Episode(TwoDoors(), example, verify_iterations=2)
    steps = [episode.step(reply) for reply in (WRONG, RIGHT, WRONG, RIGHT)]
    assert [step.state for step in steps] == [0, 0, 1, 1]
    assert [step.correct for step in steps] == [False, True, False, True]
    assert [step.terminated for step in steps] == [False, False, False, True]
    assert not any(step.truncated for step in steps)
    assert episode.succeeded
    assert not episode.wants_reply


def test_the_limit_of_the_second_state_ends_the_whole_episode(example: Example) -> None:
    episode = Episode(TwoDoors(), example, verify_iterations=1)
    steps = [episode.step(reply) for reply in (RIGHT, WRONG, RIGHT)]
    assert [step.outcome for step in steps] == ["CORRECT", "WRONG", STEP_LIMIT]
    assert steps[-1].state == 1
    assert not episode.succeeded


def test_the_chat_grows_by_reply_and_feedback_and_shows_the_picture_once(example: Example) -> None:
    episode = Episode(TwoDoors(), example, verify_iterations=3)
    assert episode.messages == example.prompt
    first, second = episode.step(WRONG), episode.step("no idea")
    assert roles(episode.messages) == "uauau"
    assert [message.text for message in episode.messages] == ["What is 2+2?", WRONG, first.feedback, "no idea", second.feedback]
    assert [message.num_images for message in episode.messages] == [1, 0, 0, 0, 0]
    assert episode.messages[0].content[0] is IMAGE


def test_the_chat_starts_again_with_the_next_state(example: Example) -> None:
    episode = Episode(TwoDoors(), example, verify_iterations=3)
    episode.step(WRONG)
    episode.step(RIGHT)
    assert roles(episode.messages) == "u"
    assert episode.messages[0].text == "And 1+3?"
    assert episode.example.id == f"{example.id}-2"
    episode.step(WRONG)
    assert [message.text for message in episode.messages[:2]] == ["And 1+3?", WRONG]


def test_feedback_says_that_it_is_wrong_and_never_the_answer(example: Example) -> None:
    episode = Episode(TwoDoors(), example, verify_iterations=3)
    wrong, unread, right = (episode.step(reply) for reply in (WRONG, "no idea", RIGHT))
    assert "not right" in wrong.feedback and "another answer" in wrong.feedback
    assert "No answer could be read" in unread.feedback
    assert "4" not in wrong.feedback + unread.feedback
    assert right.feedback is None


def test_a_first_right_reply_ends_it_where_states_are_prompts_of_their_own(example: Example) -> None:
    episode = Episode(TwoDoors(), example, verify_iterations=2, through=False)
    step = episode.step(RIGHT)
    assert step.terminated and episode.succeeded and not episode.wants_reply
    assert episode.example is example


def test_replies_after_the_right_one_are_worth_nothing_and_take_no_success_back(example: Example) -> None:
    episode = Episode(TwoDoors(), example, verify_iterations=1)
    episode.step(RIGHT)
    episode.step(RIGHT)
    assert episode.succeeded
    late = episode.step(WRONG)
    assert (late.outcome, late.reward, late.correct, late.terminated, late.truncated) == (OVER, 0.0, False, True, False)
    assert episode.succeeded
    assert not episode.wants_reply


def test_every_reply_beyond_the_attempts_is_over_the_limit(example: Example) -> None:
    episode = Episode(TwoDoors(), example, verify_iterations=1)
    episode.step(WRONG)
    late = [episode.step(RIGHT) for _ in range(2)]
    assert [(step.outcome, step.reward, step.correct, step.terminated, step.truncated) for step in late] == [
        (STEP_LIMIT, -1.0, False, False, True)
    ] * 2
    assert not episode.succeeded
    assert not episode.wants_reply


def test_the_tables_default_is_the_tasks_first(example: Example) -> None:
    assert Episode(TwoDoors(), example).rewards == "paper"
