"""Every container gives the same rows; the real rows of MathVision and PuzzleVQA in each layout."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmpost.data import Ledger
from vlmpost.data.markers import NOTE_FIRST, NOTE_MERGED
from vlmpost.data.normalise import content_of
from vlmpost.errors import DataError
from vlmpost.media.images import open_image
from vlmpost.records import IMAGE, Example

Read = Callable[..., tuple[list[Example], Ledger]]


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def mathvision(fixtures: Path) -> Path:
    return fixtures / "mathvision" / "test.jsonl"


@pytest.fixture
def hub_rows(mathvision: Path) -> list[dict[str, object]]:
    """The MathVision rows with their images inside, as in the hub's Parquet files."""
    rows = rows_of(mathvision)
    for row in rows:
        data = (mathvision.parent / str(row["image"])).read_bytes()
        row["decoded_image"] = {"bytes": data, "path": Path(str(row["image"])).name}
    return rows


def encoded(examples: list[Example]) -> list[list[bytes]]:
    return [[ref.data if ref.data is not None else Path(str(ref.path)).read_bytes() for ref in example.images] for example in examples]


def assert_same(found: list[Example], expected: list[Example], *, solutions: bool = True) -> None:
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        parts = (one.id, one.prompt, one.answer, one.answer_type, one.choices)
        assert parts == (other.id, other.prompt, other.answer, other.answer_type, other.choices)
        assert not solutions or one.solution == other.solution
    assert encoded(found) == encoded(expected)


def test_real_mathvision_rows_are_all_kept_with_what_their_markers_mean(mathvision: Path, read_path: Read) -> None:
    examples, ledger = read_path(mathvision)
    by_id = {example.id: example for example in examples}
    assert (ledger.num_kept, ledger.num_dropped) == (5, 0)
    assert [(note.id, note.text) for note in ledger.notes] == [("69", NOTE_MERGED)]
    assert by_id["69"].prompt[0].num_images == 1
    assert "image 2\nShe wants to make 7 identical crowns:\nimage 3" in by_id["69"].prompt[0].text
    assert {key: (by_id[key].answer, by_id[key].answer_type) for key in by_id} == {
        "69": ("9", "number"),
        "122": ("D", "choice"),
        "397": ("3", "number"),
        "1926": ("B", "choice"),
        "2850": (r"\frac{\sqrt{130}}{13}", "latex"),
    }
    assert by_id["122"].prompt[0].content[-1] is IMAGE
    assert by_id["1926"].prompt[0].text.endswith("\n(E) $100 \\%$")
    assert by_id["2850"].solution is not None and by_id["397"].solution is None
    assert by_id["1926"].level is None and by_id["1926"].meta["level"] == 4


def test_real_puzzlevqa_answers_become_letters(fixtures: Path, read_path: Read) -> None:
    examples, ledger = read_path(fixtures / "puzzlevqa" / "test.jsonl")
    assert [(example.answer, example.choices) for example in examples] == [
        ("A", ("blue", "green", "orange", "red")),
        ("B", ("blue", "green", "purple", "red")),
        ("A", ("large", "medium", "small")),
    ]
    assert {note.text for note in ledger.notes} == {NOTE_FIRST}
    assert all(open_image(example.images[0]).mode == "RGB" for example in examples)


@pytest.mark.parametrize("layout", ["list", "data", "by id"])
def test_json_in_every_form_is_the_same(layout: str, mathvision: Path, tmp_path: Path, read_path: Read) -> None:
    rows = rows_of(mathvision)
    content: object = {"list": rows, "data": {"data": rows}, "by id": {str(row.pop("id")): row for row in rows_of(mathvision)}}[layout]
    (tmp_path / "test.json").write_text(json.dumps(content))
    found, _ = read_path(tmp_path / "test.json", image_root=str(mathvision.parent))
    assert_same(found, read_path(mathvision)[0])


@pytest.mark.parametrize("content", ["3", '"x"', "[1, 2]", '{"a": 1}', "[{]"])
def test_json_that_holds_no_rows_is_refused(content: str, tmp_path: Path, read_path: Read) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=r"x\.json"):
        read_path(tmp_path / "x.json")


@pytest.mark.parametrize("place", ["file", "data/test-*", "test-*", "alone"])
def test_parquet_in_the_hub_layout_is_the_same(
    place: str, hub_rows: list[dict[str, object]], mathvision: Path, tmp_path: Path, read_path: Read
) -> None:
    import pyarrow
    import pyarrow.parquet

    names = {
        "file": ["x.parquet"],
        "data/test-*": [f"data/test-0000{part}-of-00002.parquet" for part in (0, 1)],
        "test-*": ["test-00000-of-00001.parquet"],
        "alone": ["other.parquet"],
    }[place]
    size = -(-len(hub_rows) // len(names))
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(hub_rows[number * size : (number + 1) * size]), tmp_path / name)
    found, ledger = read_path(tmp_path / "x.parquet" if place == "file" else tmp_path, split="test")
    assert_same(found, read_path(mathvision)[0])
    assert ledger.num_dropped == 0


def test_a_missing_shard_is_refused(hub_rows: list[dict[str, object]], tmp_path: Path, read_path: Read) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(hub_rows), tmp_path / "test-00000-of-00003.parquet")
    with pytest.raises(DataError, match="1 of 3 shards are there"):
        read_path(tmp_path, split="test")


