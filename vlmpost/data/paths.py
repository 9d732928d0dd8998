"""Stored image values to `ImageRef`s: paths under a root folder, bytes, hub structs, data URIs.

Nothing is downloaded: a URL is a fault of the row. Nothing is decoded.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from vlmpost.data.ledger import RowFault
from vlmpost.media.images import MAX_BYTES, looks_like_image
from vlmpost.records import ImageRef

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,")


def resolve(value: object, *, root: Path, allow_outside_root: bool = False) -> ImageRef:
    """The image that a stored value means.

    Args:
        value: A path, encoded bytes, a mapping with "bytes" and "path" (hub layout), or a base64 data URI.
        root: The folder that relative paths start from, and that no path may leave, links followed.
        allow_outside_root: Whether paths may leave it.

    Raises:
        RowFault: There is no such image, it lies outside the root, or the value is none of these.
    """
    if isinstance(value, Mapping):
        data, path = value.get("bytes"), value.get("path") or value.get("url")
        value = data if data else path
    if isinstance(value, bytes | bytearray):
        return from_bytes(bytes(value))
    if not isinstance(value, str) or not value:
        raise RowFault("image value not understood", f"{type(value).__name__}; expected a path, bytes or a bytes/path struct")
    match = _DATA_URI.match(value)
    if match:
        return from_base64(value[match.end() :])
    if _URL.match(value):
        raise RowFault("image is a URL", f"{value[:80]}; images are not downloaded, save it as a file")
    return _from_path(value, root=root, allow_outside_root=allow_outside_root)


def from_bytes(data: bytes) -> ImageRef:
    """The image held in these bytes.

    Raises:
        RowFault: They do not start like an image, or are too many.
    """
    if not looks_like_image(data):
        raise RowFault("bytes are not an image", f"{len(data)} bytes that start with {data[:8]!r}")
    if len(data) > MAX_BYTES:
        raise RowFault("image too large", f"{len(data):,} bytes, at most {MAX_BYTES:,}")
    return ImageRef(data=data)


def from_base64(text: str) -> ImageRef:
    """The image that base64 text holds; white space and a data URI's head are ignored.

    Raises:
        RowFault: It is not base64, or not an image.
    """
    match = _DATA_URI.match(text)
    body = "".join(text[match.end() if match else 0 :].split())
    try:
        return from_bytes(base64.b64decode(body, validate=True))
    except binascii.Error as error:
        raise RowFault("image is not base64", f"{text[:24]!r}...: {error}") from None


def place_under(text: str, *, root: Path, allow_outside_root: bool, what: str) -> Path:
    """The path that a stored text means, whether or not something is there.

    Args:
        text: A path.
        root: The folder that relative paths start from, and that no path may leave, links followed.
        allow_outside_root: Whether paths may leave it.
        what: What it should be, for messages: "video".

    Raises:
        RowFault: It lies outside the root.
    """
    if "\0" in text:
        raise RowFault(f"{what} not found", repr(text))
    path = root / text
    real_root, real_path = _real(str(root)), os.path.realpath(path)
    if not allow_outside_root and os.path.commonpath([real_root, real_path]) != real_root:
        raise RowFault(f"{what} outside the root folder", f"{text}; the root is {root}, set image_root or allow_outside_root")
    return path


def _from_path(text: str, *, root: Path, allow_outside_root: bool) -> ImageRef:
    path = place_under(text, root=root, allow_outside_root=allow_outside_root, what="image")
    if not path.is_file():
        raise RowFault("image not found", str(path))
    return ImageRef(path=str(path))


@lru_cache(maxsize=64)
def _real(folder: str) -> str:
    return os.path.realpath(folder)
