"""Drawn tasks: pure, disjoint by split, and right when their answers are worked out again from what was drawn."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vlmpost import tasks
from vlmpost.errors import ConfigError
from vlmpost.records import IMAGE, Example
from vlmpost.tasks.answered import direct_solution
from vlmpost.tasks.pictures import TASKS as PICTURES

TASKS = ("card_sums", "charts", "comparing", "counting")
"""Those with pictures of 140 x 84 pixels, which the nano model knows."""
ALL_TASKS = (
    *TASKS,
    "depth_jigsaw",
    "flipped_patch",
    "general_points",
    "geometry",
    "image_jigsaw",
    "navigation",
    "patch_fit",
    "patch_pair",
    "patch_position",
    "rotation",
    "video_jigsaw",
)
ROW_PIXELS = 28


def picture(example: Example) -> Image.Image:
    (image,) = example.images
    assert image.data is not None
    return Image.open(io.BytesIO(image.data))


def worked_out(example: Example) -> str:
    """The answer computed from `meta` by other means than the task's own."""
    meta, question = example.meta, example.prompt[0].text
    if example.task == "card_sums":
        return str(sum(card["value"] for card in meta["cards"]))
    if example.task == "charts":
        heights = {bar["colour"]: bar["height"] for bar in meta["bars"]}
        named = re.findall(r"(red|green|blue|orange|purple) bar", question)
        if len(named) == 1:
            return str(heights[named[0]])
        if named:
            return str(heights[named[0]] - heights[named[1]])
        return str(max(heights.values()) - min(heights.values()))
    if example.task == "comparing":
        (first, most), (_, second) = Counter(item["colour"] for item in meta["items"]).most_common(2)
        assert most > second, "a tie has no answer"
        return first
    colour, noun = re.search(r"(red|green|blue|orange) (\w+)s", question).groups()
    return str(sum(item["colour"] == colour and noun in ("shape", item["shape"]) for item in meta["items"]))


def test_names_are_all_tasks_in_order() -> None:
    assert tasks.names() == ALL_TASKS == tuple(sorted(ALL_TASKS))
    assert tuple(PICTURES) == TASKS
    for name in ALL_TASKS:
        assert tasks.find(name).name == tasks.find(name).address == name


@pytest.mark.parametrize("name", ALL_TASKS)
def test_every_task_declares_its_variants(name: str) -> None:
    task = tasks.find(name)
    assert tuple(task.shifts) == tasks.SHIFTS
    assert task.shifts["none"] == {}
    plain, *others = [task.options_of({}, shift=shift) for shift in task.shifts]
    assert all(options != plain for options in others)


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=40, deadline=None)
@given(split=st.sampled_from(tasks.SPLITS), index=st.integers(0, 10**6), seed=st.integers(0, 10**6), difficulty=st.integers(1, 5))
def test_answer_is_what_the_picture_holds_and_the_solution_ends_in_it(
    task: str, split: str, index: int, seed: int, difficulty: int
) -> None:
    example = tasks.make(task, split=split, index=index, seed=seed, difficulty=difficulty)
    assert example.answer == worked_out(example)
    assert re.fullmatch(r"<think>[^<>]+</think>\\boxed\{(\w+)\}", example.solution).group(1) == example.answer
    assert direct_solution(example) == f"\\boxed{{{example.answer}}}"


@pytest.mark.parametrize("task", TASKS)
def test_same_arguments_give_the_same_example_and_others_another(task: str) -> None:
    arguments = {"split": "test", "index": 4, "seed": 7, "difficulty": 3}
    once, again = tasks.make(task, **arguments), tasks.make(task, **arguments)
    assert once == again
    for change in ({"split": "train"}, {"index": 5}, {"seed": 8}, {"difficulty": 4}):
        other = tasks.make(task, **(arguments | change))
        assert other.id != once.id
        assert other.images != once.images


