"""Pictures: well-formed, escaped, and as high as their numbers."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from vlmpost.reports.bars import Bar, Dot, Series, grouped_bars, scatter

HOSTILE = '"><script>alert(1)</script>'


def bars_of(svg: str) -> list[tuple[float, float]]:
    """Top and height of each bar."""
    root = ElementTree.fromstring(svg)
    return [(float(rect.attrib["y"]), float(rect.attrib["height"])) for rect in root.iter("rect")]


def test_bars_rise_from_zero_and_losses_hang_below_it() -> None:
    series = [Series("SFT", "#111111", (Bar(10.0, 10.0, 10.0), Bar(-5.0, -5.0, -5.0)))]
    (top, height), (low_top, low_height) = bars_of(grouped_bars(["L1", "L2"], series, title="gain", unit="points"))
    assert top + height == pytest.approx(low_top, abs=0.11), "both stand on the line of 0"
    assert height == pytest.approx(2 * low_height, rel=0.01)


def test_a_level_without_a_figure_has_no_bar() -> None:
    series = [Series("SFT", "#111111", (None, Bar(1.0, 0.5, 1.5)))]
    assert len(bars_of(grouped_bars(["L1", "L2"], series, title="gain", unit="points"))) == 1
    assert grouped_bars(["L1"], [Series("SFT", "#111111", (None,))], title="gain", unit="points") == ""


def test_names_are_escaped() -> None:
    for svg in (
        grouped_bars([HOSTILE], [Series(HOSTILE, "#111111", (Bar(1.0, 0.5, 1.5),))], title=HOSTILE, unit=HOSTILE),
        scatter([Dot(HOSTILE, "#111111", 1.0, 2.0)], title=HOSTILE, across=HOSTILE, up=HOSTILE),
    ):
        root = ElementTree.fromstring(svg)
        assert not [element for element in root.iter() if element.tag.endswith("script")]


def test_text_takes_the_colour_of_the_page() -> None:
    svg = scatter([Dot("base", "#111111", 1.0, 2.0)], title="t", across="tokens", up="accuracy")
    colours = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]+)"', svg))
    assert colours == {"#111111"}
    assert scatter([], title="t", across="tokens", up="accuracy") == ""


def test_points_lie_as_their_numbers_do() -> None:
    root = ElementTree.fromstring(
        scatter([Dot("a", "#111111", 10.0, 40.0), Dot("b", "#222222", 20.0, 60.0)], title="t", across="x", up="y")
    )
    first, second = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in root.iter("circle")]
    assert first[0] < second[0]
    assert first[1] > second[1], "up is towards 0"
