"""What the three jigsaws share: verdicts, given instances, scripted replies, prompts."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmpost import tasks
from vlmpost.errors import ConfigError, DataError, GraderError
from vlmpost.records import Example, Message
from vlmpost.tasks.episode import Episode
from vlmpost.tasks.jigsaw import TASKS
from vlmpost.tasks.jigsaw.replies import FOOTERS

Make = Callable[..., Example]

NAMES = ("depth_jigsaw", "image_jigsaw", "video_jigsaw")
CHEAP = {
    "depth_jigsaw": {"width": 320, "height": 240, "resize": None, "min_pixels_apart": 20, "marker_radius": 8, "flat_pixels": 3},
    "image_jigsaw": {"width": 140, "height": 112},
    "video_jigsaw": {"width": 84, "height": 84, "max_frames": 2},
}
"""Options that draw fast."""
FORMS = {"answer": "paper", "boxed": "repo", "bare": "repo_nothink"}
NINE = list(range(1, 10))
LINE = "this line of seven words stands here\n"


def given_order(order: object, **row: object) -> Example:
    return TASKS["image_jigsaw"].from_row({"ground_truth": order, **row})


def graded(reply: str, order: object = NINE, *, rewards: str = "paper", **row: object) -> tuple[str, float]:
    step = TASKS["image_jigsaw"].verify(given_order(order, **row), reply, rewards=rewards)
    assert step.correct == (step.outcome == "EXACT")
    assert (step.feedback is None) == step.correct
    return step.outcome, step.reward


def tagged(answer: str) -> str:
    return f"<think>look</think><answer>{answer}</answer>"


def boxed(answer: str) -> str:
    return f"<think>look</think>\\boxed{{{answer}}}"


def test_the_three_are_registered() -> None:
    assert tuple(sorted(TASKS)) == NAMES
    assert set(NAMES) <= set(tasks.names())
    for name in NAMES:
        assert TASKS[name].reward_tables == ("paper", "repo", "repo_nothink")
        assert set(TASKS[name].shifts) == {"none", "rule", "visual"}


@pytest.mark.parametrize(
    ("answer", "paper", "repo"),
    [
        ("1,2,3,4,5,6,7,8,9", ("EXACT", 1.2), ("EXACT", 1.2)),
        ("2,1,3,4,5,6,7,8,9", ("PARTIAL", 0.2 + 0.2 * 7 / 9), ("PARTIAL", 0.2 + 0.2 * 7 / 9)),
        ("2,3,4,5,6,7,8,9,1", ("PARTIAL", 0.2), ("PARTIAL", 0.2)),  # no label in its place
        ("1,2,3,4,5,6,10,8,9", ("INVALID", 0.2), ("PARTIAL", 0.2 + 0.2 * 8 / 9)),  # 10 for 7: 0.178 in the released code
        ("1,2,3,4,5,6,7,8,9,9", ("INVALID", 0.2), ("PARTIAL", 0.2 + 0.2)),  # the truth and a repeated item: 0.2 there
        ("1,2,3,4,5,6,7,8", ("INVALID", 0.2), ("INVALID", 0.2)),
        ("1,1,2,3,4,5,6,7,8", ("INVALID", 0.2), ("INVALID", 0.2)),
        ("nine tiles", ("INVALID", 0.2), ("INVALID", 0.2)),
        ("[1,2,3,4,5,6,7,8,9]", ("EXACT", 1.2), ("INVALID", 0.2)),  # the released code reads no brackets
    ],
)
def test_classes_and_rewards_of_both_tables(answer: str, paper: tuple, repo: tuple) -> None:
    for reply, table, (outcome, reward) in ((tagged(answer), "paper", paper), (boxed(answer), "repo", repo)):
        found = graded(reply, rewards=table)
        assert found[0] == outcome
        assert found[1] == pytest.approx(reward, abs=1e-9)
    assert graded(answer, rewards="repo_nothink")[1] == pytest.approx(repo[1] - 0.2, abs=1e-9)


@pytest.mark.parametrize("table", ["paper", "repo"])
def test_a_wrong_form_is_a_class_of_its_own_and_worth_nothing(table: str) -> None:
    other = boxed if table == "paper" else tagged
    for reply in ("", "1,2,3,4,5,6,7,8,9", other("1,2,3,4,5,6,7,8,9"), "<think>1,2,3,4,5,6,7,8,9"):
        assert graded(reply, rewards=table) == ("ILLEGAL_FORMAT", 0.0)


def test_four_and_fewer_earn_no_part_by_the_released_code() -> None:
    assert graded(tagged("1,2,4,3"), [1, 2, 3, 4]) == ("PARTIAL", pytest.approx(0.2 + 0.2 * 2 / 4, abs=1e-9))
    assert graded(boxed("1,2,4,3"), [1, 2, 3, 4], rewards="repo") == ("PARTIAL", pytest.approx(0.2, abs=1e-9))


def test_a_repeated_line_is_charged_and_named_by_the_released_code_alone() -> None:
    reply = f"<think>\n{LINE * 4}</think>\\boxed{{1,2,3}}"
    step = TASKS["image_jigsaw"].verify(given_order([1, 2, 3]), reply, rewards="repo")
    assert (step.outcome, step.violations) == ("EXACT", ("REPETITION",))
    assert step.reward == pytest.approx(0.2 + 1 - 0.5, abs=1e-9)
    step = TASKS["image_jigsaw"].verify(given_order([1, 2, 3]), f"<think>\n{LINE * 4}</think><answer>1,2,3</answer>")
    assert (step.reward, step.violations) == (pytest.approx(1.2, abs=1e-9), ())


@pytest.mark.parametrize("row", [{"nothink": True}, {"data_source": "coco_image_jigsaw_nothink"}])
def test_a_row_without_thinking_is_read_whole_under_the_released_code(row: dict) -> None:
    assert graded("3,1,2", [3, 1, 2], rewards="repo", **row) == ("EXACT", 1.0)
    assert graded(boxed("3,1,2"), [3, 1, 2], rewards="repo", **row) == ("INVALID", 0.0)
    assert graded("3,1,2", [3, 1, 2], rewards="paper", **row) == ("ILLEGAL_FORMAT", 0.0)


@pytest.mark.parametrize("truth", [[2, 3, 1], ["2", "3", "1"], "2,3,1", " 2, 3, 1 ", "[2,3,1]", "2 3 1"])
@pytest.mark.parametrize("name", NAMES)
def test_an_order_can_be_given(name: str, truth: object) -> None:
    task = TASKS[name]
    example = task.from_row({"k": 3, "ground_truth": truth})
    assert (example.meta["order"], example.meta["k"], example.answer, example.images) == ([2, 3, 1], 3, "2,3,1", ())
    assert task.verify(example, tagged("2,3,1")).correct
    assert task.verify(example, task.solve(example)).reward == pytest.approx(1.2, abs=1e-9)
    assert task.verify(example, task.solve(example, style="reasoned")).correct


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"ground_truth": None},
        {"ground_truth": [1]},
        {"ground_truth": [1, 1]},
        {"ground_truth": [0, 1, 2]},
        {"ground_truth": [1.0, 2.0]},
        {"ground_truth": [True, 2]},
        {"ground_truth": "1;2;3"},
        {"ground_truth": "1,2,99999999999999999999"},
        {"ground_truth": "1," * 10**6},
        {"ground_truth": [1, 2, 3], "k": 4},
        {"ground_truth": [1, 2, 3], "k": "3"},
        {"ground_truth": {"1": 2}},
    ],
)
def test_a_row_that_gives_no_order_is_refused_in_one_sentence(row: dict) -> None:
    with pytest.raises(DataError) as caught:
        TASKS["image_jigsaw"].from_row(row)
    assert len(str(caught.value)) < 300


def test_an_example_without_an_order_is_an_error_and_no_zero() -> None:
    with pytest.raises(GraderError, match="has no order"):
        TASKS["image_jigsaw"].verify(Example("q", "image_jigsaw", (Message("user", ("?",)),)), "1,2,3")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("form", "table"), list(FORMS.items()))
def test_scripted_replies_verify_under_their_table(name: str, form: str, table: str, make: Make) -> None:
    task = TASKS[name]
    for index in range(3):
        example = make(name, index, answer_form=form, **CHEAP[name])
        assert example.solution == task.solve(example)
        replies = [task.solve(example)] + ([task.solve(example, style="reasoned")] if form != "bare" else [])
        for reply in replies:
            step = task.verify(example, reply, rewards=table)
            assert (step.outcome, step.reward) == ("EXACT", pytest.approx(1.0 if form == "bare" else 1.2, abs=1e-9))
            assert step.extracted == example.answer
        if form != "bare":
            assert replies[1].count("\n") == example.meta["k"] - 1 > replies[0].count("\n") == 0
        wrong = task.verify(example, task.wrong_reply(example, random.Random(index)), rewards=table)
        assert wrong.outcome == "PARTIAL" and not wrong.correct


def test_a_bare_answer_has_no_reasoned_solution(make: Make) -> None:
    example = make("image_jigsaw", answer_form="bare", **CHEAP["image_jigsaw"])
    with pytest.raises(ConfigError, match="no reasoned solutions"):
        TASKS["image_jigsaw"].solve(example, style="reasoned")
    # What is asked for without thinking is held to repo_nothink under repo.
    assert TASKS["image_jigsaw"].verify(example, TASKS["image_jigsaw"].solve(example), rewards="repo").reward == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_prompts_say_the_rule_the_form_and_nothing_of_the_answer(name: str, make: Make) -> None:
    rules = {
        "depth_jigsaw": ("from the closest to the farthest", "from the farthest to the closest"),
        "image_jigsaw": ("row by row from the top, each row from left to right", "column by column from the left, each column from top"),
        "video_jigsaw": ("the earliest first", "the latest first"),
    }
    for form, footer in FOOTERS.items():
        example = make(name, answer_form=form, **CHEAP[name])
        assert example.prompt[0].text.endswith(footer)
        assert example.num_image_slots == len(example.images)
    for style in ("paper", "compact"):
        plain = make(name, prompt_style=style, **CHEAP[name])
        shifted = make(name, prompt_style=style, shift="rule", **CHEAP[name])
        assert rules[name][0] in plain.prompt[0].text and rules[name][1] not in plain.prompt[0].text
        assert rules[name][1] in shifted.prompt[0].text and rules[name][0] not in shifted.prompt[0].text
    texts = {make(name, index, **CHEAP[name]).prompt[0].text for index in range(8)}
    assert len(texts) == 1  # nothing in the words changes with the answer
    assert len(make(name, prompt_style="compact", **CHEAP[name]).prompt[0].text) < len(texts.pop()) / 2


@pytest.mark.parametrize("name", NAMES)
def test_a_right_reply_ends_the_episode_and_a_wrong_one_is_talked_about(name: str, make: Make) -> None:
    task = TASKS[name]
    example = make(name, **CHEAP[name])
    episode = Episode(task, example, verify_iterations=3)
    assert not episode.step(task.wrong_reply(example, random.Random(0))).terminated
    assert "not the right order" in episode.messages[-1].text
    assert not episode.step("hm").terminated
    assert "not in the form" in episode.messages[-1].text
    assert episode.step(task.solve(example)).terminated
    assert episode.succeeded


@pytest.mark.parametrize("name", NAMES)
def test_examples_read_back_from_json_verify_as_before(name: str, make: Make) -> None:
    task, example = TASKS[name], make(name, **CHEAP[name])
    stored = Example(example.id, example.task, example.prompt, answer=example.answer, meta=json.loads(json.dumps(dict(example.meta))))
    assert stored.meta == dict(example.meta)
    assert task.verify(stored, task.solve(stored, style="reasoned")).correct


def test_examples_are_the_same_in_another_process() -> None:
    program = f"""