@pytest.mark.parametrize("kind", ["binary", "text"])
def test_parquet_images_may_be_bytes_or_paths(kind: str, tmp_path: Path, read_path: Read, drawn: Callable[..., bytes]) -> None:
    import pyarrow
    import pyarrow.parquet

    (tmp_path / "a.png").write_bytes(drawn())
    image: object = drawn() if kind == "binary" else "a.png"
    rows = [{"problem": "<image>?", "answer": "1", "images": [image]}, {"problem": "?", "answer": "1", "images": []}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x.parquet")
    examples, ledger = read_path(tmp_path / "x.parquet")
    assert (encoded(examples), ledger.num_dropped) == ([[drawn()], []], 0)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path, read_path: Read) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_path(tmp_path / "x.parquet")


def test_a_vlmevalkit_table_is_the_same(hub_rows: list[dict[str, object]], mathvision: Path, tmp_path: Path, read_path: Read) -> None:
    with open(tmp_path / "MathVision.tsv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writerow(["index", "image", "question", "choices", "answer", "category"])
        for row in hub_rows:
            image = base64.b64encode(row["decoded_image"]["bytes"]).decode()  # type: ignore[index]
            writer.writerow([row["id"], image, row["question"], str(row["options"]), row["answer"], row["subject"]])
    assert_same(read_path(tmp_path / "MathVision.tsv")[0], read_path(mathvision)[0], solutions=False)


@pytest.mark.parametrize("splits", [True, False])
def test_a_saved_datasets_folder_is_the_same_and_stays_encoded(
    splits: bool, hub_rows: list[dict[str, object]], mathvision: Path, tmp_path: Path, read_path: Read
) -> None:
    import datasets

    stored = datasets.Dataset.from_list(hub_rows).cast_column("decoded_image", datasets.Image())
    (datasets.DatasetDict({"test": stored}) if splits else stored).save_to_disk(str(tmp_path / "saved"))
    assert_same(read_path(tmp_path / "saved", split="test")[0], read_path(mathvision)[0])
    if splits:
        with pytest.raises(DataError, match=r"no split 'train'\. There are test"):
            read_path(tmp_path / "saved", split="train")


def test_a_hub_id_is_loaded_with_its_subset_and_split(
    hub_rows: list[dict[str, object]], mathvision: Path, tmp_path: Path, read_path: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    asked: list[tuple[object, ...]] = []

    def load_dataset(name: str, subset: str | None, *, split: str) -> datasets.Dataset:
        asked.append((name, subset, split))
        return datasets.Dataset.from_list(hub_rows).cast_column("decoded_image", datasets.Image())

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.chdir(tmp_path)
    assert_same(read_path(Path("MathLLMs/MathVision"), split="testmini")[0], read_path(mathvision)[0])
    read_path("MMMU/MMMU:Art", split="dev")  # type: ignore[arg-type]
    assert asked == [("MathLLMs/MathVision", None, "testmini"), ("MMMU/MMMU", "Art", "dev")]


def test_a_hub_id_that_cannot_be_loaded_is_one_sentence(read_path: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fail(*args: object, **kwargs: object) -> None:
        raise ConnectionError("Couldn't reach 'a/b' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=r"a/b: no such file or folder .*, and as a hub dataset it cannot be loaded: Couldn't reach"):
        read_path("a/b")  # type: ignore[arg-type]


def test_subfolders_of_images_are_the_answers(tmp_path: Path, read_path: Read, drawn: Callable[..., bytes]) -> None:
    for name in ("train/cat/1.png", "train/dog/2.png", "test/cat/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(drawn())
    examples, _ = read_path(tmp_path, split="train")
    assert [(example.id, example.answer, example.choices) for example in examples] == [
        ("cat/1.png", "A", ("cat", "dog")),
        ("dog/2.png", "B", ("cat", "dog")),
    ]
    assert examples[0].prompt[0].content == (IMAGE, "What does the image show?\n(A) cat\n(B) dog")


def test_an_image_folder_may_have_its_rows_in_metadata(tmp_path: Path, read_path: Read, drawn: Callable[..., bytes]) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "1.png").write_bytes(drawn())
    (tmp_path / "train" / "metadata.jsonl").write_text(json.dumps({"file_name": "1.png", "question": "What?", "answer": "cat"}))
    examples, _ = read_path(tmp_path, split="train")
    assert (examples[0].answer, encoded(examples)) == ("cat", [[drawn()]])


def test_a_folder_takes_the_file_named_like_the_split(tmp_path: Path, read_path: Read) -> None:
    (tmp_path / "train.jsonl").write_text('{"prompt": "a"}\n')
    (tmp_path / "test.jsonl").write_text('{"prompt": "b"}\n')
    assert read_path(tmp_path, split="test")[0][0].prompt[0].text == "b"
    with pytest.raises(DataError, match=r"no data for split 'dev' here.*found test\.jsonl, train\.jsonl"):
        read_path(tmp_path, split="dev")
    (tmp_path / "test.tsv").write_text("index\tquestion\n1\tb\n")
    with pytest.raises(DataError, match=r"split 'test' is there as \.jsonl, \.tsv"):
        read_path(tmp_path, split="test")


def test_what_does_not_exist_or_is_not_read_is_said(tmp_path: Path, read_path: Read) -> None:
    with pytest.raises(DataError, match="there is no such file or folder"):
        read_path(tmp_path / "gone.jsonl")
    (tmp_path / "rows.pkl").write_bytes(b"\x80\x04N.")
    with pytest.raises(DataError, match=r"files of kind \.pkl are not read\. Known: \.json, \.jsonl, \.parquet, \.tsv"):
        read_path(tmp_path / "rows.pkl")


def test_the_same_content_is_found_whatever_the_id(mathvision: Path, read_path: Read) -> None:
    examples, _ = read_path(mathvision)
    assert len({repr(content_of(example)) for example in examples}) == 5
