"""Perceptual hashes: the same for the same look, far apart for others, none for what is even."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from vlmpost.curation import image_hash
from vlmpost.curation.image_hash import EVEN, FAR, HashIndex, PictureHash, distance, hash_of
from vlmpost.media.images import open_image
from vlmpost.records import ImageRef

HASHES = st.tuples(*[st.none() | st.integers(0, 2**64 - 1)] * 2)


def drawing(seed: int, *, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """Filled shapes on white with a white margin of 40 pixels."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        left, top = (int(random.integers(40, side - 120)) for side in size)
        box = (left, top, left + int(random.integers(30, 80)), top + int(random.integers(30, 80)))
        (draw.ellipse if random.random() < 0.5 else draw.rectangle)(box, fill=tuple(int(level) for level in random.integers(0, 200, 3)))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reopened(image: Image.Image, kind: str, **options: object) -> Image.Image:
    return open_image(ImageRef(data=encoded(image, kind, **options)))


EDITS = {
    "jpeg": lambda image: reopened(image, "JPEG", quality=60),
    "webp": lambda image: reopened(image, "WEBP", quality=60),
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "double": lambda image: image.resize((image.width * 2, image.height * 2)),
    "square": lambda image: image.resize((336, 336)),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cut margin": lambda image: image.crop((12, 9, image.width - 12, image.height - 9)),
}


@pytest.mark.parametrize("name", sorted(EDITS))
def test_an_edited_copy_is_near(name: str) -> None:
    found = [distance(hash_of(drawing(seed)), hash_of(EDITS[name](drawing(seed)))) for seed in range(12)]
    assert max(found) <= 4, found


def test_other_drawings_are_far() -> None:
    hashes = [hash_of(drawing(seed)) for seed in range(24)]
    found = [distance(one, other) for place, one in enumerate(hashes) for other in hashes[:place]]
    assert len(found) == 276  # 24 * 23 / 2
    assert min(found) > 8


def test_the_bits_are_those_of_a_cosine_transform_by_hand() -> None:
    # Brightness rises from left to right and not from top to bottom: the only frequencies are the mean and those of the first row, and
    # of a falling or rising line only the odd ones. Rising: all of those are negative; so the median of the others is 0 and only the
    # mean, in the highest bit, is above it. Falling: the mean and frequencies 1, 3, 5, 7 of the first row, 11010101 in binary.
    rising = Image.fromarray(np.tile(np.linspace(0, 255, 512), (512, 1)).round().astype(np.uint8)).convert("RGB")
    whole = hash_of(rising)[0]
    falling = hash_of(rising.transpose(Image.Transpose.FLIP_LEFT_RIGHT))[0]
    assert whole is not None and falling is not None
    assert whole >> 56 & 0b11010101 == 0b10000000
    assert falling >> 56 & 0b11010101 == 0b11010101


def test_an_even_picture_has_no_hash_and_is_like_nothing() -> None:
    noise = np.random.default_rng(0).integers(250, 256, (64, 64, 3)).astype(np.uint8)
    even = [Image.new("RGB", (64, 64), "white"), Image.new("RGB", (9, 500), "navy"), Image.fromarray(noise)]
    assert [hash_of(image) for image in even] == [EVEN] * 3
    assert distance(EVEN, EVEN) == distance(EVEN, hash_of(drawing(0))) == FAR
    assert HashIndex([EVEN, hash_of(drawing(0))]).near(EVEN, max_distance=64) == []


def test_a_filled_square_alone_has_a_hash_of_the_whole_only() -> None:
    image = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(image).rectangle((64, 64, 127, 127), fill="black")
    whole, inside = hash_of(image)
    assert whole is not None and inside is None


def test_a_turned_photograph_is_the_upright_one() -> None:
    # Orientation 6: the camera was turned; upright is a quarter turn clockwise.
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = reopened(drawing(3).transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)
    assert distance(hash_of(turned), hash_of(drawing(3))) <= 4


def test_transparent_is_white() -> None:
    image = drawing(4).convert("RGBA")
    pixels = np.array(image)
    pixels[(pixels[:, :, :3] == 255).all(axis=2), 3] = 0
    assert hash_of(reopened(Image.fromarray(pixels), "PNG")) == hash_of(drawing(4))


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3, 2), (2000, 5)])
def test_pictures_of_any_shape_can_be_hashed(size: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8))
    assert distance(hash_of(image), hash_of(image)) in (0, FAR)


@given(HASHES, HASHES)
def test_distance_is_symmetric_and_no_more_than_either_pair(one: PictureHash, other: PictureHash) -> None:
    found = distance(one, other)
    pairs = [bin(a ^ b).count("1") for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    assert found == distance(other, one) == (min(pairs) if pairs else FAR)


@given(st.lists(HASHES, max_size=30), HASHES, st.integers(0, 64))
def test_the_index_finds_what_a_comparison_one_by_one_finds(known: list[PictureHash], wanted: PictureHash, limit: int) -> None:
    expected = sorted((distance(wanted, one), place) for place, one in enumerate(known))
    assert HashIndex(known).near(wanted, max_distance=limit) == [found for found in expected if found[0] <= limit]


def test_a_hundred_thousand_pictures_are_searched_in_milliseconds() -> None:
    import time

    random = np.random.default_rng(0)
    index = HashIndex([(int(a), int(b)) for a, b in random.integers(0, 2**64, (100_000, 2), dtype=np.uint64)])
    start = time.perf_counter()
    for value in range(20):
        index.near((value, value), max_distance=4)
    assert (time.perf_counter() - start) / 20 < 0.05  # measured: 0.0005
    assert image_hash.HASHES == 2
