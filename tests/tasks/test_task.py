"""The contract of a task, held against every task that ships and against a small one of our own."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from vlmpost import tasks
from vlmpost.errors import ConfigError
from vlmpost.records import IMAGE, Example
from vlmpost.tasks.answered import AnsweredTask, boxed, option_letter, reasoned
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import Task, TaskOptions, split_of

NAMES = tasks.names()


class Suits(AnsweredTask):
    """A choice between three suits."""

    name = "suits"

    def pose(self, rng: random.Random, *, options: TaskOptions, difficulty: int | None) -> Problem:
        choices = ("hearts", "spades", "clubs")
        right = rng.randrange(3)
        letter = option_letter(right)
        solution = reasoned(f"It is {choices[right]}.", letter)
        content = {"suit": choices[right], "salt": rng.random()}
        return Problem(("Which?",), content, solution=solution, answer=letter, answer_type="choice", choices=choices)


class Keyed(Task):
    """Ten keys; the salt is different every time and has no part in the split."""

    name = "keyed"

    def pose(self, rng: random.Random, *, options: TaskOptions, difficulty: int | None) -> Problem:
        number = rng.randrange(10)
        return Problem(("?",), {"number": number, "salt": rng.random()}, answer=str(number), answer_type="number", key=f"key {number}")


def first(name: str, shift: str = "none") -> Example:
    difficulty = (tasks.find(name).difficulties or (None,))[-1]
    return tasks.make(name, split="train", index=1, seed=6, difficulty=difficulty, shift=shift)


def stored(example: Example) -> Example:
    """The example as it comes back from a JSONL file."""
    return replace(example, meta=json.loads(json.dumps(dict(example.meta))))


@pytest.mark.parametrize("shift", tasks.SHIFTS)
@pytest.mark.parametrize("name", NAMES)
def test_optimal_replies_are_right_after_reading_back(name: str, shift: str) -> None:
    task, example = tasks.find(name), stored(first(name, shift))
    for style in ("answer", "reasoned"):
        step = task.verify(example, task.solve(example, style=style), rewards=task.reward_tables[0])
        assert step.correct, (style, step)
        assert step.feedback is None and step.reward > 0


@pytest.mark.parametrize("name", NAMES)
def test_wrong_replies_are_in_form_and_get_feedback(name: str) -> None:
    task, example = tasks.find(name), stored(first(name))
    for seed in range(5):
        reply = task.wrong_reply(example, random.Random(seed))
        assert reply == task.wrong_reply(example, random.Random(seed))
        step = task.verify(example, reply)
        assert not step.correct, reply
        assert step.feedback


@pytest.mark.parametrize("name", NAMES)
def test_prompt_and_pictures_fit_together(name: str) -> None:
    example = first(name)
    assert example.num_image_slots == len(example.images)
    assert example.prompt[-1].role == "user"
    assert all(image.data is not None and image.data.startswith(b"\x89PNG") for image in example.images)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reply", ["", "\x00\ud800", "{" * 10_000, "9" * 10_000, "\\boxed{" * 2_000, '{"cards": [[]], "formula": 3}'])
def test_hostile_replies_are_wrong_and_nothing_more(name: str, reply: str) -> None:
    step = tasks.find(name).verify(first(name), reply)
    assert not step.correct
    assert step.text == reply


def test_options_go_into_the_example_and_letters_and_texts_are_judged() -> None:
    task = Suits()
    for index in range(10):
        example = task.make(split="train", index=index)
        assert example.choices == ("hearts", "spades", "clubs")
        assert task.verify(example, boxed(example.answer)).correct
        assert task.verify(example, str(example.meta["suit"])).correct
        wrong = {task.wrong_reply(example, random.Random(seed)) for seed in range(30)}
        assert wrong == {boxed(letter) for letter in "ABC" if letter != example.answer}


def test_solutions_are_the_box_or_the_reasoning_before_it() -> None:
    task = Suits()
    example = task.make(split="test", index=0)
    assert task.solve(example) == f"\\boxed{{{example.answer}}}"
    assert task.solve(example, style="reasoned") == f"<think>It is {example.meta['suit']}.</think>\\boxed{{{example.answer}}}"
    with pytest.raises(ConfigError, match="came without a reasoned solution"):
        task.solve(replace(example, solution=None), style="reasoned")


def test_numbers_nearby_keep_the_sign_that_is_possible() -> None:
    zero = next(example for example in (Keyed().make(split=split_of("key 0"), index=index) for index in range(99)) if example.answer == "0")
    assert Suits().wrong_answers(zero) == ["1", "2"]
    assert Suits().wrong_answers(replace(zero, answer="-3")) == ["-5", "-4", "-2", "-1"]
    assert Suits().wrong_answers(replace(zero, answer="5")) == ["3", "4", "6", "7"]


def test_problems_of_one_key_are_in_one_split() -> None:
    split = split_of("key 3")
    for name in tasks.SPLITS:
        if any(split_of(f"key {number}") == name for number in range(10)):
            numbers = {Keyed().make(split=name, index=index).meta["number"] for index in range(60)}
            assert numbers == {number for number in range(10) if split_of(f"key {number}") == name}
            assert (3 in numbers) == (name == split)


def test_about_eight_of_ten_keys_are_train() -> None:
    splits = [split_of(str(number)) for number in range(10_000)]
    # Five standard deviations: 5 * sqrt(10000 * 0.8 * 0.2) = 200 and 5 * sqrt(10000 * 0.1 * 0.9) = 150.
    assert abs(splits.count("train") - 8000) < 200
    assert abs(splits.count("validation") - 1000) < 150
    assert abs(splits.count("test") - 1000) < 150


def test_a_key_that_is_not_given_is_the_prompt_with_the_content() -> None:
    one = Problem((IMAGE, "How many?"), {"b": 1, "a": 2})
    assert one.split_key == '[["<image>","How many?"],{"a":2,"b":1}]'
    assert Problem((IMAGE, "How many?"), {"a": 2, "b": 1}, answer="3").split_key == one.split_key
    assert Problem((IMAGE, "Count."), {"a": 2, "b": 1}).split_key != one.split_key
