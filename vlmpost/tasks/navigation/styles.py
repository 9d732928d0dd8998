"""Style packs: how a city looks. To train on some and hold out others is the visual shift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from vlmpost.tasks.navigation.lettering import Colour, Hand

Roofs = Literal["flat", "gabled", "stepped"]
Marking = Literal["dashed", "solid", "double", "none"]
SignShape = Literal["board", "rounded", "pointed", "banner"]
Weather = Literal["clear", "fog", "rain", "snow"]
StyleName = Literal["ashford", "brookmere", "copperton", "duskhaven", "eastwick", "frostgate"]
"""The style packs, each named after the drawn city that it is the look of."""


@dataclass(frozen=True, slots=True)
class StylePack:
    """The look of a city."""

    sky: tuple[Colour, Colour]
    """At the top of a view, and at the horizon; what is far away fades into the latter."""
    ground: Colour
    pavement: Colour
    road: Colour
    line: Colour
    walls: tuple[Colour, ...]
    window: Colour
    roofs: Roofs
    heights: tuple[int, int]
    """Lowest and highest building, in metres."""
    marking: Marking
    sign: SignShape
    signs: tuple[tuple[Colour, Colour], ...]
    """Pairs of board and letters."""
    hand: Hand
    weather: Weather
    sight_metres: float
    """Where things have faded to a third."""


STYLES: Mapping[StyleName, StylePack] = MappingProxyType(
    {
        "ashford": StylePack(
            sky=((92, 148, 214), (205, 225, 240)),
            ground=(126, 150, 96),
            pavement=(178, 174, 166),
            road=(88, 90, 94),
            line=(236, 236, 228),
            walls=((176, 106, 84), (198, 152, 112), (150, 92, 78), (206, 188, 160), (134, 112, 104)),
            window=(70, 90, 112),
            roofs="flat",
            heights=(9, 24),
            marking="dashed",
            sign="board",
            signs=(((28, 66, 130), (255, 255, 255)), ((20, 96, 60), (255, 255, 255)), ((150, 30, 34), (255, 250, 235))),
            hand="square",
            weather="clear",
            sight_metres=170,
        ),
        "brookmere": StylePack(
            sky=((120, 176, 222), (226, 236, 232)),
            ground=(96, 140, 78),
            pavement=(206, 196, 172),
            road=(120, 112, 106),
            line=(245, 240, 220),
            walls=((240, 226, 196), (226, 188, 140), (206, 214, 190), (232, 206, 206), (186, 204, 214)),
            window=(88, 66, 54),
            roofs="gabled",
            heights=(6, 13),
            marking="none",
            sign="rounded",
            signs=(((250, 244, 214), (80, 44, 20)), ((236, 222, 240), (76, 24, 96)), ((214, 236, 216), (12, 72, 40))),
            hand="bold",
            weather="clear",
            sight_metres=220,
        ),
        "copperton": StylePack(
            sky=((176, 182, 190), (214, 216, 216)),
            ground=(140, 134, 122),
            pavement=(160, 156, 150),
            road=(70, 72, 76),
            line=(240, 196, 60),
            walls=((122, 128, 136), (154, 160, 164), (98, 104, 116), (172, 148, 120), (138, 122, 112)),
            window=(188, 208, 222),
            roofs="stepped",
            heights=(14, 40),
            marking="double",
            sign="pointed",
            signs=(((250, 200, 40), (20, 20, 20)), ((240, 240, 240), (24, 24, 60)), ((240, 130, 40), (30, 16, 8))),
            hand="square",
            weather="fog",
            sight_metres=85,
        ),
        "duskhaven": StylePack(
            sky=((26, 26, 66), (222, 128, 96)),
            ground=(54, 58, 62),
            pavement=(84, 80, 92),
            road=(42, 42, 52),
            line=(206, 200, 190),
            walls=((70, 62, 88), (90, 72, 84), (58, 66, 92), (104, 84, 82), (62, 56, 74)),
            window=(250, 206, 112),
            roofs="flat",
            heights=(12, 34),
            marking="solid",
            sign="board",
            signs=(((16, 16, 24), (110, 240, 220)), ((24, 10, 30), (255, 130, 200)), ((14, 22, 16), (190, 250, 110))),
            hand="dotted",
            weather="clear",
            sight_metres=150,
        ),
        "eastwick": StylePack(
            sky=((108, 122, 138), (166, 176, 184)),
            ground=(92, 104, 92),
            pavement=(132, 136, 140),
            road=(58, 62, 70),
            line=(220, 224, 226),
            walls=((104, 118, 134), (142, 110, 98), (120, 130, 120), (158, 144, 130), (90, 98, 112)),
            window=(202, 190, 140),
            roofs="gabled",
            heights=(9, 20),
            marking="dashed",
            sign="banner",
            signs=(((142, 22, 44), (255, 240, 220)), ((18, 80, 96), (240, 250, 250)), ((84, 40, 110), (248, 240, 252))),
            hand="slanted",
            weather="rain",
            sight_metres=120,
        ),
        "frostgate": StylePack(
            sky=((186, 206, 226), (236, 240, 244)),
            ground=(236, 240, 244),
            pavement=(214, 220, 228),
            road=(142, 150, 162),
            line=(250, 250, 250),
            walls=((172, 70, 60), (214, 172, 84), (74, 104, 140), (96, 132, 116), (188, 184, 178)),
            window=(46, 58, 78),
            roofs="stepped",
            heights=(7, 17),
            marking="none",
            sign="pointed",
            signs=(((20, 70, 60), (250, 250, 240)), ((40, 50, 100), (250, 250, 250)), ((120, 46, 20), (255, 248, 236))),
            hand="bold",
            weather="snow",
            sight_metres=130,
        ),
    }
)
TRAINING_CITIES: tuple[StyleName, ...] = ("ashford", "brookmere", "copperton")
HELD_OUT_CITIES: tuple[StyleName, ...] = ("duskhaven", "eastwick", "frostgate")
