"""The picture of lines with intervals: what is drawn where, and what is escaped."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from vlmpost.reports.interval_lines import Panel, Place, interval_lines

SPACE = "{http://www.w3.org/2000/svg}"


def drawn(*places: Place, name: str = "linear") -> ET.Element:
    return ET.fromstring(interval_lines([Panel("accuracy", ((name, places),))], x_title="ratio", title="merges"))


def test_nothing_to_draw_is_no_picture() -> None:
    assert interval_lines([Panel("accuracy", (("linear", ()),))], x_title="ratio", title="merges") == ""


def test_higher_values_stand_higher_and_an_unknown_interval_has_no_whisker() -> None:
    root = drawn(Place(0, 10, 5, 15), Place(1, 20))
    first, second = root.iter(f"{SPACE}circle")
    assert float(first.attrib["cx"]) < float(second.attrib["cx"])
    assert float(first.attrib["cy"]) > float(second.attrib["cy"])
    whiskers = [path for path in root.iter(f"{SPACE}path") if path.attrib.get("opacity") == "0.7"]
    assert len(whiskers) == 1


def test_rulers_are_round_and_take_in_the_intervals() -> None:
    texts = [text.text for text in drawn(Place(0, 37.5, 21.2, 57.3), Place(1, 45.8, 27.9, 64.9)).iter(f"{SPACE}text")]
    # From 21.2 to 64.9 in at most five steps of 1, 2, 2.5, 5 or 10 times ten: steps of 10.
    assert [text for text in texts if text in ("20", "30", "40", "50", "60", "70")] == ["20", "30", "40", "50", "60", "70"]


def test_equal_values_and_one_point_are_drawn() -> None:
    for places in ((Place(0.5, 3.0),), (Place(0, 0.0), Place(1, 0.0))):
        assert len(list(drawn(*places).iter(f"{SPACE}circle"))) == len(places)


def test_names_are_escaped() -> None:
    assert any(text.text == "<b>&" for text in drawn(Place(0, 1), name="<b>&").iter(f"{SPACE}text"))
