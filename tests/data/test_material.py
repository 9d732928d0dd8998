"""Tasks on stored pictures, videos and RGB-D frames: folders and rows, splits, what is left out and why."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
from collections import Counter
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from vlmpost.config.schema import DataConfig, SourceConfig
from vlmpost.data import Ledger, build, collect
from vlmpost.data.material import examples_on
from vlmpost.errors import ConfigError, DataError
from vlmpost.records import Example
from vlmpost.tasks.jigsaw.image import restored
from vlmpost.tasks.task import split_of

SMALL = {"rows": 2, "cols": 2, "min_tile_pixels": 8}


def noise(seed: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    return Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * size[0] * size[1]))


def album(folder: Path, number: int, size: tuple[int, int] = (40, 32)) -> Path:
    folder.mkdir(parents=True)
    for index in range(number):
        noise(index, size).save(folder / f"{index}.png")
    return folder


def posed(path: Path, *, task: str = "image_jigsaw", options: dict | None = None, **keys: object) -> tuple[list[Example], Ledger]:
    chosen = SMALL if options is None and task == "image_jigsaw" else options or {}
    return collect([SourceConfig(task=task, path=str(path), options=chosen, **keys)], base_dir=None)


def split_by_bytes(path: Path) -> str:
    return split_of(hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest())


def test_each_picture_of_a_folder_gives_one_puzzle_of_its_split(tmp_path: Path) -> None:
    folder = album(tmp_path / "album", 40)
    names = {path.name: split_by_bytes(path) for path in folder.iterdir()}
    found = {split: posed(folder, split=split)[0] for split in ("train", "validation", "test")}
    for split, examples in found.items():
        assert sorted(str(example.meta["row"]) for example in examples) == sorted(name for name in names if names[name] == split)
        for example in examples:
            assert restored(example).tobytes() == Image.open(folder / str(example.meta["row"])).tobytes()
    assert sum(map(len, found.values())) == 40
    in_order = [name for name in sorted(names, key=lambda name: int(name[:-4])) if names[name] == "train"]
    assert [example.meta["row"] for example in found["train"]] == in_order  # 2.png before 10.png


def test_a_copy_of_a_picture_under_another_name_is_in_the_same_split(tmp_path: Path) -> None:
    folder = album(tmp_path / "album", 12)
    for path in list(folder.iterdir()):
        (folder / f"copy-{path.name}").write_bytes(path.read_bytes())
    seen = {split: {example.meta["content_hash"] for example in posed(folder, split=split)[0]} for split in ("train", "validation", "test")}
    assert sum(map(len, seen.values())) == 12
    assert not seen["train"] & seen["validation"] | seen["train"] & seen["test"] | seen["validation"] & seen["test"]


def test_more_examples_than_pictures_go_round_with_new_permutations(tmp_path: Path) -> None:
    folder = album(tmp_path / "train", 5).parent
    examples, ledger = posed(folder, num_examples=60)
    assert [example.meta["row"] for example in examples] == [f"{index % 5}.png" for index in range(60)]
    assert len({example.id for example in examples}) == 60
    assert len({tuple(example.meta["order"]) for example in examples if example.meta["row"] == "0.png"}) >= 6  # 12 draws of 24
    assert not ledger.notes and not ledger.drops
    again, _ = posed(folder, num_examples=60)
    assert again == examples
    other, _ = posed(folder, num_examples=60, seed=1)
    assert [example.meta["order"] for example in other] != [example.meta["order"] for example in examples]
    fewer, _ = posed(folder, num_examples=3)
    assert fewer == examples[:3]


def test_folders_named_like_splits_are_the_splits(tmp_path: Path) -> None:
    album(tmp_path / "train", 3)
    album(tmp_path / "val" / "deeper", 2)
    assert len(posed(tmp_path)[0]) == 3
    assert [example.meta["row"] for example in posed(tmp_path, split="val")[0]] == ["deeper/0.png", "deeper/1.png"]
    with pytest.raises(DataError, match="it has the splits train, val; there is no split 'test'"):
        posed(tmp_path, split="test")


def test_pictures_that_do_not_do_are_dropped_once_and_counted(tmp_path: Path) -> None:
    folder = album(tmp_path / "train", 3)
    noise(9, (200, 60)).save(folder / "flat.png")
    Image.new("RGB", (100, 100), "white").save(folder / "white.png")
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    examples, ledger = posed(tmp_path, num_examples=12, options={"rows": 3, "cols": 2, "min_tile_pixels": 10})
    assert len(examples) == 12  # 40 x 32 in 3 rows of 10 pixels
    assert {reason: [drop.id for drop in drops] for reason, drops in ledger.by_reason().items()} == {
        "image cannot be opened": ["torn.png"],
        "two tiles are equal": ["white.png"],
    }
    _, ledger = posed(tmp_path, options={})  # 3 x 3 of 28 pixels: at least 84 x 84
    assert Counter(drop.reason for drop in ledger.drops) == {
        "picture too small for its tiles": 4,
        "image cannot be opened": 1,
        "two tiles are equal": 1,
    }
    with pytest.raises(DataError, match="None of the 6 rows"):
        build([SourceConfig(task="image_jigsaw", path=str(tmp_path))], data=DataConfig(train=[SourceConfig(path="x")]), base_dir=None)


def test_a_link_out_of_the_folder_is_not_followed_unless_allowed(tmp_path: Path) -> None:
    outside = album(tmp_path / "outside", 1)
    folder = album(tmp_path / "inside" / "train", 1).parent
    os.symlink(outside / "0.png", folder / "train" / "link.png")
    examples, ledger = posed(folder)
    assert len(examples) == 1
    assert [drop.reason for drop in ledger.drops] == ["image outside the root folder"]
    assert len(posed(folder, allow_outside_root=True)[0]) == 2


def rows_file(folder: Path, rows: list[dict], name: str = "rows.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def test_pictures_named_in_rows_are_items(tmp_path: Path) -> None:
    album(tmp_path / "images", 4)
    path = rows_file(
        tmp_path,
        [
            {"image": "images/0.png", "caption": "noise"},
            {"images": ["images/1.png", "images/2.png"]},
            {"images": [{"path": ["images/3.png"], "jigsaw_config": [3, 3], "resize_size": [0, 0]}]},
            {"image": "images/none.png"},
            {"image": "../secret.png"},
            {"image": "https://example.com/a.png"},
            {"text": "no picture"},
        ],
    )
    examples, ledger = [], Ledger()
    for split in ("train", "validation", "test"):
        try:
            found, ledger = posed(path, split=split)
        except DataError:
            continue
        examples += found
    assert sorted(str(example.meta["row"]) for example in examples) == [
        "rows.jsonl:1",
        "rows.jsonl:2 #1",
        "rows.jsonl:2 #2",
        "rows.jsonl:3",
    ]
    assert [(drop.reason, drop.id) for drop in ledger.drops] == [
        ("image not found", "rows.jsonl:4"),
        ("image outside the root folder", "rows.jsonl:5"),
        ("image is a URL", "rows.jsonl:6"),
        ("no column of images", "rows.jsonl:7"),
    ]


def test_embedded_pictures_of_parquet_and_renamed_columns_are_items(tmp_path: Path) -> None:
    encoded = io.BytesIO()
    noise(1).save(encoded, format="PNG")
    table = pyarrow.table({"photo": [{"bytes": encoded.getvalue(), "path": None}] * 2})
    for split in ("train", "test"):
        pyarrow.parquet.write_table(table, tmp_path / f"{split}.parquet")
    examples, _ = posed(tmp_path, columns={"image": "photo"}, split="test")  # splits of its own: not by hash
    assert [restored(example).tobytes() for example in examples] == [noise(1).tobytes()] * 2
    with pytest.raises(DataError, match="columns renames foto, which no row has"):
        posed(tmp_path, columns={"image": "foto"})


# --- videos ---


def frames_folder(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True)
    for index in range(number):
        Image.new("RGB", (32, 28), (index, index, index)).save(folder / f"{index}.png")
    return folder


def first_greys(example: Example) -> list[int]:
    """The grey of the first frame of each clip in the order of the answer."""
    greys = [int(numpy.asarray(Image.open(io.BytesIO(ref.data or b"")))[0, 0, 0]) for ref in example.images]
    each = len(greys) // example.meta["k"]
    return [greys[(label - 1) * each] for label in example.meta["order"]]


def test_folders_of_frames_and_video_files_are_videos(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    frames_folder(tmp_path / "train" / "walk", 60)
    frames_folder(tmp_path / "train" / "single", 1)
    (tmp_path / "train" / "broken.mp4").write_bytes(b"no video")
    with av.open(str(tmp_path / "train" / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=2)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 20_000_000
        for index in range(60):
            picture = numpy.full((48, 64, 3), 4 * index, dtype=numpy.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    examples, ledger = posed(tmp_path, task="video_jigsaw", options={"trim": 0.1})
    by_row = {example.meta["row"]: example for example in examples}
    assert set(by_row) == {"walk", "film.mp4"}
    assert first_greys(by_row["walk"]) == [1, 11, 21, 31, 41, 51]
    assert first_greys(by_row["film.mp4"]) == pytest.approx([4, 44, 84, 124, 164, 204], abs=2)
    assert [(drop.reason, drop.id) for drop in ledger.drops] == [("video cannot be read", "broken.mp4")]


def test_videos_named_in_rows_are_items(tmp_path: Path) -> None:
    frames_folder(tmp_path / "walk", 60)
    rows = [
        {"video": "walk"},
        {"videos": [{"path": "walk", "jigsaw_clip_num": 6}]},
        {"frames": [f"walk/{index}.png" for index in range(60)]},
        {"video": "none.mp4"},
        {"video": "../elsewhere"},
        {"video": 7},
    ]
    rows_file(tmp_path, rows, "train.jsonl")
    rows_file(tmp_path, rows[:1], "test.jsonl")
    examples, ledger = posed(tmp_path, task="video_jigsaw", options={"trim": 0.1})
    assert [example.meta["row"] for example in examples] == ["train.jsonl:1", "train.jsonl:2", "train.jsonl:3"]
    assert all(first_greys(example) == [1, 11, 21, 31, 41, 51] for example in examples)
    assert [drop.reason for drop in ledger.drops] == ["video not found", "video outside the root folder", "video value not understood"]
    (tmp_path / "rows").mkdir()
    path = rows_file(tmp_path / "rows", [{"video": "../walk"}])
    content = b"".join((tmp_path / "walk" / f"{index}.png").read_bytes() for index in range(60))
    split = split_of(hashlib.blake2b(content, digest_size=16).hexdigest())
    (example,), _ = posed(path, task="video_jigsaw", options={"trim": 0.1}, allow_outside_root=True, split=split)
    assert first_greys(example) == [1, 11, 21, 31, 41, 51]


# --- RGB-D ---


def test_pictures_with_depth_maps_are_found_by_both_conventions(tmp_path: Path) -> None:
    slope = numpy.tile(numpy.arange(320, dtype=numpy.uint16) * 10 + 500, (240, 1))
    folder = tmp_path / "train"
    for name in ("color", "depth", "flat"):
        (folder / name).mkdir(parents=True)
    noise(0, (320, 240)).save(folder / "color" / "10.jpg")
    Image.fromarray(slope).save(folder / "depth" / "10.png")
    noise(1, (320, 240)).save(folder / "flat" / "a.png")
    numpy.save(folder / "flat" / "a_depth.npy", slope / 1000)
    noise(2, (320, 240)).save(folder / "flat" / "b.png")
    noise(3, (320, 240)).save(folder / "flat" / "c.png")
    Image.fromarray(numpy.full((240, 320), 900, dtype=numpy.uint16)).save(folder / "flat" / "c_depth.png")
    examples, ledger = posed(tmp_path, task="depth_jigsaw", num_examples=4)
    assert [example.meta["row"] for example in examples] == ["color/10.jpg", "flat/a.png"] * 2
    for example in examples:
        assert [(col * 10 + 500) / 1000 for _, col in example.meta["points"]] == pytest.approx(example.meta["depths_metres"], abs=1e-4)
    assert [(drop.reason, drop.id) for drop in ledger.drops] == [
        ("no depth map", "flat/b.png"),
        ("too few points far enough apart", "flat/c.png"),
    ]


def test_rows_bring_a_depth_map_or_their_points(tmp_path: Path) -> None:
    noise(0, (320, 240)).save(tmp_path / "a.png")
    numpy.save(tmp_path / "a.npy", numpy.tile(numpy.linspace(1, 4, 320), (240, 1)))
    points = [[50, 60], [60, 200], [200, 90]]
    rows = [
        {"image": "a.png", "depth": "a.npy"},
        {"image": "a.png", "points": points},
        {"images": [{"path": "a.png", "points": points, "resize_size": [644, 476]}]},
        {"image": "a.png"},
        {"image": "a.png", "points": [[1, "2"]]},
        {"image": "a.png", "depth": "../a.npy"},
    ]
    rows_file(tmp_path, rows, "train.jsonl")
    rows_file(tmp_path, rows[:1], "test.jsonl")
    examples, ledger = posed(tmp_path, task="depth_jigsaw")
    assert [example.meta["k"] for example in examples] == [6, 3, 3]
    assert [example.meta["points"] for example in examples[1:]] == [points, points]
    assert [drop.reason for drop in ledger.drops] == ["no depth map", "points not understood", "depth map outside the root folder"]


# --- what cannot be ---


def test_solutions_shifts_and_options_reach_the_task(tmp_path: Path) -> None:
    folder = album(tmp_path / "train", 1).parent
    (example,), _ = posed(folder, shift="rule", solutions="reasoned", options={**SMALL, "answer_form": "boxed"})
    assert "column by column" in example.prompt[0].text and example.meta["shift"] == "rule"
    assert str(example.solution).count("belongs in row") == 4 and "\\boxed{" in str(example.solution)


def test_faults_of_the_source_are_said(tmp_path: Path) -> None:
    folder = album(tmp_path / "album", 1)
    (tmp_path / "empty").mkdir()
    wrong = {"train": "test", "validation": "train", "test": "train"}[split_by_bytes(folder / "0.png")]
    with pytest.raises(ConfigError, match=r"counting' draws its own pictures.*depth_jigsaw, image_jigsaw, video_jigsaw"):
        posed(folder, task="counting", options={})
    with pytest.raises(ConfigError, match="has no difficulties"):
        posed(folder, difficulties=[1])
    with pytest.raises(ConfigError, match="did you mean rows"):
        posed(folder, options={"row": 2})
    with pytest.raises(ConfigError, match="split 'dev' must be one of train, validation, test"):
        posed(folder, split="dev")
    with pytest.raises(DataError, match=f"none of the 1 items is in split '{wrong}'"):
        posed(folder, split=wrong)
    for task in ("image_jigsaw", "video_jigsaw", "depth_jigsaw"):
        with pytest.raises(DataError, match="here"):
            posed(tmp_path / "empty", task=task, options={})
    with pytest.raises(DataError, match="no such file or folder"):
        posed(tmp_path / "none")


def test_examples_come_one_at_a_time(tmp_path: Path) -> None:
    folder = album(tmp_path / "train", 3)
    (folder / "9.png").write_bytes(b"torn")
    ledger = Ledger()
    stream = examples_on(SourceConfig(task="image_jigsaw", path=str(tmp_path), options=SMALL), base_dir=None, ledger=ledger)
    assert next(stream).meta["row"] == "0.png"
    assert not ledger.drops  # the torn one has not been looked at
    assert len(list(stream)) == 2 and len(ledger.drops) == 1
