"""Schedules drawn in the terminal and in files."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image

from vlmpost.errors import ConfigError
from vlmpost.reports.plan_picture import LINE_WIDTH, Curve, Panel, Span, lines, write_picture

FALLING = Panel("weights", (Curve("hint", ((0, 1.0), (47, 0.0))), Curve("late <one>", ((24, math.nan), (24, 0.5), (47, 0.5)))))
SPANS = [Span("01_sft", 0, 24), Span("02_rl", 24, 47)]


def test_a_curve_is_as_wide_as_the_run_and_empty_where_it_has_no_value() -> None:
    title, first, second = lines([FALLING], plain=True)
    assert title == "weights"
    # The last known value is held until the next point: 1 up to the end, where it is 0.
    assert first.split("|")[1] == "@" * 47 + "_"
    # 0.5 of the highest value 1 is place round(0.5 * 7) = 4 of "_.-~=*#@", from step 24 on.
    assert second.split("|")[1] == " " * 24 + "=" * (LINE_WIDTH - 24)
    assert first.split()[:2] == ["hint", "1"]
    assert first.endswith("| 0")


def test_curves_of_a_panel_share_a_scale() -> None:
    drawn = lines([Panel("w", (Curve("a", ((0, 2.0), (1, 2.0))), Curve("b", ((0, 0.0), (1, 0.0)))))], plain=True)
    assert {drawn[1].split("|")[1], drawn[2].split("|")[1]} == {"@" * LINE_WIDTH, "_" * LINE_WIDTH}


def test_an_svg_names_stages_and_curves_and_breaks_lines_at_gaps(tmp_path: Path) -> None:
    write_picture(tmp_path / "plan.svg", [FALLING], SPANS, title="two & stages")
    root = ElementTree.parse(tmp_path / "plan.svg").getroot()
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"two & stages", "weights", "hint", "late <one>", "01_sft", "02_rl", "47"} <= set(texts)
    colored = [element for element in root.iter("{http://www.w3.org/2000/svg}polyline") if element.get("stroke-width") == "2"]
    assert len(colored) == 2


def test_a_falling_curve_falls_in_the_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "plan.svg", [Panel("w", (Curve("a", ((0, 1.0), (10, 0.0))),))], [Span("s", 0, 10)], title="t")
    root = ElementTree.parse(tmp_path / "plan.svg").getroot()
    line = next(element for element in root.iter("{http://www.w3.org/2000/svg}polyline") if element.get("stroke-width") == "2")
    (x0, y0), (x1, y1) = (tuple(map(float, point.split(","))) for point in str(line.get("points")).split())
    assert x0 < x1
    assert y0 < y1  # down is more


def test_a_png_holds_the_same_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "plan.png", [FALLING], SPANS, title="two stages")
    image = Image.open(tmp_path / "plan.png").convert("RGB")
    colors = {color for _, color in image.getcolors(2**24) or []}
    assert {(0x40, 0x63, 0xD8), (0xC4, 0x55, 0x1F), (0xF2, 0xF2, 0xF2)} <= colors  # two curves, and the band of the first stage


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a name that ends in .png or .svg"):
        write_picture(tmp_path / "plan.pdf", [FALLING], SPANS, title="t")
