"""Videos: frames in order, from folders and files; what is no video is refused by name."""

from __future__ import annotations

import builtins
import io
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from PIL import Image

from vlmpost.errors import DataError, MissingError
from vlmpost.media import videos
from vlmpost.media.videos import StillFrames, VideoFile, frame_files, natural_key
from vlmpost.records import ImageRef


def film(path: Path, number: int, *, rate: int = 10, size: tuple[int, int] = (64, 48), codec: str = "mpeg4") -> Path:
    """Frames whose grey is twice their number, with key frames far apart."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = 30
        stream.bit_rate = 20_000_000
        for index in range(number):
            grey = numpy.full((size[1], size[0], 3), 2 * index, dtype=numpy.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def greys(frames: list[Image.Image]) -> list[float]:
    return [float(numpy.asarray(frame).mean()) for frame in frames]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_any_frame_of_a_file_is_found_by_its_number(tmp_path: Path, suffix: str) -> None:
    video = VideoFile(film(tmp_path / f"a{suffix}", 75))
    assert (video.num_frames, video.frames_per_second) == (75, 10.0)
    wanted = [0, 1, 29, 30, 31, 59, 74]
    frames = list(video.frames(wanted))
    assert [frame.mode for frame in frames] == ["RGB"] * 7
    assert frames[0].size == (64, 48)
    assert greys(frames) == pytest.approx([2 * index for index in wanted], abs=1.5)


def test_a_folder_of_frames_is_footage() -> None:
    def ref(grey: int) -> ImageRef:
        encoded = io.BytesIO()
        Image.new("L", (8, 8), grey).save(encoded, format="PNG")
        return ImageRef(data=encoded.getvalue())

    footage = StillFrames([ref(grey) for grey in (5, 6, 7)], frames_per_second=4)
    assert (footage.num_frames, footage.frames_per_second) == (3, 4)
    assert greys(list(footage.frames([0, 2]))) == [5, 7]


def test_frames_stand_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "1.PNG", "notes.txt", "frame2.png", "frame1_10.png", "frame1_9.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "3.png").mkdir()
    found = [path.name for path in frame_files(tmp_path, suffixes=(".png",))]
    assert found == ["1.PNG", "2.png", "10.png", "frame1_9.png", "frame1_10.png", "frame2.png"]
    assert natural_key("a01") != natural_key("a1")  # names that differ do not tie


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.mp4", b""),
        ("text.mp4", b"This is not a video. " * 100),
        ("playlist.mp4", PLAYLIST.encode()),
        ("playlist.m3u8", PLAYLIST.encode()),
        ("list.mkv", b"ffconcat version 1.0\nfile '/etc/hostname'\n"),
        ("zeros.avi", b"\0" * 4096),
    ],
)
def test_what_is_no_video_is_refused_with_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    pytest.importorskip("av")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        VideoFile(tmp_path / name)


def test_a_playlist_of_a_real_video_is_not_followed(tmp_path: Path) -> None:
    film(tmp_path / "real.ts", 30, codec="mpeg2video")
    assert VideoFile(tmp_path / "real.ts").num_frames == 30
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nreal.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(DataError, match=r"list\.m3u8"):
        VideoFile(tmp_path / "list.m3u8")


def test_a_video_cut_short_is_an_error_and_no_shorter_video(tmp_path: Path) -> None:
    whole = film(tmp_path / "a.avi", 60).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 3])
    try:
        video = VideoFile(tmp_path / "cut.avi")
    except DataError:
        return
    assert video.num_frames < 60
    with pytest.raises(DataError, match="frame 59 of"):
        list(video.frames([0, 59]))


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 100), ("MAX_FRAMES", 9), ("MAX_FRAME_PIXELS", 64 * 48 - 1)])
def test_videos_over_a_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    path = film(tmp_path / "a.mp4", 10)
    assert VideoFile(path).num_frames == 10
    monkeypatch.setattr(videos, limit, value)
    with pytest.raises(DataError, match=r"a\.mp4.*(at most|more than)"):
        VideoFile(path)


def test_a_missing_file_and_a_missing_package_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="No such file"):
        VideoFile(tmp_path / "none.mp4")
    (tmp_path / "a.mp4").write_bytes(b"x")
    real_import: Callable[..., object] = builtins.__import__

    def without_av(name: str, *rest: object, **keys: object) -> object:
        if name == "av":
            raise ImportError(name)
        return real_import(name, *rest, **keys)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(MissingError, match=r"pip install \"vlmpost\[video\]\""):
        VideoFile(tmp_path / "a.mp4")
