"""SFT samples of a task: solutions in a style, revision trajectories, one sample for each state, all verified."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from vlmpost import tasks
from vlmpost.errors import ConfigError
from vlmpost.records import Example
from vlmpost.tasks import Task
from vlmpost.tasks.trajectories import Mixture, revised, sample, samples, states, verified

TOYS = Path(__file__).parent / "climbing.py"


def toy(name: str = "Climbing") -> Task:
    return tasks.find(f"{TOYS}:{name}")


def starts(task: Task, number: int = 20) -> list[Example]:
    return list(tasks.stream(task.address, split="train", num_examples=number))


def test_every_state_is_a_sample_in_order_and_there_are_as_many_as_asked_for() -> None:
    # Three steps a flight: seven samples are two whole flights and the first state of a third.
    found = list(samples(toy(), starts(toy()), Mixture(style="answer"), num_samples=7))
    flights = [[example.meta["step"] - example.meta["first"] for example in found[at : at + 3]] for at in (0, 3, 6)]  # type: ignore[operator]
    assert flights == [[0, 1, 2], [0, 1, 2], [0]]
    assert [example.solution for example in found] == [str(example.meta["step"] + 1) for example in found]  # type: ignore[operator]
    assert len({example.id for example in found}) == 7


def test_states_are_walked_lazily() -> None:
    endless = itertools.cycle(starts(toy(), 1))
    assert len(list(itertools.islice(states(toy(), endless), 4))) == 4


def test_styles_are_the_tasks_and_mixed_has_both() -> None:
    start = starts(toy(), 40)
    reasoned = [sample(toy(), example, Mixture(style="reasoned")).solution for example in start]
    assert all(solution is not None and solution.startswith(" ") for solution in reasoned)
    mixed = [str(sample(toy(), example, Mixture(style="mixed")).solution).startswith(" ") for example in start]
    # 40 fair coins: fewer than 8 or more than 32 heads has a chance below 1e-4.
    assert 8 <= sum(mixed) <= 32


def test_a_revision_trajectory_ends_before_the_right_reply_and_holds_the_verifiers_messages() -> None:
    for example in starts(toy()):
        found = sample(toy(), example, Mixture(style="answer", revision_share=1.0, max_attempts=4))
        step = int(str(example.meta["step"]))
        wrong = [message.text for message in found.prompt if message.role == "assistant"]
        assert found.prompt[0] == example.prompt[0]
        assert [message.role for message in found.prompt] == ["user", *["assistant", "user"] * len(wrong)]
        assert [message.text for message in found.prompt[2::2]] == [f"Not {reply}." for reply in wrong]
        assert 1 <= len(wrong) <= 3
        assert all(step + 2 <= int(reply) <= step + 8 for reply in wrong)
        assert found.solution == str(step + 1)
        assert (found.id, found.meta["num_wrong_replies"]) == (f"{example.id}-w{len(wrong)}", len(wrong))


def test_trajectories_have_all_lengths_and_the_share_asked_for() -> None:
    mixture = Mixture(style="answer", revision_share=0.5, max_attempts=3)
    lengths = [len(sample(toy(), example, mixture).prompt) for example in starts(toy(), 200)]
    assert set(lengths) == {1, 3, 5}
    # 200 fair coins: more than 30 away from 100 has a chance below 1e-4.
    assert 70 <= lengths.count(1) <= 130


def test_wrong_replies_are_not_repeated_while_there_are_others() -> None:
    # Seven wrong replies are there to draw from, three are given.
    for example in starts(toy()):
        found = sample(toy(), example, Mixture(style="answer", revision_share=1.0, max_attempts=4, seed=3))
        wrong = [message.text for message in found.prompt if message.role == "assistant"]
        assert len(set(wrong)) == len(wrong)


def test_the_same_seed_gives_the_same_samples_and_another_one_others() -> None:
    def made(seed: int) -> list[Example]:
        return [sample(toy(), example, Mixture("mixed", 0.5, 3, seed)) for example in starts(toy())]

    assert made(0) == made(0)
    assert made(0) != made(1)


def test_a_solution_that_does_not_verify_stops_with_its_example() -> None:
    with pytest.raises(
        ConfigError, match=r"Boasting.*example 'boasting-train-s0-000000' does not verify: INCORRECT_ACTION, reward -1: '100000'"
    ):
        list(samples(toy("Boasting"), starts(toy("Boasting")), Mixture(style="answer"), num_samples=1))


def test_a_wrong_reply_that_is_right_stops_with_its_example() -> None:
    with pytest.raises(ConfigError, match=r"Meek.*wrong reply to example 'meek-train-s0-000000' is right"):
        list(samples(toy("Meek"), starts(toy("Meek")), Mixture(style="answer", revision_share=1.0), num_samples=1))


def test_an_example_without_a_solution_is_left_as_it_is_but_ends_no_trajectory() -> None:
    example = starts(toy(), 1)[0]
    assert example.solution is None
    assert verified(toy(), example) is example
    with pytest.raises(ConfigError, match="no solution to end a revision trajectory"):
        revised(toy(), example, rng=random.Random(0), num_wrong_replies=1)


def test_without_a_style_the_examples_own_solution_comes_first_and_then_the_tasks_answer() -> None:
    example = starts(toy(), 1)[0]
    step = int(str(example.meta["step"]))
    assert sample(toy(), example, Mixture()).solution == str(step + 1)
    assert sample(toy(), replace(example, solution=f"{step + 1}  "), Mixture()).solution == f"{step + 1}  "


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_that_ships_has_answers_and_revisions_that_verify(name: str) -> None:
    task = tasks.find(name)
    found = list(samples(task, tasks.stream(name, split="train", num_examples=6), Mixture("answer", 0.5, 3), num_samples=6))
    assert [task.verify(example, str(example.solution)).correct for example in found] == [True] * 6
