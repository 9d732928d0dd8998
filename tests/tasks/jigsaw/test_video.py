"""Video jigsaw: what grows in drawn videos orders the clips, and stored frames are shown as the rule says."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
from PIL import Image

from vlmpost.errors import DataError
from vlmpost.records import IMAGE, Example, ImageRef
from vlmpost.tasks.jigsaw.video import VideoJigsaw
from vlmpost.tasks.material import Item, Unsuitable
from vlmpost.tasks.scenes.processes import draw_process

Make = Callable[..., Example]
Arrays = Callable[[Example], list[numpy.ndarray]]


def clips_of(example: Example, arrays: Arrays) -> list[list[numpy.ndarray]]:
    frames = arrays(example)
    number = example.meta["k"]
    each = len(frames) // number
    return [frames[clip * each : (clip + 1) * each] for clip in range(number)]


def amounts(example: Example, arrays: Arrays) -> list[list[int]]:
    """How many pixels of each frame have the colour of what grows, by clips; of a candle, which shrinks, below zero."""
    meta = example.meta
    process = draw_process(meta["scene"]["seed"], tuple(meta["scene"]["size"]), num_frames=meta["num_frames"], frames_per_second=30)
    colour = numpy.array(process.subject if meta["palette"] == "natural" else [255 - part for part in process.subject])
    sign = -1 if process.kind == "candle" else 1
    return [[sign * int((numpy.abs(frame - colour).max(axis=-1) < 1).sum()) for frame in clip] for clip in clips_of(example, arrays)]


@pytest.mark.parametrize(
    "options",
    [{}, {"shift": "visual"}, {"trim": 0.1, "max_frames": 4}, {"num_clips": 3, "width": 84, "height": 84, "num_frames": 60}],
)
def test_what_grows_orders_the_clips_of_drawn_videos(options: dict, make: Make, arrays: Arrays) -> None:
    kinds = set()
    for index in range(8):
        example = make("video_jigsaw", index, **options)
        found = amounts(example, arrays)
        in_order = sorted(range(len(found)), key=lambda clip: found[clip][0])
        assert [clip + 1 for clip in in_order] == example.meta["order"], example.id
        flat = [amount for clip in in_order for amount in found[clip]]
        assert all(before < after for before, after in pairwise(flat)), "it never stands still or turns back"
        kinds.add(draw_process(example.meta["scene"]["seed"], (84, 84), num_frames=9, frames_per_second=1).kind)
    assert len(kinds) >= 2


def test_by_the_other_rule_the_latest_clip_comes_first(make: Make, arrays: Arrays) -> None:
    for index in range(3):
        example = make("video_jigsaw", index, shift="rule")
        found = amounts(example, arrays)
        assert [clip + 1 for clip in sorted(range(6), key=lambda clip: -found[clip][0])] == example.meta["order"]


def test_every_process_changes_the_picture_for_good() -> None:
    seen = set()
    for seed in range(24):
        process = draw_process(seed, (112, 84), num_frames=100, frames_per_second=10)
        counts = [int((numpy.asarray(process.frame(index)) == process.subject).all(axis=-1).sum()) for index in range(0, 100, 9)]
        signs = {numpy.sign(after - before) for before, after in pairwise(counts)}
        assert signs == {-1 if process.kind == "candle" else 1}, process.kind
        seen.add(process.kind)
    assert seen == {"candle", "clock", "plant", "tracks"}


def test_frames_of_a_clip_stand_together_in_the_prompt_in_time_order(make: Make) -> None:
    example = make("video_jigsaw", max_frames=4)
    content = example.prompt[0].content
    assert content[1:7] == ("Clip 1: ", IMAGE, IMAGE, IMAGE, IMAGE, "\n")
    assert example.num_image_slots == len(example.images) == 24
    assert all(frames == sorted(frames) and len(frames) == 4 for frames in example.meta["frames"])


# --- stored frames ---


def stored(tmp_path: Path, number: int, size: tuple[int, int] = (40, 30)) -> Item:
    """Frames whose grey is their number."""
    refs = []
    for index in range(number):
        encoded = io.BytesIO()
        Image.new("RGB", size, (index, index, index)).save(encoded, format="PNG")
        refs.append(ImageRef(data=encoded.getvalue()))
    return Item("frames", images=tuple(refs))


def posed(item: Item, **options: object) -> Example:
    task = VideoJigsaw()
    return task.make_on(item, digest="d" * 32, split="train", index=0, seed=0, options=task.options_of(options))


def test_a_folder_s_frames_are_those_of_the_rule(tmp_path: Path, arrays: Arrays) -> None:
    # 60 frames, 6 clips, 1/10 trimmed: [1, 9), [11, 19), ...; at 2 of 2 frames a second all 8 of a clip are shown.
    example = posed(stored(tmp_path, 60), trim=0.1)
    greys = [[int(frame[0, 0, 0]) for frame in clip] for clip in clips_of(example, arrays)]
    expected = [list(range(start, start + 8)) for start in (1, 11, 21, 31, 41, 51)]
    assert [greys[label - 1] for label in example.meta["order"]] == expected
    assert example.meta["frames"] == expected


def test_frames_with_too_many_pixels_are_scaled_down_in_shape(tmp_path: Path, arrays: Arrays) -> None:
    # 80 x 40 = 3200 pixels to 800: half of each side.
    example = posed(stored(tmp_path, 60, (80, 40)), trim=0.1, max_frame_pixels=800)
    assert {frame.shape for frame in arrays(example)} == {(20, 40, 3)}


def test_short_videos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsuitable, match="video too short: 59 frames"):
        posed(stored(tmp_path, 59), trim=0.1)
    with pytest.raises(Unsuitable, match=r"30\.0 seconds, at least 40"):
        posed(stored(tmp_path, 60), trim=0.1, min_seconds=40)


def test_a_frame_that_is_damaged_is_an_error_that_names_it(tmp_path: Path) -> None:
    whole = stored(tmp_path, 60)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    broken = Item("frames", images=(*whole.images[:11], ImageRef(path=str(tmp_path / "bad.png")), *whole.images[12:]))
    with pytest.raises(DataError, match=r"bad\.png"):
        posed(broken, trim=0.1)
