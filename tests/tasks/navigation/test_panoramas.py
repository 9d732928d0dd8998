"""Views from panoramas: where they look, which one shows a place, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmpost.errors import DataError
from vlmpost.tasks import find
from vlmpost.tasks.navigation.panoramas import crop, open_folder, panorama_views
from vlmpost.tasks.navigation.route import Place

# One degree of latitude is 111,195 m on the sphere: 0.0001 degrees are 11.1 m.
HERE: Place = (40.0, -74.0)


def compass_panorama(width: int = 720) -> np.ndarray:
    """Red tells the bearing in steps of a degree and a half, green whether above the horizon."""
    degrees = np.arange(width) * 360 / width
    picture = np.zeros((width // 2, width, 3), dtype=np.uint8)
    picture[..., 0] = (degrees / 1.5).astype(np.uint8)
    picture[: width // 4, :, 1] = 255
    return picture


def write_folder(folder: Path, places: dict[str, Place], *, rotation: float = 0.0) -> Path:
    folder.mkdir()
    for name in places:
        Image.fromarray(compass_panorama()).save(folder / f"{name}.jpg", quality=100, subsampling=0)
        (folder / f"{name}.metadata.json").write_text(json.dumps({"rotation": rotation}), encoding="utf-8")
    rows = [[*place, name] for name, place in places.items()]
    (folder / "gps_pano_mapping.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def bearing_in_the_middle(view: Image.Image) -> float:
    """What the middle column of a view shows, in degrees."""
    pixels = np.asarray(view).astype(float)
    return float(pixels[:, view.width // 2, 0].mean() * 1.5)


@pytest.mark.parametrize("bearing", [10, 90, 180, 270, 350, 450])
def test_view_looks_where_it_is_asked_to(bearing: int) -> None:
    view = crop(compass_panorama(), bearing, 64)
    assert abs(bearing_in_the_middle(view) - bearing % 360) < 4


def test_view_is_90_degrees_wide_with_the_horizon_in_the_middle() -> None:
    pixels = np.asarray(crop(compass_panorama(), 180, 128)).astype(float)
    # From 180 - 45 to 180 + 45 degrees, at 1.5 degrees a step of red: 90 and 150.
    assert abs(pixels[64, 0, 0] - 90) < 2 and abs(pixels[64, -1, 0] - 150) < 2
    assert pixels[60, 64, 1] > 250 and pixels[67, 64, 1] < 5


@pytest.mark.parametrize(
    ("grid", "bearings"),
    # Facing 100: front, right / back, left; and 45 degrees to the left of these under the same labels.
    [("labelled", (100, 190, 280, 10)), ("official", (325, 55, 145, 235))],
)
def test_four_views_of_a_place(tmp_path: Path, grid: str, bearings: tuple[int, ...]) -> None:
    folder = write_folder(tmp_path / "views", {"a": HERE}, rotation=-20.0)
    picture = panorama_views(open_folder(str(folder)), HERE, 120, tile_pixels=32, grid=grid)
    assert picture.size == (69, 69)
    for number, bearing in enumerate(bearings):
        left, top = 37 * (number % 2), 37 * (number // 2)
        tile = picture.crop((left, top, left + 32, top + 32))
        assert abs(bearing_in_the_middle(tile) - bearing) < 8


def test_nearest_panorama_within_20_metres(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "views", {"a": HERE, "b": (40.0002, -74.0)})
    panoramas = open_folder(str(folder))
    assert panoramas.nearest((40.00005, -74.0)) == 0
    assert panoramas.nearest((40.00015, -74.0)) == 1
    assert panoramas.nearest((40.0005, -74.0)) is None  # 33 m


def test_points_of_a_rail_are_where_panoramas_were_taken(tmp_path: Path) -> None:
    # A leg of 0.001 degrees, 111 m; panoramas at 0, 2/5 and 3/5 of it, beside the line, and at its end.
    places = {"start": HERE, "two": (40.0004, -74.00005), "three": (40.0006, -74.00005), "end": (40.001, -74.0)}
    folder = write_folder(tmp_path / "views", places)
    entry = {
        "start_place": {"relocated_geocode": [40.00001, -74.0]},
        "init_heading": 90,
        "milestone_info": '{"to_next_intersection_heading": "0 (north)", "landmarks": "Bar is on your left"}',
        "route_results": {"geocode_list": [[40.00101, -74.0]]},
    }
    routes = tmp_path / "route_infos.json"
    routes.write_text(json.dumps([[entry], 1]), encoding="utf-8")
    task = find("navigation")
    given = {"routes": str(routes), "images": str(folder), "mode": "vision", "tile_pixels": 28, "drop_rate": 0.0}
    example = task.make(split="train", index=0, options=task.options_of(given))
    rail = example.meta["rail"]
    # 1/5 and 4/5 are 22 m from any panorama; 5/5 is the end.
    assert [point["place"] for point in rail] == [list(places[name]) for name in ("start", "two", "three", "end")]
    after = task.following(example)
    assert after is not None and after.images[0].data != example.images[0].data


def test_mapping_in_lines(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "views", {"a": HERE})
    (folder / "gps_pano_mapping.json").unlink()
    (tmp_path / "gps_pano_mapping.jsonl").write_text('{"lat": 40.0, "lon": -74.0, "pano_id": "a"}\n[41.0, -74.0, "b"]\n', encoding="utf-8")
    assert open_folder(str(folder)).ids == ("a", "b")


def test_pickle_is_not_opened_and_the_way_on_is_said(tmp_path: Path) -> None:
    (tmp_path / "gps_pano_mapping.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match=r"pickle.*gps_pano_mapping\.json"):
        open_folder(str(tmp_path))


@pytest.mark.parametrize("rows", ["{}", "[]", "[[1, 2]]", '[[1, 2, "../a"]]', '[["x", 2, "a"]]', "[[1, null, 3]]", "no"])
def test_broken_mappings_are_refused(tmp_path: Path, rows: str) -> None:
    (tmp_path / "gps_pano_mapping.json").write_text(rows, encoding="utf-8")
    with pytest.raises(DataError, match="gps_pano_mapping"):
        open_folder(str(tmp_path))


@pytest.mark.parametrize("metadata", ["{}", "[]", '{"rotation": "x"}', '{"rotation": NaN}', ""])
def test_broken_metadata_is_named(tmp_path: Path, metadata: str) -> None:
    folder = write_folder(tmp_path / "views", {"a": HERE})
    (folder / "a.metadata.json").write_text(metadata, encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.metadata\.json"):
        panorama_views(open_folder(str(folder)), HERE, 0, tile_pixels=28, grid="labelled")
