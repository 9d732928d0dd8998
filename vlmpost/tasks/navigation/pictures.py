"""Where the picture of a point comes from: a drawn city, open country, or the user's panoramas."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from vlmpost.tasks.navigation.panoramas import open_folder, panorama_views
from vlmpost.tasks.navigation.route import Place, Point
from vlmpost.tasks.navigation.scene import Scene, city_scene, country_scene
from vlmpost.tasks.navigation.styles import STYLES, StyleName
from vlmpost.tasks.navigation.views import Grid, draw_views


@dataclass(frozen=True, slots=True)
class View:
    """How points are shown."""

    tile_pixels: int
    """Side of one of the four views."""
    grid: Grid
    style: StyleName = "ashford"
    """The style pack of what is drawn."""
    city: str | None = None
    """The drawn city. None: open country, if there are no panoramas."""
    panoramas: str | None = None
    """The folder of the user's panoramas. None: the picture is drawn."""


def draw(view: View, rail: Sequence[Point], at: int) -> Image.Image:
    """Returns what is seen at a point of a rail.

    Raises:
        DataError: A panorama is missing or broken.
    """
    here = rail[at]
    assert here.place is not None, "a state with a picture has places"
    if view.panoramas is not None:
        return panorama_views(open_folder(view.panoramas), here.place, here.heading, tile_pixels=view.tile_pixels, grid=view.grid)
    if view.city is not None:
        return _city_view(view, here.place, here.heading)
    return _drawn(view, country_scene(rail, at), here.place, here.heading)


@functools.lru_cache(maxsize=8)
def _city_view(view: View, place: Place, heading: float) -> Image.Image:
    """Kept for a moment, as the state that follows is asked for more than once."""
    assert view.city is not None
    return _drawn(view, city_scene(view.city, place), place, heading)


def _drawn(view: View, scene: Scene, place: Place, heading: float) -> Image.Image:
    return draw_views(scene, place, heading, STYLES[view.style], tile_pixels=view.tile_pixels, grid=view.grid)


def view_json(view: View) -> dict[str, object]:
    """Returns a view as JSON values."""
    values: dict[str, object] = {"tile_pixels": view.tile_pixels, "grid": view.grid}
    if view.panoramas is not None:
        return values | {"panoramas": view.panoramas}
    return values | {"style": view.style} | ({"city": view.city} if view.city is not None else {})


def view_from_json(values: Mapping[str, Any]) -> View:  # Any: JSON
    """Returns the view that JSON values describe.

    Raises:
        KeyError, TypeError: They describe none.
    """
    view = View(**values)
    _ = STYLES[view.style]
    return view
