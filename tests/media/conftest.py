"""Small encoded images for the tests of `vlmpost.media`."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image


@pytest.fixture
def drawn() -> Callable[..., bytes]:
    """`drawn(size=..., colour=...)`: a PNG of one colour."""

    def png(size: tuple[int, int] = (40, 30), colour: str = "red") -> bytes:
        encoded = io.BytesIO()
        Image.new("RGB", size, colour).save(encoded, format="PNG")
        return encoded.getvalue()

    return png
