"""The task: states, prompts, splits, shifts and solutions."""

from __future__ import annotations

import hashlib
import io
import json
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vlmpost import tasks
from vlmpost.errors import ConfigError, DataError
from vlmpost.records import IMAGE, Example
from vlmpost.tasks.episode import Episode

TASK = tasks.find("navigation")
SMALL = {"mode": "vision", "tile_pixels": 28}


def states(example: Example) -> list[Example]:
    found = [example]
    while (after := TASK.following(found[-1])) is not None:
        found.append(after)
    return found


def stored(example: Example) -> Example:
    """The example with what a file keeps of `meta`."""
    return Example(**{**{name: getattr(example, name) for name in Example.__slots__}, "meta": json.loads(json.dumps(dict(example.meta)))})


@settings(max_examples=25, deadline=None)
@given(
    index=st.integers(0, 10**6),
    split=st.sampled_from(tasks.SPLITS),
    shift=st.sampled_from(tasks.SHIFTS),
    style=st.sampled_from(["answer", "reasoned"]),
    prompt_style=st.sampled_from(["paper", "compact"]),
    rewards=st.sampled_from(["paper", "repo"]),
)
def test_solutions_lead_to_the_destination(index: int, split: str, shift: str, style: str, prompt_style: str, rewards: str) -> None:
    example = tasks.make("navigation", split=split, index=index, shift=shift, options={"prompt_style": prompt_style})
    episode = Episode(TASK, stored(example), verify_iterations=1, rewards=rewards)
    while episode.wants_reply:
        step = episode.step(TASK.solve(stored(episode.example), style=style))
        assert (step.outcome, step.reward) == ("CORRECT_ACTION", 1.0)
    assert episode.succeeded and len(episode.steps) == len(example.meta["rail"])


@settings(max_examples=25, deadline=None)
@given(index=st.integers(0, 10**6), prompt_style=st.sampled_from(["paper", "compact"]), rewards=st.sampled_from(["paper", "repo"]))
def test_wrong_replies_are_wrong(index: int, prompt_style: str, rewards: str) -> None:
    example = tasks.make("navigation", split="train", index=index, options={"prompt_style": prompt_style, "start": "any"})
    rng = random.Random(index)
    for _ in range(8):
        step = TASK.verify(example, TASK.wrong_reply(example, rng), rewards=rewards)
        assert not step.correct and step.feedback and step.violations == (step.outcome,)


def test_prompt_has_its_headings_in_order() -> None:
    text = tasks.make("navigation", split="train", index=0).prompt[0].text
    vision = tasks.make("navigation", split="train", index=0, options=SMALL).prompt[0].text
    headings = ["[Task Description]", "[Instruction]", "[Action space]", "[Observations and actions sequence]", "[Output]"]
    with_views = [*headings[:2], "[Observation format]", *headings[2:]]
    for said, expected in ((text, headings), (vision, with_views)):
        assert [line for line in said.splitlines() if line.startswith("[") and line.endswith("]") and line[1].isupper()] == expected


def test_history_holds_the_right_actions_and_ends_open() -> None:
    walk = states(tasks.make("navigation", split="train", index=1))
    rail = walk[0].meta["rail"]
    for number, state in enumerate(walk):
        lines = [line for line in state.prompt[0].text.splitlines() if line.startswith(("A_", "O_"))]
        assert len(lines) == 2 * (number + 1) and lines[-1] == f"A_{number + 1}:"
        assert [line.partition(": ")[2] for line in lines[1:-1:2]] == [point["action"] for point in rail[:number]]


def test_vision_hides_the_present_landmark_and_tells_past_ones() -> None:
    walk = states(tasks.make("navigation", split="train", index=2, options=SMALL))
    rail = walk[0].meta["rail"]
    met = next(number for number, point in enumerate(rail) if "landmark" in point and point.get("intersection"))
    landmark = rail[met]["landmark"]
    present, later = (walk[number].prompt[0].text for number in (met, met + 1))
    assert f"O_{met + 1}: You observe an image of 4 views; You observe an intersection" in present
    assert f"O_{met + 1}: {landmark}; You observe an intersection" in later


def test_revision_keeps_one_picture_and_a_right_reply_begins_anew() -> None:
    example = tasks.make("navigation", split="train", index=3, options=SMALL)
    assert example.prompt[0].content[0] is IMAGE
    episode = Episode(TASK, example, verify_iterations=3)
    episode.step(TASK.wrong_reply(example, random.Random(0)))
    episode.step("nothing")
    assert [message.role for message in episode.messages] == ["user", "assistant", "user", "assistant", "user"]
    assert sum(message.num_images for message in episode.messages) == 1
    episode.step(TASK.solve(example))
    assert len(episode.messages) == 1 and episode.example.images[0].data != example.images[0].data


