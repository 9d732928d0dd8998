"""Which frames a clip holds, and which of them are shown."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.tasks.jigsaw.clips import clip_ranges, frame_indices
from vlmpost.tasks.material import Unsuitable


@pytest.mark.parametrize(
    ("num_frames", "num_clips", "trim", "ranges"),
    [
        (720, 6, 0.1, [(12, 108), (132, 228), (252, 348), (372, 468), (492, 588), (612, 708)]),
        (725, 6, 0.1, [(17, 113), (137, 233), (257, 353), (377, 473), (497, 593), (617, 713)]),
        (779, 6, 0.1, [(71, 167), (191, 287), (311, 407), (431, 527), (551, 647), (671, 767)]),
        (720, 6, 0.05, [(6, 114), (126, 234), (246, 354), (366, 474), (486, 594), (606, 714)]),
        (300, 4, 0.1, [(27, 83), (97, 153), (167, 223), (237, 293)]),
        (60, 6, 0.1, [(1, 9), (11, 19), (21, 29), (31, 39), (41, 49), (51, 59)]),
        (7, 3, 0.0, [(1, 3), (3, 5), (5, 7)]),  # 0 is 0/1: 7 mod 3 = 1 frame is dropped from the start
        (25, 1, 0.1, [(2, 23)]),  # one clip: nothing is dropped, 25 // 10 = 2 frames at each end
    ],
)
def test_ranges_are_those_of_the_released_code(num_frames: int, num_clips: int, trim: float, ranges: list) -> None:
    assert clip_ranges(num_frames, num_clips, trim) == ranges


@pytest.mark.parametrize(("num_frames", "num_clips", "trim"), [(59, 6, 0.1), (119, 6, 0.05), (0, 2, 0.0), (5, 6, 0.0)])
def test_a_video_of_which_nothing_is_left_is_refused(num_frames: int, num_clips: int, trim: float) -> None:
    with pytest.raises(Unsuitable, match="video too short"):
        clip_ranges(num_frames, num_clips, trim)


@given(st.integers(1, 5000), st.integers(2, 12), st.sampled_from([0.0, 0.05, 0.1, 0.25, 1 / 3, 0.45]))
def test_clips_are_of_one_length_in_order_and_inside_the_video(num_frames: int, num_clips: int, trim: float) -> None:
    try:
        ranges = clip_ranges(num_frames, num_clips, trim)
    except Unsuitable:
        return
    assert len({end - start for start, end in ranges}) == 1
    assert ranges[0][0] >= 0 and ranges[-1][1] <= num_frames
    assert all(before[1] <= after[0] for before, after in pairwise(ranges))


@pytest.mark.parametrize(
    ("clip", "video_fps", "fps", "least", "most", "shown"),
    [
        # 96 frames at 30 fps are 3.2 s: 6.4 frames at 2 fps, 6 of them, even; 95 / 5 = 19 apart.
        ((12, 108), 30, 2, 2, 12, [12, 31, 50, 69, 88, 107]),
        # 96 frames at 4 fps are 24 s: 48 frames, at most 12; 95 / 11 = 8.636 apart.
        ((0, 96), 4, 2, 2, 12, [0, 9, 17, 26, 35, 43, 52, 60, 69, 78, 86, 95]),
        # 8 frames at 30 fps: 0.53 frames, at least 2.
        ((1, 9), 30, 2, 2, 16, [1, 8]),
        # At least 3 is 4 when made even; 7 / 3 = 2.333 apart.
        ((0, 8), 30, 2, 3, 16, [0, 2, 5, 7]),
        # At most the 5 that there are, made even: 4; 4 / 3 = 1.333 apart.
        ((10, 15), 1, 2, 2, 16, [10, 11, 13, 14]),
        # At most 7, made even: 6.
        ((0, 11), 1, 2, 2, 7, [0, 2, 4, 6, 8, 10]),
    ],
)
def test_frames_are_spread_evenly_and_of_even_number(clip: tuple, video_fps: float, fps: float, least: int, most: int, shown: list) -> None:
    assert frame_indices(clip, frames_per_second=video_fps, shown_per_second=fps, min_frames=least, max_frames=most) == shown


def test_a_clip_of_one_frame_is_refused() -> None:
    with pytest.raises(Unsuitable, match="1 frames in a clip"):
        frame_indices((3, 4), frames_per_second=30, shown_per_second=2, min_frames=2, max_frames=12)
