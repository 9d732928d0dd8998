"""What is written reads back as the same examples, and appears whole or not at all."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost import jsonl, tasks
from vlmpost.config.schema import SourceConfig
from vlmpost.data import collect
from vlmpost.data.normalise import example_of
from vlmpost.data.readers import StoredRow
from vlmpost.data.shapes import shape_of
from vlmpost.data.write import LAYOUTS, Layout, row_of, write
from vlmpost.errors import DataError, RunError
from vlmpost.records import IMAGE, Example, ImageRef, Message, Part


def drawn(number: int = 6) -> list[Example]:
    return [*tasks.stream("counting", split="train", seed=1, num_examples=number, difficulties=[1, 2])]


def special() -> list[Example]:
    """Two images, a choice, an own level, several turns, no image, no solution."""
    first, second = drawn(2)
    both = replace(first, id="both/of them", images=first.images + second.images, prompt=(Message("user", (IMAGE, IMAGE, "Equal?", " x")),))
    turns = (Message("system", ("Short.",)), Message("user", (IMAGE, "Hi")), Message("assistant", ("Yes",)), Message("user", ("Why?",)))
    choice = replace(second, id="c", prompt=turns, answer="B", answer_type="choice", choices=("1", "2"), level=4)
    return [
        replace(both, prompt=(Message("user", (IMAGE, IMAGE, "Equal?")),)),
        choice,
        replace(first, id="t", images=(), prompt=(Message("user", ("Hm?",)),), solution=None),
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("examples", [drawn(), special()], ids=["drawn", "special"])
def test_every_layout_reads_back_as_the_same_examples(layout: Layout, examples: list[Example], tmp_path: Path) -> None:
    path, number = write(examples, tmp_path / "out", layout=layout, split="train")
    assert (number, path.parent) == (len(examples), tmp_path / "out")
    found, ledger = collect([SourceConfig(path="out", split="train")], base_dir=tmp_path)
    assert (ledger.drops, ledger.notes) == ([], [])
    for one, other in zip(found, examples, strict=True):
        read = [Path(str(ref.path)).read_bytes() for ref in one.images]
        assert read == [ref.data for ref in other.images]
        meta = {key: value for key, value in one.meta.items() if key != "row"}
        assert replace(one, images=other.images, meta=meta) == replace(other, meta=dict(other.meta))


def in_several_turns() -> list[Example]:
    """Revision trajectories: replies and messages in the prompt, with two images, one and none, marks and breaks in the texts."""
    first, second = drawn(2)
    asked = Message("user", ("Look:\n", IMAGE, " and ", IMAGE, "\nSame?\n"))
    turns = (Message("assistant", ('{"formula": "1+1",}\n',)), Message("user", ("No: 1+1 is not 24.\n\nAgain.",)))
    return [
        replace(first, id="two", images=first.images + second.images, prompt=(asked, *turns, *turns), solution="yes"),
        replace(first, id="one", prompt=(*first.prompt, *turns), solution=" yes\n"),
        replace(
            first, id="none", images=(), prompt=(Message("user", ("Hm?",)), *turns), meta={"cards": ["A", "10"], "empty": [], "no": None}
        ),
        replace(first, id="break", prompt=(Message("user", (IMAGE, "\n\nSame?")), *turns)),
        replace(first, id="unsolved", prompt=(*first.prompt, *turns), solution=None),
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_prompt_of_several_turns_reads_back_in_every_layout(layout: Layout, tmp_path: Path) -> None:
    examples = in_several_turns()
    write(examples, tmp_path / "out", layout=layout, split="train")
    found, ledger = collect([SourceConfig(path="out", split="train")], base_dir=tmp_path)
    assert (ledger.drops, ledger.notes) == ([], [])
    for one, other in zip(found, examples, strict=True):
        assert (one.id, one.prompt, one.solution, len(one.images)) == (other.id, other.prompt, other.solution, len(other.images))
        assert {key: value for key, value in one.meta.items() if key != "row"} == other.meta


TURN = st.lists(st.one_of(st.just(IMAGE), st.text("ab\n ", min_size=1, max_size=4)), min_size=1, max_size=5)


@given(st.lists(TURN, min_size=1, max_size=3), st.sampled_from(LAYOUTS))
def test_texts_and_images_in_any_order_read_back_to_the_character(turns: list[list[Part]], layout: Layout) -> None:
    merged = [
        tuple(part for key, group in itertools.groupby(turn, type) for part in (group if key is not str else ["".join(group)]))
        for turn in turns
    ]
    prompt = [*(Message("user", turn) for turn in merged), Message("assistant", ("No.",)), Message("user", ("Why?",))]
    example = Example("x", "counting", tuple(prompt), images=(ImageRef(data=b"\x89PNG"),) * sum(message.num_images for message in prompt))
    row = row_of(example, ["data:image/png;base64,iVBORw0KGgo="] * len(example.images), layout=layout)
    stored = StoredRow(json.loads(jsonl.dump(row)), "rows.jsonl:1", Path())
    found, _ = example_of(stored, shape=str(shape_of(stored.values)), name="x", columns={}, image_root=None, allow_outside_root=False)
    assert found.prompt == example.prompt


def test_llava_rows_name_one_image_several_or_none() -> None:
    two, one, none, *_ = in_several_turns()
    rows = [row_of(example, ["a.png", "b.png"][: len(example.images)], layout="llava") for example in (two, one, none)]
    assert [row.get("image", "no key") for row in rows] == [["a.png", "b.png"], "a.png", "no key"]
    assert rows[1]["conversations"] == [
        {"from": "human", "value": f"<image>\n{one.prompt[0].text}"},
        {"from": "gpt", "value": '{"formula": "1+1",}\n'},
        {"from": "human", "value": "No: 1+1 is not 24.\n\nAgain."},
        {"from": "gpt", "value": " yes\n"},
    ]


def test_a_card_stands_in_the_folder_and_is_no_data(tmp_path: Path) -> None:
    write(drawn(2), tmp_path / "out", layout="jsonl", split="train", card="# Made\n")
    assert (tmp_path / "out" / "README.md").read_text() == "# Made\n"
    assert len(collect([SourceConfig(path="out", split="train")], base_dir=tmp_path)[0]) == 2


def test_an_existing_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(RunError, match="out exists already"):
        write(drawn(1), tmp_path / "out", layout="jsonl", split="train")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_failure_half_way_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[Example]:
        yield from drawn(2)
        raise DataError("stop")

    with pytest.raises(DataError, match="stop"):
        write(failing(), tmp_path / "out", layout="jsonl", split="train")
    with pytest.raises(DataError, match="no examples to write"):
        write([], tmp_path / "out", layout="jsonl", split="train")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match=r"out: cannot be written \(No space left on device\)"):
        write(drawn(1), tmp_path / "out", layout="jsonl", split="train")
    assert list(tmp_path.iterdir()) == []
