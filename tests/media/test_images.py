"""Images of every kind come out upright and RGB, or are refused by name."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmpost.errors import DataError
from vlmpost.media import images
from vlmpost.media.images import image_size, open_image
from vlmpost.records import ImageRef


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> ImageRef:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return ImageRef(data=file.getvalue())


def huge_png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size; there are no pixels behind it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", b"")


@pytest.mark.parametrize(
    ("mode", "colour", "kind", "expected"),
    [
        ("RGB", (10, 20, 30), "PNG", (10, 20, 30)),
        ("L", 77, "PNG", (77, 77, 77)),
        ("1", 1, "PNG", (255, 255, 255)),
        ("RGBA", (255, 0, 0, 0), "PNG", (255, 255, 255)),
        ("RGBA", (0, 0, 0, 255), "PNG", (0, 0, 0)),
        ("LA", (0, 0), "PNG", (255, 255, 255)),
        ("CMYK", (0, 0, 0, 0), "TIFF", (255, 255, 255)),
        ("I;16", 257 * 100, "PNG", (100, 100, 100)),
    ],
)
def test_every_mode_becomes_rgb(mode: str, colour: object, kind: str, expected: tuple[int, int, int]) -> None:
    image = open_image(encoded(Image.new(mode, (4, 3), colour), kind))  # type: ignore[arg-type]
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (4, 3), expected)


def test_a_transparent_palette_lies_on_white() -> None:
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([200, 0, 0] + [0] * 765)
    image = open_image(encoded(palette, "PNG", transparency=0))
    assert image.getpixel((0, 0)) == (255, 255, 255)


def test_an_opaque_palette_keeps_its_colours() -> None:
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([200, 10, 20] + [0] * 765)
    assert open_image(encoded(palette)).getpixel((0, 0)) == (200, 10, 20)


def test_exif_orientation_turns_the_image_and_its_header_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    ref = encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif)
    assert open_image(ref).size == (20, 40)
    assert image_size(ref) == (20, 40)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("red", "blue")]
    ref = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_image(ref).getpixel((0, 0)) == (255, 0, 0)


def test_the_real_format_counts_not_the_name(tmp_path: Path) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "photo.jpg", format="WEBP")
    assert open_image(ImageRef(path=str(tmp_path / "photo.jpg"))).size == (5, 4)


def test_a_truncated_image_is_refused_with_its_path_though_its_header_is_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "cut.jpg"
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    assert image_size(ImageRef(path=str(path))) == (64, 64)
    with pytest.raises(DataError, match=r"cut\.jpg: the image is damaged"):
        open_image(ImageRef(path=str(path)))


@pytest.mark.parametrize("data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", b"<svg/>"])
def test_what_is_no_image_of_a_known_kind_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="not an image of a kind that is read"):
        open_image(ImageRef(data=data))


@pytest.mark.parametrize("size", [(10_001, 10_000), (60_000, 60_000)])
def test_too_many_pixels_are_refused_before_decoding(size: tuple[int, int]) -> None:
    for read in (open_image, image_size):
        with pytest.raises(DataError, match="more than 100,000,000 pixels"):
            read(ImageRef(data=huge_png(*size)))


def test_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: Callable[..., bytes]) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    (tmp_path / "big.png").write_bytes(drawn())
    for ref in (ImageRef(path=str(tmp_path / "big.png")), ImageRef(data=drawn())):
        with pytest.raises(DataError, match="MiB encoded"):
            open_image(ref)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: the image cannot be read \(No such file"):
        open_image(ImageRef(path=str(tmp_path / "gone.png")))


@pytest.mark.parametrize("position", range(0, 120, 7))
def test_a_flipped_byte_anywhere_gives_an_image_or_a_data_error(position: int, drawn: Callable[..., bytes]) -> None:
    data = bytearray(drawn())
    data[position % len(data)] ^= 0xFF
    with contextlib.suppress(DataError):
        assert open_image(ImageRef(data=bytes(data))).mode == "RGB"
