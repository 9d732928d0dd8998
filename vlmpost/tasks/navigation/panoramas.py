"""Street views from panoramas that the user has: `<pano_id>.jpg` with `<pano_id>.metadata.json`, and where each was taken.

The folder holds the pictures, equirectangular, and the metadata, of which `rotation` is used: degrees from north to the left edge.
Beside them, or in the folder above, stands `gps_pano_mapping.json`: a JSON list of [latitude, longitude, pano_id]; or
`gps_pano_mapping.jsonl` with the same lists or {"lat": ..., "lon": ..., "pano_id": ...} in its lines. The study's own mapping is a
pickle, which can run code when it is opened: it is refused. Whoever trusts the file can turn it into JSON elsewhere.

A view is a quarter of the horizon, 90 degrees wide, as a plane sees it.

Departure from LeslieTrue/SFTvsRL at 5a6ea55: pixels are interpolated linearly, there by cubics and from 640 x 640 once more.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from vlmpost.errors import DataError
from vlmpost.media.images import open_image
from vlmpost.records import ImageRef
from vlmpost.tasks.navigation.geography import METRES_PER_DEGREE, globe_metres
from vlmpost.tasks.navigation.route import CLEARANCE_METRES, Leg, Place, Route, between
from vlmpost.tasks.navigation.views import VIEW_BEARINGS, Grid, arranged

MAPPING_NAMES: Final = ("gps_pano_mapping.json", "gps_pano_mapping.jsonl")
PICKLE_NAME: Final = "gps_pano_mapping.pkl"
NEAREST_METRES: Final = 20.0
"""A panorama farther away than this does not show a place."""
MAX_MAPPING_BYTES: Final = 256 * 1024**2


@dataclass(frozen=True, eq=False)
class Panoramas:
    """The panoramas of a folder."""

    folder: Path
    ids: tuple[str, ...]
    places: np.ndarray
    """(N, 2) latitude and longitude."""

    def nearest(self, place: Place) -> int | None:
        """Returns the number of the panorama that shows a place; None where there is none within 20 m."""
        shrink = math.cos(math.radians(place[0]))
        offsets = (self.places - np.asarray(place)) * np.asarray((1.0, shrink)) * METRES_PER_DEGREE
        squares = (offsets**2).sum(axis=1)
        number = int(squares.argmin())
        return number if squares[number] < NEAREST_METRES**2 else None

    def place(self, number: int) -> Place:
        """Returns where a panorama was taken."""
        return float(self.places[number, 0]), float(self.places[number, 1])

    def road_place(self, start: Place, end: Place, share: float) -> Place | None:
        """Returns where the panorama at a share of a leg was taken; None where there is none, or it is too close to an end."""
        number = self.nearest(between(start, end, share))
        if number is None:
            return None
        place = self.place(number)
        return place if min(globe_metres(start, place), globe_metres(end, place)) > CLEARANCE_METRES else None

    def end_place(self, place: Place, *, where: str) -> Place:
        """Returns where the panorama at an end of a leg was taken.

        Raises:
            DataError: There is none within 20 m.
        """
        number = self.nearest(place)
        if number is None:
            raise DataError(f"{where}: no panorama of {self.folder} is within {NEAREST_METRES:g} m of {place}.")
        return self.place(number)


def snapped(route: Route, panoramas: Panoramas, *, where: str) -> Route:
    """Returns a route whose start and ends of legs are where panoramas were taken.

    Raises:
        DataError: A place has none within 20 m, or the route has no places.
    """
    if route.start is None:
        raise DataError(f"{where}: start_place and route_results.geocode_list are missing, which pictures need. Use mode text.")
    legs = []
    for leg in route.legs:
        assert leg.end is not None, "a route with a start has ends"
        legs.append(Leg(leg.heading, leg.compass, leg.metres, leg.landmark, panoramas.end_place(leg.end, where=where)))
    return Route(route.init_heading, tuple(legs), panoramas.end_place(route.start, where=where))


@functools.lru_cache(maxsize=4)
def open_folder(folder: str) -> Panoramas:
    """Returns the panoramas of a folder.

    Raises:
        DataError: There is no mapping that can be read, or it is a pickle.
    """
    for place in (Path(folder), Path(folder).parent):
        for name in MAPPING_NAMES:
            if (place / name).is_file():
                return _read_mapping(place / name, Path(folder))
    for place in (Path(folder), Path(folder).parent):
        if (place / PICKLE_NAME).is_file():
            raise DataError(
                f"{place / PICKLE_NAME}: a pickle can run code when it is opened, so it is not. If you trust the file, write it once as "
                f"{MAPPING_NAMES[0]}, a JSON list of [latitude, longitude, pano_id]: json.dump([[*place, pano] for place, pano in "
                "mapping.items()], file)."
            )
    raise DataError(f"{folder}: there is no {' or '.join(MAPPING_NAMES)} in it or beside it: a list of [latitude, longitude, pano_id].")


def _read_mapping(path: Path, folder: Path) -> Panoramas:
    if path.stat().st_size > MAX_MAPPING_BYTES:
        raise DataError(f"{path}: more than the {MAX_MAPPING_BYTES} bytes that are read.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = [json.loads(line) for line in text.splitlines() if line.strip()] if path.suffix == ".jsonl" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({type(error).__name__}). Expected a list of [latitude, longitude, pano_id].") from None
    entries = list(_entries(rows, path))
    if not entries:
        raise DataError(f"{path}: holds no panoramas.")
    places = np.asarray([(latitude, longitude) for latitude, longitude, _ in entries], dtype=np.float64)
    return Panoramas(folder, tuple(name for _, _, name in entries), places)


def _entries(rows: object, path: Path) -> Iterator[tuple[float, float, str]]:
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected a list of [latitude, longitude, pano_id], got {type(rows).__name__}.")
    for number, row in enumerate(rows):
        values: Sequence[Any] = [row.get(key) for key in ("lat", "lon", "pano_id")] if isinstance(row, dict) else row  # Any: JSON
        try:
            latitude, longitude, name = values
            yield float(latitude), float(longitude), _file_name(name)
        except (TypeError, ValueError):
            raise DataError(f"{path}: entry {number} must be [latitude, longitude, pano_id], got {row!r:.100}.") from None


def _file_name(name: object) -> str:
    if not isinstance(name, str) or not name or name != Path(name).name:
        raise ValueError("not the name of a file")
    return name


# --- looking at one ---


def panorama_views(panoramas: Panoramas, place: Place, heading: float, *, tile_pixels: int, grid: Grid) -> Image.Image:
    """Returns the four views at a place as one square RGB picture of 2 x `tile_pixels` + 5 pixels.

    Raises:
        DataError: The panorama or its metadata is missing or broken.
    """
    number = panoramas.nearest(place)
    if number is None:
        raise DataError(f"{panoramas.folder}: no panorama is within {NEAREST_METRES:g} m of {place}.")
    pixels, rotation = _panorama(panoramas.folder / f"{panoramas.ids[number]}.jpg")
    return arranged([crop(pixels, heading + bearing + rotation, tile_pixels) for bearing in VIEW_BEARINGS[grid]])


@functools.lru_cache(maxsize=4)
def _panorama(path: Path) -> tuple[np.ndarray, float]:
    metadata = path.with_suffix(".metadata.json")
    try:
        value = json.loads(metadata.read_text(encoding="utf-8-sig"))
        rotation = float(value["rotation"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f'{metadata}: expected a JSON object with the number "rotation" ({type(error).__name__}).') from None
    if not math.isfinite(rotation):
        raise DataError(f"{metadata}: rotation is {rotation}, not a number of degrees.")
    return np.asarray(open_image(ImageRef(path=str(path)))), rotation


def crop(panorama: np.ndarray, bearing: float, pixels: int) -> Image.Image:
    """Returns the view of 90 degrees from an equirectangular picture.

    Args:
        panorama: (H, W, 3) uint8; the left edge is bearing 0, the middle row the horizon.
        bearing: Where the middle of the view is, in degrees to the right of the left edge.
        pixels: Side of the view.
    """
    height, width, _ = panorama.shape
    plane = (np.arange(pixels) + 0.5) * 2 / pixels - 1
    across, down = np.meshgrid(plane, plane)
    columns = ((np.degrees(np.arctan(across)) + bearing) / 360 * width - 0.5) % width
    rows = (np.degrees(np.arctan2(down, np.sqrt(1 + across**2))) / 180 + 0.5) * height - 0.5
    return Image.fromarray(_interpolated(panorama, rows.clip(0, height - 1), columns))


def _interpolated(panorama: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    height, width, _ = panorama.shape
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int) % width
    down, across = (rows - np.floor(rows))[..., None], (columns - np.floor(columns))[..., None]
    bottom, right = np.minimum(top + 1, height - 1), (left + 1) % width
    upper = panorama[top, left] * (1 - across) + panorama[top, right] * across
    lower = panorama[bottom, left] * (1 - across) + panorama[bottom, right] * across
    return (upper * (1 - down) + lower * down + 0.5).astype(np.uint8)
