"""Images as servers take them: base64 data URLs that show what the project's own models see.

A PNG, JPEG or WebP that decodes to plain colours travels as it is. Whatever a server might read otherwise than
`media.images.open_image` (other formats, several frames, an EXIF orientation, transparency, 16 bits) is sent as the PNG of what
`open_image` gives.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from vlmpost.errors import DataError
from vlmpost.media.images import image_size, name_of, open_image
from vlmpost.records import ImageRef

if TYPE_CHECKING:
    from PIL import Image

MAX_URL_BYTES = 20 * 1024**2
"""Encoded size above which an image is not sent; what the common servers take."""

_MIME_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_PLAIN_MODES = frozenset(("RGB", "L", "P"))
_EXIF_ORIENTATION = 0x0112


def data_url(ref: ImageRef) -> str:
    """Returns an image as a data URL, with the type that its bytes have, whatever the file is called.

    Raises:
        DataError: It is missing, damaged, not of a kind that is read, or too large to be sent.
    """
    from PIL import Image

    image_size(ref)  # refuses what cannot be opened safely
    data = ref.data if ref.data is not None else Path(str(ref.path)).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        mime_type = _MIME_TYPES.get(image.format or "") if _is_plain(image) else None
    if mime_type is None:
        mime_type, data = "image/png", _png(ref)
    if len(data) > MAX_URL_BYTES:
        raise DataError(f"{name_of(ref)}: {len(data) / 1024**2:.1f} MiB; servers take {MAX_URL_BYTES // 1024**2}. Scale the image down.")
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


def _is_plain(image: Image.Image) -> bool:
    """Whether every decoder shows the same."""
    is_upright = image.getexif().get(_EXIF_ORIENTATION, 1) == 1
    return is_upright and image.mode in _PLAIN_MODES and "transparency" not in image.info and getattr(image, "n_frames", 1) == 1


def _png(ref: ImageRef) -> bytes:
    encoded = io.BytesIO()
    open_image(ref).save(encoded, format="PNG")
    return encoded.getvalue()
