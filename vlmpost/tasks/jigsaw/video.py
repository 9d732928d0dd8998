"""Video jigsaw: the shuffled clips of one video, to be put in order of time. A clip is shown as its frames, one picture each.

Videos are drawn processes that cannot run backwards, folders of frames, or video files.

Source: arXiv 2509.25190, section 4.2; penghao-wu/visual_jigsaw at b3224c6, verl/utils/dataset/jigsaw_utils.py. Departures:
1. Frames are scaled down to `max_frame_pixels`, never up, and not to multiples of 28: the model's processor does that.
2. A video that cannot be decoded is dropped and counted; the code takes another row in its place.
3. The paper drops videos below 24 seconds (`min_seconds`); drawn ones are as long as they are asked to be.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import Field

from vlmpost.media.videos import Footage, StillFrames, VideoFile
from vlmpost.records import IMAGE, Example, Part
from vlmpost.tasks.jigsaw.clips import clip_ranges, frame_indices
from vlmpost.tasks.jigsaw.jigsaw import JigsawOptions, JigsawTask, painted
from vlmpost.tasks.jigsaw.replies import sample_answer
from vlmpost.tasks.jigsaw.shuffling import shuffle
from vlmpost.tasks.material import Item, Unsuitable
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.scenes.processes import draw_process

Direction = Literal["forwards", "backwards"]
_DIRECTIONS = {
    "forwards": "in which they happened, the earliest first",
    "backwards": "opposite to that in which they happened, the latest first",
}


class VideoJigsawOptions(JigsawOptions):
    """What can be chosen about the video jigsaw."""

    num_clips: int = Field(6, ge=2, le=32)
    """Clips that a video is cut into."""
    trim: float = Field(0.05, ge=0, lt=0.5)
    """Share of a clip that is cut off at both its ends: 0.05 as in the paper, 0.1 as in the released code."""
    fps: float = Field(2.0, gt=0, le=120)
    """Frames shown for a second of a clip, between min_frames and max_frames; an even number is taken."""
    min_frames: int = Field(2, ge=2, le=256)
    """Least number of frames shown of a clip."""
    max_frames: int = Field(12, ge=2, le=256)
    """Largest number of frames shown of a clip."""
    max_frame_pixels: Annotated[int, Field(ge=784)] = 128 * 28 * 28
    """Frames with more pixels are scaled down to this many."""
    min_seconds: float = Field(0.0, ge=0)
    """Stored videos that are shorter are dropped; 24 in the paper."""
    folder_fps: float = Field(2.0, gt=0, le=1000)
    """Frames per second that a folder of frames was taken with."""
    width: int = Field(224, ge=84, le=2000)
    """Width of a drawn video."""
    height: int = Field(168, ge=84, le=2000)
    """Height of a drawn video."""
    num_frames: int = Field(720, ge=2, le=100_000)
    """Frames of a drawn video."""
    drawn_fps: float = Field(30.0, gt=0, le=1000)
    """Frames per second of a drawn video."""
    direction: Direction = "forwards"
    """In which order the clips are asked for."""


class VideoJigsaw(JigsawTask):
    """Clips of a video."""

    name = "video_jigsaw"
    options_type = VideoJigsawOptions
    material = "videos"
    thing = "clip"
    thought = "I follow what changes for good from clip to clip."
    shifts = MappingProxyType({"none": {}, "rule": {"direction": "backwards"}, "visual": {"palette": "negative"}})

    def pose(self, rng: random.Random, *, options: VideoJigsawOptions, difficulty: int | None) -> Problem:
        """Returns the puzzle of a drawn process; one process is in one split only."""
        seed = rng.getrandbits(48)
        size = (options.width, options.height)
        process = draw_process(seed, size, num_frames=options.num_frames, frames_per_second=options.drawn_fps)
        scene = {"scene": {"kind": "process", "seed": seed, "size": list(size)}}
        return self._puzzle(rng, process, options=options, facts=scene, key=f"process {seed}")

    def pose_on(self, rng: random.Random, item: Item, *, options: VideoJigsawOptions) -> Problem:
        """Returns the puzzle of a stored video, decoded.

        Raises:
            DataError: It cannot be opened or decoded; `Unsuitable`: it is too short.
        """
        footage: Footage = StillFrames(item.images, frames_per_second=options.folder_fps) if item.video is None else VideoFile(item.video)
        seconds = footage.num_frames / footage.frames_per_second
        if seconds < options.min_seconds:
            raise Unsuitable("video too short", f"{seconds:.1f} seconds, at least {options.min_seconds:g}")
        clips = _clips(footage, options)
        wanted = sorted({index for clip in clips for index in clip})
        frames = dict(zip(wanted, (_scaled(frame, options) for frame in footage.frames(wanted)), strict=True))
        return self._puzzle(rng, _Decoded(frames, footage), options=options, facts={})

    def reasoning(self, example: Example) -> str:
        """Returns which part of the video each clip is."""
        shown: Any = example.meta["shown"]  # Any: JSON
        return "\n".join(f"Clip {label} is part {thing + 1} of the video." for label, thing in enumerate(shown, start=1))

    def _puzzle(
        self, rng: random.Random, footage: Footage, *, options: VideoJigsawOptions, facts: Mapping[str, object], key: str = ""
    ) -> Problem:
        clips = _clips(footage, options)
        things = list(range(options.num_clips))
        video = {"num_frames": footage.num_frames, "frames_per_second": footage.frames_per_second, "frames": clips}
        return self.ordered(
            rng,
            asked=things if options.direction == "forwards" else things[::-1],
            options=options,
            question=_question(options, frames_per_clip=len(clips[0])),
            content={**video, "direction": options.direction, **facts},
            draw=lambda shown: _pictures(footage, shuffle(clips, shown), options),
            key=key,
        )


class _Decoded:
    """Footage of which only some frames are at hand."""

    def __init__(self, frames: Mapping[int, Image.Image], footage: Footage) -> None:
        self._frames = frames
        self.num_frames = footage.num_frames
        self.frames_per_second = footage.frames_per_second

    def frames(self, indices: Sequence[int]) -> list[Image.Image]:
        return [self._frames[index] for index in indices]


def _clips(footage: Footage, options: VideoJigsawOptions) -> list[list[int]]:
    """The frames that are shown of each clip, in order of time."""
    return [
        frame_indices(
            clip,
            frames_per_second=footage.frames_per_second,
            shown_per_second=options.fps,
            min_frames=options.min_frames,
            max_frames=options.max_frames,
        )
        for clip in clip_ranges(footage.num_frames, options.num_clips, options.trim)
    ]


def _pictures(footage: Footage, clips: Sequence[Sequence[int]], options: VideoJigsawOptions) -> list[Image.Image]:
    return [painted(_scaled(frame, options), options.palette) for clip in clips for frame in footage.frames(clip)]


def _scaled(frame: Image.Image, options: VideoJigsawOptions) -> Image.Image:
    """The frame with at most `max_frame_pixels`, its shape kept."""
    pixels = frame.width * frame.height
    if pixels <= options.max_frame_pixels:
        return frame
    share = (options.max_frame_pixels / pixels) ** 0.5
    size = (max(1, int(frame.width * share)), max(1, int(frame.height * share)))
    return frame.resize(size, Image.Resampling.BICUBIC)


def _question(options: VideoJigsawOptions, *, frames_per_clip: int) -> tuple[Part, ...]:
    number = options.num_clips
    clips: list[Part] = []
    for label in range(1, number + 1):
        clips += [f"Clip {label}: ", *[IMAGE] * frames_per_clip, "\n"]
    if options.prompt_style == "compact":
        return (*clips, f"List the {number} clips in the order {_DIRECTIONS[options.direction]}.")
    opening = f"A video was cut into {number} clips of equal length, and the clips were shuffled. The frames of a clip are in order:\n"
    task = (
        f"The number of a clip is its place in this list. Find out what happens in the video. Then list the numbers of the clips in "
        f"the order {_DIRECTIONS[options.direction]}, with commas between them. An answer looks like this: {sample_answer(number)}\n"
    )
    return (opening, *clips, task)