import hashlib
from vlmpost import tasks
for name, options in {CHEAP!r}.items():
    example = tasks.make(name, split="test", index=3, seed=5, options=options)
    images = hashlib.sha256(b"".join(ref.data for ref in example.images)).hexdigest()
    print(example.id, example.answer, example.prompt[0].text, images)
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60, env={"PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout) > 300


@pytest.mark.parametrize("name", NAMES)
def test_splits_share_no_scene(name: str, make: Make) -> None:
    cheap = CHEAP[name]
    scenes = {split: {make(name, index, split=split, **cheap).meta["scene"]["seed"] for index in range(6)} for split in tasks.SPLITS}
    assert all(len(found) == 6 for found in scenes.values())
    assert not scenes["train"] & scenes["validation"] | scenes["train"] & scenes["test"] | scenes["validation"] & scenes["test"]


HOSTILE = [
    *("<think></think>\\boxed{" + "{" * 10**5, "[" * 10**6, "9" * 10**6, "\ud800\x00", "<think>" * 10**5),
    *(tagged("9" * 10**6), boxed("1," * 10**6), boxed("9" * 5000)),
]


@pytest.mark.parametrize("reply", HOSTILE)
@pytest.mark.parametrize("table", ["paper", "repo", "repo_nothink"])
def test_hostile_replies_cost_little_and_earn_nothing_but_the_form(reply: str, table: str) -> None:
    start = time.perf_counter()
    outcome, reward = graded(reply, rewards=table)
    assert outcome in ("INVALID", "ILLEGAL_FORMAT")
    assert reward <= 0.2
    assert time.perf_counter() - start < 2


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="<think>/\\boxed{}answer ,1239-+_\n", max_size=120), st.sampled_from(["paper", "repo", "repo_nothink"]))
def test_every_text_gets_a_class_and_its_reward(text: str, table: str) -> None:
    outcome, reward = graded(text, [1, 2, 3, 4, 5], rewards=table)
    bonus = 0.0 if table == "repo_nothink" else 0.2
    assert {"EXACT": reward == pytest.approx(bonus + 1), "ILLEGAL_FORMAT": reward == 0.0}.get(outcome, bonus <= reward <= bonus + 0.2)
