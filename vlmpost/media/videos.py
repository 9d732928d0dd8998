"""Videos as frames in order: a folder of pictures, or a video file through PyAV (`pip install "vlmpost[video]"`).

Frames of a folder stand in natural order (2.png before 10.png). The frames of a file are counted from its packets without decoding, and
the wanted ones are decoded in one pass from the start, so that frame i is the i-th frame shown, whatever the key frames are.
Containers that can name other files or addresses (playlists, concatenation) are not opened. Rotation marks are not applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from vlmpost.errors import DataError, MissingError
from vlmpost.media.images import open_image
from vlmpost.records import ImageRef

if TYPE_CHECKING:
    from PIL import Image

VIDEO_SUFFIXES: Final = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm")
MAX_BYTES: Final = 8 * 1024**3
"""Size above which a video file is refused."""
MAX_FRAMES: Final = 1_000_000
"""Number of frames above which a video is refused: more than nine hours at 30 frames a second."""
MAX_FRAME_PIXELS: Final = 7680 * 4320
"""Width times height of a frame above which a video is refused before it is decoded."""
_DEMUXERS: Final = "avi,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,ogg"
_OPTIONS: Final = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}


class Footage(Protocol):
    """Frames in order of time."""

    @property
    def num_frames(self) -> int:
        """How many there are."""

    @property
    def frames_per_second(self) -> float:
        """How fast they follow each other."""

    def frames(self, indices: Sequence[int]) -> Iterable[Image.Image]:
        """Gives the frames of these indices, which ascend, in RGB; those of a file one at a time, as they are decoded.

        Raises:
            DataError: One cannot be decoded; the message names the video.
        """


class StillFrames:
    """Footage given as pictures."""

    def __init__(self, refs: Sequence[ImageRef], *, frames_per_second: float) -> None:
        self._refs = tuple(refs)
        self.num_frames = len(self._refs)
        self.frames_per_second = frames_per_second

    def frames(self, indices: Sequence[int]) -> Iterator[Image.Image]:
        """As `Footage.frames`."""
        return (open_image(self._refs[index]) for index in indices)


class VideoFile:
    """Footage in a file.

    Raises:
        DataError: It is missing, too large, damaged or no video.
        MissingError: PyAV is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        _check_size(self.path)
        with _opened(self.path) as (container, stream):
            pixels = stream.codec_context.width * stream.codec_context.height
            if pixels > MAX_FRAME_PIXELS:
                raise DataError(f"{self.path}: frames of {pixels:,} pixels, at most {MAX_FRAME_PIXELS:,}. Scale the video down.")
            self.num_frames = _num_packets(container, stream, self.path)
            rate = stream.average_rate or stream.guessed_rate
        if not self.num_frames or not rate:
            raise DataError(f"{self.path}: the video has no frames or no frame rate. Replace the file or remove the row.")
        self.frames_per_second = float(rate)

    def frames(self, indices: Sequence[int]) -> Iterator[Image.Image]:
        """As `Footage.frames`."""
        assert indices and list(indices) == sorted(set(indices)), indices
        num_found = 0
        with _opened(self.path) as (container, stream):
            for number, frame in enumerate(container.decode(stream)):
                if number == indices[num_found]:
                    yield frame.to_image()
                    num_found += 1
                if num_found == len(indices):
                    return
        missing = indices[num_found]
        raise DataError(f"{self.path}: frame {missing} of {self.num_frames} cannot be decoded. Replace the file or remove the row.")


def frame_files(folder: Path, *, suffixes: Sequence[str]) -> list[Path]:
    """Returns the pictures of a folder in natural order."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file()]
    return sorted(found, key=lambda path: natural_key(path.name))


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Returns a key that sorts names as a reader does: runs of digits by their value.

    >>> sorted(["f10.png", "f2.png", "f1.png"], key=natural_key)
    ['f1.png', 'f2.png', 'f10.png']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(part), part) if part[0] in "0123456789" else (1, 0, part) for part in parts)


def _check_size(path: str) -> None:
    try:
        size = Path(path).stat().st_size
    except OSError as error:
        raise DataError(f"{path}: the video cannot be read ({error.strerror}).") from None
    if size > MAX_BYTES:
        raise DataError(f"{path}: {size:,} bytes, at most {MAX_BYTES:,}. Cut the video into shorter ones.")


@contextmanager
def _opened(path: str) -> Iterator[tuple[Any, Any]]:  # Any: PyAV is an extra, its types are not always there.
    try:
        import av
    except ImportError:
        raise MissingError(f'{path}: video files need PyAV. Install it: pip install "vlmpost[video]", or give folders of frames.') from None
    try:
        with av.open(path, options=_OPTIONS) as container:
            if not container.streams.video:
                raise DataError(f"{path}: the file has no video. Replace it or remove the row.")
            yield container, container.streams.video[0]
    except av.FFmpegError as error:
        raise DataError(f"{path}: the video is damaged or of a kind that is not read ({error.strerror}).") from None


def _num_packets(container: Any, stream: Any, path: str) -> int:  # Any: as in _opened.
    number = 0
    for packet in container.demux(stream):
        number += packet.size > 0
        if number > MAX_FRAMES:
            raise DataError(f"{path}: more than {MAX_FRAMES:,} frames. Cut the video into shorter ones.")
    return number
