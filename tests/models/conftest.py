"""Drawn images, prompts of three kinds (one image, two, none), and copies of tiny folders that a test may break."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw


@pytest.fixture
def copy_of(tiny_model: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """`copy_of(family)`: a copy of the tiny folder that the test may change."""

    def copy(family: str) -> Path:
        return Path(shutil.copytree(tiny_model(family), tmp_path / f"copy_{family}"))

    return copy


@pytest.fixture
def batch() -> tuple[list[list[dict[str, object]]], list[list[Image.Image]]]:
    """Prompts and images of three rows: one image, two images of other shapes, text only."""
    prompts = [_ask(1, "How many red circles are there?"), _ask(2, "Is the first larger? Think."), _ask(0, "3 + 4 = ?")]
    return prompts, [[_circle(64, 48, "red")], [_circle(40, 40, "blue"), _circle(80, 30, "green")], []]


def _ask(num_images: int, question: str) -> list[dict[str, object]]:
    blocks: list[dict[str, str]] = [{"type": "image"}] * num_images
    return [{"role": "user", "content": [*blocks, {"type": "text", "text": question}]}]


def _circle(width: int, height: int, colour: str) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).ellipse((4, 4, width // 2, height - 4), fill=colour)
    return image
