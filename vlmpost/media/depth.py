"""Depth maps to metres: 16-bit PNG, or a NumPy file of floats or 16-bit numbers; never unpickled.

Whole numbers are millimetres (as ScanNet, NYU and RealSense write them) unless said otherwise, floats metres. 0 and what is not finite
means that nothing was measured there.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vlmpost.errors import DataError
from vlmpost.media.images import MAX_BYTES, MAX_PIXELS

if TYPE_CHECKING:
    import numpy

DEPTH_SUFFIXES: Final = (".npy", ".png")
MILLIMETRE: Final = 0.001
_MAX_SHAPE_DIFFERENCE: Final = 0.02
"""By which share the aspects of a picture and its depth map may differ: ScanNet's are 1296 x 968 and 640 x 480."""


def read_depth(path: str | Path, *, metres_per_unit: float = MILLIMETRE) -> numpy.ndarray:
    """The depth of each pixel in metres: (height, width), float32; 0 where it is unknown.

    Args:
        path: A .png or .npy file.
        metres_per_unit: What 1 means in a file of whole numbers.

    Raises:
        DataError: It is missing, too large, damaged, or of a kind that is not read; the message names it.
    """
    import numpy

    kind = Path(path).suffix.lower()
    if kind not in DEPTH_SUFFIXES:
        raise DataError(f"{path}: depth maps of kind {kind or '(none)'} are not read. Known: {', '.join(DEPTH_SUFFIXES)}.")
    _check_bytes(path)
    stored = _npy(path) if kind == ".npy" else _png(path)
    metres = stored.astype(numpy.float32) * (metres_per_unit if stored.dtype.kind == "u" else 1.0)
    return numpy.where(numpy.isfinite(metres) & (metres > 0), metres, 0).astype(numpy.float32)


def fitted(depth: numpy.ndarray, size: tuple[int, int], *, where: str) -> numpy.ndarray:
    """The depth of each pixel of a picture of this width and height, by the nearest pixel of the map.

    Raises:
        DataError: Map and picture are of different shapes.
    """
    import numpy

    height, width = depth.shape
    if abs(width * size[1] / (height * size[0]) - 1) > _MAX_SHAPE_DIFFERENCE:
        raise DataError(f"{where}: a depth map of {width} x {height} does not fit a picture of {size[0]} x {size[1]}.")
    rows = numpy.arange(size[1]) * height // size[1]
    cols = numpy.arange(size[0]) * width // size[0]
    return depth[rows[:, None], cols[None, :]]


def _check_bytes(path: str | Path) -> None:
    try:
        size = Path(path).stat().st_size
    except OSError as error:
        raise DataError(f"{path}: the depth map cannot be read ({error.strerror}).") from None
    if size > MAX_BYTES:
        raise DataError(f"{path}: more than {MAX_BYTES // 1024**2} MiB. Scale the depth map down.")


def _npy(path: str | Path) -> numpy.ndarray:
    import numpy

    try:
        with Path(path).open("rb") as file:
            version = numpy.lib.format.read_magic(file)
            read_header = numpy.lib.format.read_array_header_1_0 if version == (1, 0) else numpy.lib.format.read_array_header_2_0
            shape, _, dtype = read_header(file)
            num_bytes = Path(path).stat().st_size - file.tell()
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a NumPy file ({str(error).splitlines()[0]}).") from None
    if len(shape) != 2 or min(shape) < 1 or not (dtype.kind == "f" or dtype.str in ("<u2", ">u2")):
        raise DataError(f"{path}: holds {dtype} of shape {shape}; expected floats in metres or uint16, height x width.")
    if math.prod(shape) * dtype.itemsize != num_bytes:
        raise DataError(f"{path}: the header says {shape} {dtype}, the file holds {num_bytes:,} bytes. It is damaged.")
    array: numpy.ndarray = numpy.load(path, allow_pickle=False)
    return array


def _png(path: str | Path) -> numpy.ndarray:
    import numpy
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{path}: {image.width} x {image.height} is more than {MAX_PIXELS:,} pixels. Scale the depth map down.")
            if not image.mode.startswith("I"):
                raise DataError(f"{path}: a depth map is a PNG of 16-bit grey, this one is of mode {image.mode}.")
            return numpy.asarray(image).astype(numpy.uint16)
    except Image.DecompressionBombError:
        raise DataError(f"{path}: more than {MAX_PIXELS:,} pixels. Scale the depth map down.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not a readable PNG ({str(error).splitlines()[0]}).") from None