def test_pictures_are_two_tiles_and_a_line_wide() -> None:
    for pixels in (28, 60):
        example = tasks.make("navigation", split="train", index=0, options={**SMALL, "tile_pixels": pixels})
        assert example.images[0].data is not None
        assert Image.open(io.BytesIO(example.images[0].data)).size == (2 * pixels + 5,) * 2


def test_following_is_pure_and_works_on_what_a_file_keeps() -> None:
    example = tasks.make("navigation", split="validation", index=4, options=SMALL)
    first, second = TASK.following(example), TASK.following(stored(example))
    assert first == second and first is not None
    assert first.meta["split"] == "validation" and first.id == f"{example.id}@1"
    again = TASK.following(first)
    assert again is not None and again.id == f"{example.id}@2"


def test_start_any_draws_points_of_all_the_rail() -> None:
    points = [
        tasks.make("navigation", split="train", index=index, options={"start": "any", "num_legs": [2, 2]}).meta["point"]
        for index in range(60)
    ]
    assert {0, 1, 2, 3, 4} <= set(points)
    assert all(tasks.make("navigation", split="train", index=index).meta["point"] == 0 for index in range(10))


def test_rule_shift_changes_the_action_space_alone() -> None:
    plain = tasks.make("navigation", split="test", index=8)
    shifted = tasks.make("navigation", split="test", index=8, shift="rule")
    assert plain.meta["instructions"] == shifted.meta["instructions"]
    assert "northwest" in plain.prompt[0].text and "slightly left" in shifted.prompt[0].text.partition("[Action space]")[2]
    turns = {point["action"] for state in (shifted,) for point in state.meta["rail"]} - {"forward()", "stop()"}
    assert turns <= {f"turn_direction({word})" for word in ("left", "right", "slightly left", "slightly right")}


def test_visual_shift_shows_cities_that_training_never_does() -> None:
    seen = {
        shift: {
            tasks.make("navigation", split="train", index=index, shift=shift, options=SMALL).meta["view"]["style"] for index in range(20)
        }
        for shift in ("none", "visual")
    }
    assert len(seen["none"]) >= 2 and len(seen["visual"]) >= 2 and not seen["none"] & seen["visual"]


def test_one_city_and_another_style() -> None:
    example = tasks.make("navigation", split="train", index=0, options={**SMALL, "city": "ashford", "style": "frostgate"})
    assert example.meta["view"]["city"] == "ashford" and example.meta["view"]["style"] == "frostgate"


def test_number_of_legs() -> None:
    for legs in (1, 4, 12):
        example = tasks.make("navigation", split="train", index=0, options={"num_legs": [legs, legs]})
        assert len(example.meta["instructions"]) == 2 * legs


def test_no_route_is_in_two_splits() -> None:
    routes = {
        split: {tuple(tasks.make("navigation", split=split, index=index).meta["instructions"]) for index in range(60)}
        for split in tasks.SPLITS
    }
    assert not routes["train"] & routes["test"] and not routes["train"] & routes["validation"] and not routes["test"] & routes["validation"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"city": "atlantis"}, "atlantis"),
        ({"city": []}, "city"),
        ({"style": "gothic"}, "gothic"),
        ({"num_legs": [3, 2]}, "num_legs"),
        ({"num_legs": [0, 2]}, "num_legs"),
        ({"drop_rate": 2}, "drop_rate"),
        ({"images": "x"}, "images"),
        ({"turn_label": "official"}, "turn_labels"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        tasks.make("navigation", split="train", index=0, options=options)


def test_broken_meta_is_an_error_that_names_the_example() -> None:
    example = tasks.make("navigation", split="train", index=0)
    for broken in ({}, {"rail": 3, "point": 0}, {**example.meta, "rail": [{}]}, {**example.meta, "point": 999}):
        with pytest.raises(DataError, match=example.id):
            TASK.following(Example(id=example.id, task="navigation", prompt=example.prompt, meta=broken))


def test_same_examples_in_another_process() -> None:
    program = (
        "import hashlib\nfrom vlmpost import tasks\n"
        "for i in range(3):\n"
        "    e = tasks.make('navigation', split='test', index=i, options={'mode': 'vision', 'tile_pixels': 56})\n"
        "    print(hashlib.sha256(e.prompt[0].text.encode() + e.images[0].data + e.solution.encode()).hexdigest())\n"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"})
    ours = []
    for index in range(3):
        example = tasks.make("navigation", split="test", index=index, options={"mode": "vision", "tile_pixels": 56})
        assert example.images[0].data is not None and example.solution is not None
        ours.append(hashlib.sha256(example.prompt[0].text.encode() + example.images[0].data + example.solution.encode()).hexdigest())
    assert printed.stdout.split() == ours
