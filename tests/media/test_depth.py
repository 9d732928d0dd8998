"""Depth maps: millimetres and metres, and what is no depth map."""

from __future__ import annotations

import io
from pathlib import Path

import numpy
import pytest
from PIL import Image

from vlmpost.errors import DataError
from vlmpost.media import depth as depth_room
from vlmpost.media.depth import fitted, read_depth

MILLIMETRES = numpy.array([[0, 500, 1000], [1, 65535, 2500]], dtype=numpy.uint16)
METRES = [[0.0, 0.5, 1.0], [0.001, 65.535, 2.5]]


def test_a_16_bit_png_holds_millimetres(tmp_path: Path) -> None:
    Image.fromarray(MILLIMETRES).save(tmp_path / "a.png")
    found = read_depth(tmp_path / "a.png")
    assert found.dtype == numpy.float32
    assert found == pytest.approx(numpy.array(METRES), rel=1e-6)
    assert read_depth(tmp_path / "a.png", metres_per_unit=0.0002)[0, 1] == pytest.approx(0.1)  # TUM: 5000 units a metre


@pytest.mark.parametrize("dtype", ["uint16", ">u2"])
def test_a_numpy_file_of_whole_numbers_holds_millimetres(tmp_path: Path, dtype: str) -> None:
    numpy.save(tmp_path / "a.npy", MILLIMETRES.astype(dtype))
    assert read_depth(tmp_path / "a.npy") == pytest.approx(numpy.array(METRES), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_a_numpy_file_of_floats_holds_metres_and_what_is_not_finite_is_unknown(tmp_path: Path, dtype: str) -> None:
    numpy.save(tmp_path / "a.npy", numpy.array([[1.5, numpy.nan, numpy.inf], [-2.0, 0.0, 7.25]], dtype=dtype))
    assert read_depth(tmp_path / "a.npy").tolist() == [[1.5, 0, 0], [0, 0, 7.25]]


def test_columns_first_arrays_are_read_as_they_are_indexed(tmp_path: Path) -> None:
    numpy.save(tmp_path / "a.npy", numpy.asfortranarray(numpy.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])))
    assert read_depth(tmp_path / "a.npy").tolist() == [[1, 2, 3], [4, 5, 6]]


def npy(array: object, **keys: object) -> bytes:
    encoded = io.BytesIO()
    numpy.save(encoded, array, **keys)  # type: ignore[arg-type]
    return encoded.getvalue()


def png(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, format="PNG")
    return encoded.getvalue()


HUGE = npy(numpy.zeros((2, 2))).replace(b"(2, 2), }" + b" " * 8, b"(999999, 999999)}")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.exr", b"", "are not read"),
        ("a.npy", b"", "not a NumPy file"),
        ("a.npy", b"PK\x03\x04 zip", "not a NumPy file"),
        ("a.npy", npy(numpy.array([{"a": 1}], dtype=object), allow_pickle=True), "object"),
        ("a.npy", npy(numpy.zeros((2, 2, 3))), "height x width"),
        ("a.npy", npy(numpy.zeros((0, 4))), "height x width"),
        ("a.npy", npy(numpy.zeros((2, 2), dtype=numpy.uint8)), "uint8"),
        ("a.npy", npy(numpy.zeros((2, 2), dtype=complex)), "complex"),
        ("a.npy", npy(numpy.zeros((9, 9)))[:-8], "damaged"),
        ("a.npy", HUGE, "damaged"),
        ("a.png", b"", "not a readable PNG"),
        ("a.png", b"\xff\xd8\xff jpeg", "not a readable PNG"),
        ("a.png", png(Image.new("L", (4, 4))), "16-bit grey, this one is of mode L"),
        ("a.png", png(Image.new("RGB", (4, 4))), "mode RGB"),
        ("a.png", png(Image.fromarray(numpy.arange(4096, dtype=numpy.uint16).reshape(64, 64)))[:100], "not a readable PNG"),
    ],
)
def test_what_is_no_depth_map_is_refused_with_its_name(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_depth(tmp_path / name)
    assert name in str(caught.value)
    assert HUGE.count(b"999999") == 2  # the forged header is one


def test_limits_and_missing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_depth(tmp_path / "none.png")
    Image.fromarray(MILLIMETRES).save(tmp_path / "a.png")
    monkeypatch.setattr(depth_room, "MAX_PIXELS", 5)
    with pytest.raises(DataError, match="3 x 2 is more than 5 pixels"):
        read_depth(tmp_path / "a.png")
    monkeypatch.setattr(depth_room, "MAX_BYTES", 10)
    with pytest.raises(DataError, match="more than 0 MiB"):
        read_depth(tmp_path / "a.png")


def test_a_map_is_fitted_to_its_picture_by_the_nearest_pixel() -> None:
    small = numpy.array([[1.0, 2.0], [3.0, 4.0]])
    assert fitted(small, (2, 2), where="a").tolist() == small.tolist()
    assert fitted(small, (4, 4), where="a").tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    # ScanNet: 640 x 480 for 1296 x 968: aspects 1.3333 and 1.3388.
    assert fitted(numpy.zeros((480, 640)), (1296, 968), where="a").shape == (968, 1296)
    with pytest.raises(DataError, match="a: a depth map of 2 x 2 does not fit a picture of 4 x 2"):
        fitted(small, (4, 2), where="a")
