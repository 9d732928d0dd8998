"""A video's frames to clips and to the frames of a clip that are shown.

The clips are of one length. What does not divide is dropped from the start of the video, and both ends of each clip are trimmed, so
that the last frame of one clip does not lead over to the first of the next.

Source: penghao-wu/visual_jigsaw at b3224c6, verl/utils/dataset/jigsaw_utils.py, `split_and_trim_uniform_indices`,
`process_video_jigsaw`. The paper (arXiv 2509.25190, section 4.2) trims 5 % at each end, the code 10 %.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy

from vlmpost.tasks.material import Unsuitable

FRAME_FACTOR: Final = 2
"""The number of frames shown of a clip is a multiple of this: the model reads frames in pairs."""
TOO_SHORT: Final = "video too short"


def clip_ranges(num_frames: int, num_clips: int, trim: float) -> list[tuple[int, int]]:
    """Returns [start, end) of each clip, in frames of the video.

    Args:
        num_frames: Of the whole video.
        num_clips: How many clips.
        trim: The share of a clip that is cut off at each of its ends, from 0 to below 0.5; p / q in lowest terms. What the video has
            beyond a multiple of num_clips * q frames is dropped from its start.

    Raises:
        Unsuitable: Nothing is left of a clip.

    >>> clip_ranges(300, 4, 0.1)
    [(27, 83), (97, 153), (167, 223), (237, 293)]
    """
    assert 0 <= trim < 0.5, trim
    share = Fraction(trim).limit_denominator()
    skipped = num_frames % (num_clips * share.denominator) if num_clips > 1 else 0
    length = (num_frames - skipped) // num_clips
    trimmed = length * share.numerator // share.denominator
    if 2 * trimmed >= length:
        least = num_clips * share.denominator
        raise Unsuitable(TOO_SHORT, f"{num_frames} frames; {num_clips} clips trimmed by {share} at both ends need {least} or more")
    starts = [skipped + clip * length for clip in range(num_clips)]
    return [(start + trimmed, start + length - trimmed) for start in starts]


def frame_indices(
    clip: tuple[int, int], *, frames_per_second: float, shown_per_second: float, min_frames: int, max_frames: int
) -> list[int]:
    """Returns which frames of the video are shown of a clip: evenly spread, its first and last among them.

    Args:
        clip: [start, end) in frames.
        frames_per_second: Of the video.
        shown_per_second: How many of them are to be shown.
        min_frames: At least this many, made even upwards.
        max_frames: At most this many, and at most as many as there are, made even downwards.

    Raises:
        Unsuitable: The clip has fewer frames than have to be shown.

    >>> frame_indices((12, 108), frames_per_second=30, shown_per_second=2, min_frames=2, max_frames=12)
    [12, 31, 50, 69, 88, 107]
    """
    start, end = clip
    least = -(-min_frames // FRAME_FACTOR) * FRAME_FACTOR
    most = min(max_frames, end - start) // FRAME_FACTOR * FRAME_FACTOR
    wanted = min(max((end - start) / frames_per_second * shown_per_second, least), most)
    number = int(wanted) // FRAME_FACTOR * FRAME_FACTOR
    if number < FRAME_FACTOR:
        raise Unsuitable(TOO_SHORT, f"{end - start} frames in a clip; {FRAME_FACTOR} or more are shown")
    return [start + int(place) for place in numpy.rint(numpy.linspace(0, end - start - 1, number))]
