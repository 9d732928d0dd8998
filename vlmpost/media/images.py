"""Encoded images to RGB, with limits: what cannot be opened safely is refused with its name.

Formats: PNG, JPEG, WebP, GIF, BMP, TIFF. Of several frames (animated GIF or WebP, paged TIFF) the first is taken. The EXIF
orientation is applied. Transparent parts are laid on white. 16-bit grey is scaled to 8 bits. Nothing is resized here: the
processor does that.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmpost.errors import DataError
from vlmpost.records import ImageRef

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 64 * 1024**2
"""Encoded size above which an image is refused."""
MAX_PIXELS = 100_000_000
"""Width times height above which an image is refused before it is decoded."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")
# What Pillow's decoders raise on damaged input.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, OverflowError, IndexError, TypeError, KeyError)
_EXIF_ORIENTATION = 0x0112
_PLACED = frozenset(("box", "boxes", "point", "points"))
"""Keys of `meta` that hold places in the image."""


def open_image(ref: ImageRef) -> Image.Image:
    """The image decoded, upright and in RGB.

    Raises:
        DataError: It is missing, too large, damaged, or of a kind that is not read; the message names it.
    """
    from PIL import ImageOps

    image = _open(ref)
    try:
        image.seek(0)
        image.load()
        return _rgb(ImageOps.exif_transpose(image))
    except _DAMAGE as error:
        raise DataError(f"{name_of(ref)}: the image is damaged ({error}). Replace the file or remove the row.") from None


def image_size(ref: ImageRef) -> tuple[int, int]:
    """(width, height) in pixels of the upright image, read from its header alone.

    Raises:
        DataError: As `open_image`, except for damage behind the header.
    """
    image = _open(ref)
    try:
        turned = image.getexif().get(_EXIF_ORIENTATION) in (5, 6, 7, 8)
    except _DAMAGE as error:
        raise DataError(f"{name_of(ref)}: the image is damaged ({error}). Replace the file or remove the row.") from None
    return (image.height, image.width) if turned else (image.width, image.height)


def size_for_boxes(images: Sequence[ImageRef], meta: Mapping[str, object]) -> dict[str, object]:
    """The `image_size` that rewards over boxes and points need, where the row has such and does not say it; else nothing.

    An image that cannot be opened is left to who opens it for use.
    """
    if len(images) != 1 or "image_size" in meta or not _PLACED & meta.keys():
        return {}
    try:
        return {"image_size": list(image_size(images[0]))}
    except DataError:
        return {}  # told by the audit, or by whoever opens it


def looks_like_image(data: bytes) -> bool:
    """Whether the first bytes are those of a format that `open_image` reads."""
    return data.startswith(_MAGIC) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def name_of(ref: ImageRef) -> str:
    """What to call an image in a message: its path, or its size in bytes."""
    return ref.path if ref.path is not None else f"image of {len(ref.data or b'')} bytes"


def encoded(ref: ImageRef) -> bytes:
    """The bytes of an image as it is stored.

    Raises:
        DataError: It cannot be read, or is too large.
    """
    if ref.path is None:
        data = ref.data or b""
    else:
        try:
            size = Path(ref.path).stat().st_size
            data = Path(ref.path).read_bytes() if size <= MAX_BYTES else b"\0" * (MAX_BYTES + 1)
        except OSError as error:
            raise DataError(f"{ref.path}: the image cannot be read ({error.strerror}).") from None
    if len(data) > MAX_BYTES:
        raise DataError(f"{name_of(ref)}: more than {MAX_BYTES // 1024**2} MiB encoded. Scale the image down.")
    return data


def _open(ref: ImageRef) -> Image.Image:
    from PIL import Image

    data = encoded(ref)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise DataError(f"{name_of(ref)}: more than {MAX_PIXELS:,} pixels. Scale the image down.") from None
    except _DAMAGE:
        kind = "damaged" if looks_like_image(data) else f"not an image of a kind that is read ({', '.join(FORMATS)})"
        raise DataError(f"{name_of(ref)}: {kind}. Replace the file or remove the row.") from None
    if image.width * image.height > MAX_PIXELS:
        raise DataError(f"{name_of(ref)}: {image.width} x {image.height} is more than {MAX_PIXELS:,} pixels. Scale the image down.")
    return image


def _rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 257).convert("L").convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels are not read; save it with 8 bits")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")
