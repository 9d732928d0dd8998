"""What is written reads back as the same examples, and appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vlmpost import tasks
from vlmpost.config.schema import SourceConfig
from vlmpost.data import collect
from vlmpost.data.write import LAYOUTS, Layout, write
from vlmpost.errors import DataError, RunError
from vlmpost.records import IMAGE, Example, Message


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
