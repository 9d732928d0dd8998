"""Perceptual hashes: two pictures that look alike have hashes that differ in few bits, however they are encoded or scaled.

A hash has 64 bits. The picture, grey and 32 x 32, is transformed by a two-dimensional DCT-II; each bit says whether one of the 8 x 8
lowest frequencies is above their median, the mean brightness left out of it. This is the pHash of Zauner (2010) and of the
`imagehash` package; departures:

1. A picture has two hashes: of all of it, and of what is left without its even margin (what differs from the border by more than
   `MARGIN_LEVELS`). Two pictures are as far apart as the nearer of the two pairs, so that a cropped or padded margin costs little.
2. What is even has no hash: a picture whose grey levels spread by less than `EVEN_LEVELS` shows nothing that could be recognised, and is
   like nothing. Otherwise all blank pictures would be alike.

EXIF orientation, transparency and limits of size are those of `media.images.open_image`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

HASHES: Final = 2
"""Hashes of a picture: whole, and without its margin."""
MARGIN_LEVELS: Final = 40
"""Grey levels, of 255, by which a pixel must differ from the border to be no margin; noise of JPEG stays below."""
EVEN_LEVELS: Final = 2.0
"""Standard deviation of grey levels, of 255, below which a picture is even."""
FAR: Final = 65
"""The distance of what has no hash: more than 64 bits."""

_CANVAS_SIDE: Final = 512
_GRID_SIDE: Final = 32
_FREQUENCIES: Final = 8
_EDGE: Final = 2
"""Cells at the edge of the grid that say nothing of whether a picture is even: there the margin that was cut off is blurred in."""

Box = tuple[int, int, int, int]
PictureHash = tuple[int | None, int | None]
"""Of the whole picture, and without its margin; None: even."""
EVEN: Final[PictureHash] = (None, None)
"""Of a picture that is even in both ways."""


def hash_of(image: Image.Image) -> PictureHash:
    """Returns the two hashes of a picture in RGB, upright."""
    from PIL import Image as images

    canvas = image.convert("L").resize((_CANVAS_SIDE, _CANVAS_SIDE), images.Resampling.BILINEAR)
    return _hash(canvas, (0, 0, _CANVAS_SIDE, _CANVAS_SIDE)), _hash(canvas, _content_box(canvas))


def distance(one: PictureHash, other: PictureHash) -> int:
    """Returns in how many of 64 bits two pictures differ, or `FAR` where there is nothing to compare; symmetric.

    >>> distance((0b1011, None), (0b0001, 5))
    2
    """
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return min(((a ^ b).bit_count() for a, b in pairs), default=FAR)


class HashIndex:
    """Finds which of many pictures look like a given one: all of them are compared, so nothing is missed."""

    def __init__(self, hashes: Iterable[PictureHash]) -> None:
        known = list(hashes)
        self._hashes_HN = np.array([[value or 0 for value in pair] for pair in known], dtype=np.uint64).reshape(-1, HASHES).T.copy()
        self._missing_HN = np.array([[value is None for value in pair] for pair in known], dtype=bool).reshape(-1, HASHES).T.copy()

    def near(self, wanted: PictureHash, *, max_distance: int) -> list[tuple[int, int]]:
        """Returns (distance, place) of every picture at most `max_distance` bits away, nearest first.

        Args:
            wanted: The hashes of a picture.
            max_distance: Bits of 64.
        """
        nearest_N = np.full(self._hashes_HN.shape[1], FAR, dtype=np.uint8)
        for kind, value in enumerate(wanted):
            if value is not None:
                differing_N = np.bitwise_count(self._hashes_HN[kind] ^ np.uint64(value))
                differing_N[self._missing_HN[kind]] = FAR
                nearest_N = np.minimum(nearest_N, differing_N)
        return sorted((int(nearest_N[place]), int(place)) for place in np.flatnonzero(nearest_N <= min(max_distance, FAR - 1)))


def _content_box(canvas: Image.Image) -> Box:
    """What differs from the border, which is even where there is a margin; all of a picture that is one colour."""
    levels_YX = np.asarray(canvas, dtype=np.int16)
    border = np.median(np.concatenate([levels_YX[0], levels_YX[-1], levels_YX[:, 0], levels_YX[:, -1]]))
    differs_YX = np.abs(levels_YX - border) > MARGIN_LEVELS
    rows, columns = np.flatnonzero(differs_YX.any(axis=1)), np.flatnonzero(differs_YX.any(axis=0))
    if not len(rows):
        return 0, 0, canvas.width, canvas.height
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _hash(canvas: Image.Image, box: Box) -> int | None:
    from PIL import Image as images

    grid_YX = np.asarray(canvas.resize((_GRID_SIDE, _GRID_SIDE), images.Resampling.LANCZOS, box=box), dtype=np.float64)
    if grid_YX[_EDGE:-_EDGE, _EDGE:-_EDGE].std() < EVEN_LEVELS:
        return None
    basis_FX = _dct_basis()
    low = (basis_FX @ grid_YX @ basis_FX.T).ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _dct_basis() -> NDArray[np.float64]:
    """The lowest frequencies of the orthonormal DCT-II, one to a row."""
    frequency_F1, place_1X = np.arange(_FREQUENCIES)[:, None], np.arange(_GRID_SIDE)[None, :]
    basis_FX: NDArray[np.float64] = np.cos(np.pi * (2 * place_1X + 1) * frequency_F1 / (2 * _GRID_SIDE)) * np.sqrt(2 / _GRID_SIDE)
    basis_FX[0] /= np.sqrt(2)
    return basis_FX