@pytest.mark.parametrize("task", TASKS)
def test_splits_share_no_problem_even_where_problems_are_few(task: str) -> None:
    found = {
        split: {(example.prompt, example.images) for example in tasks.stream(task, split=split, num_examples=400, difficulties=[1])}
        for split in tasks.SPLITS
    }
    assert not found["train"] & found["test"]
    assert not found["train"] & found["validation"]
    assert not found["validation"] & found["test"]
    assert min(len(problems) for problems in found.values()) > 50


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("difficulty", tasks.DIFFICULTIES)
def test_pictures_are_small_rgb_pngs_of_whole_image_tokens(task: str, difficulty: int) -> None:
    example = tasks.make(task, split="train", index=0, difficulty=difficulty)
    image = picture(example)
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (140, 84))
    assert len(set(image.getdata())) > 1, "an empty picture"
    assert example.prompt[0].content[0] is IMAGE
    assert example.num_image_slots == 1


def test_what_is_drawn_is_what_meta_says() -> None:
    example = tasks.make("counting", split="train", index=11, difficulty=5)
    image = picture(example)
    colours = {"red": (220, 40, 40), "green": (40, 160, 60), "blue": (40, 80, 220), "orange": (245, 160, 30)}
    seen = [image.getpixel((item["x"], item["y"])) for item in example.meta["items"]]
    assert seen == [colours[item["colour"]] for item in example.meta["items"]]
    cells = [(item["x"] // ROW_PIXELS, item["y"] // ROW_PIXELS) for item in example.meta["items"]]
    assert len(set(cells)) == len(cells) >= 12


def test_difficulty_means_more_to_read() -> None:
    def size(task: str, difficulty: int) -> float:
        key = {"card_sums": "cards", "charts": "bars"}.get(task, "items")
        examples = [tasks.make(task, split="train", index=index, difficulty=difficulty) for index in range(20)]
        return sum(len(example.meta[key]) for example in examples)

    for task in TASKS:
        sizes = [size(task, difficulty) for difficulty in tasks.DIFFICULTIES]
        assert sizes == sorted(sizes)
        assert sizes[-1] > 1.5 * sizes[0]


def test_card_sum_solution_reads_each_card_and_keeps_the_sum() -> None:
    example = tasks.make("card_sums", split="train", index=3, difficulty=3)
    one, two, three = (card["value"] for card in example.meta["cards"])
    assert example.solution == f"<think>{one}, +{two}={one + two}, +{three}={one + two + three}</think>\\boxed{{{one + two + three}}}"


def test_stream_takes_turns_with_difficulties() -> None:
    found = list(tasks.stream("charts", split="test", seed=2, num_examples=5, difficulties=[2, 4]))
    assert [example.meta["difficulty"] for example in found] == [2, 4, 2, 4, 2]
    assert [example.meta["index"] for example in found] == [0, 1, 2, 3, 4]
    assert len({example.id for example in found}) == 5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"task": "countin"}, "Did you mean 'counting'?"),
        ({"task": "chess"}, ", ".join(ALL_TASKS)),
        ({"split": "dev"}, "test, train, validation"),
        ({"difficulty": 0}, "1 to 5"),
        ({"difficulty": 6}, "1 to 5"),
        ({"index": -1}, "0 or more"),
    ],
)
def test_arguments_that_do_not_exist_are_said(change: dict[str, object], named: str) -> None:
    arguments = {"task": "counting", "split": "train", "index": 0, "difficulty": 1} | change
    with pytest.raises(ConfigError, match=re.escape(named)):
        tasks.make(arguments.pop("task"), **arguments)


def test_empty_difficulties_are_refused() -> None:
    with pytest.raises(ConfigError, match="empty list of difficulties"):
        list(tasks.stream("charts", split="train", num_examples=1, difficulties=[]))


def test_tasks_do_not_import_torch() -> None:
    code = "import sys, vlmpost.tasks; sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'datasets', 'pyarrow')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
