r"""Schedules over a run as a picture: in the terminal, one line for each curve; in a file, one panel for each kind of value.

A file is drawn as SVG, or as PNG with Pillow, from the same few shapes; no plotting package is needed. Knows no recipe: it is given curves.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from vlmpost import jsonl
from vlmpost.errors import ConfigError
from vlmpost.reports.charts import COLORS
from vlmpost.runs.directory import disk

SUFFIXES: Final = (".png", ".svg")
LINE_WIDTH: Final = 48
"""Characters of a curve in the terminal."""
_BLOCKS: Final = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_PLAIN: Final = "_.-~=*#@"
"""What a terminal that knows ASCII alone gets."""
_WIDTH, _PANEL_HEIGHT, _TOP, _BOTTOM = 860, 190, 62, 44
_LEFT, _RIGHT = 82, 230
_PNG_SCALE: Final = 2
_INK, _FAINT, _BAND = "#222222", "#888888", "#f2f2f2"


@dataclass(frozen=True)
class Curve:
    """A value over the run."""

    name: str
    points: tuple[tuple[float, float], ...]
    """(optimizer step of the whole strategy, value), steps rising; a gap in it is a NaN."""


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis."""

    title: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Span:
    """A stage on the axis of steps."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class _Text:
    x: float
    y: float
    text: str
    color: str = _INK
    anchor: str = "start"
    """start, middle or end."""
    size: int = 12


@dataclass(frozen=True)
class _Line:
    points: tuple[tuple[float, float], ...]
    color: str
    width: float = 1.0


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float
    color: str


_Shape = _Text | _Line | _Box


def lines(panels: Sequence[Panel], *, plain: bool = False) -> list[str]:
    """Returns a line of text for each curve: its name, the value at the start, the curve, the value at the end.

    Args:
        panels: What is drawn.
        plain: Use ASCII alone.
    """
    ramp = _PLAIN if plain else _BLOCKS
    width = max((len(curve.name) for panel in panels for curve in panel.curves), default=0)
    result = []
    for panel in panels:
        highest = max(_values(panel), default=0.0)
        result.append(panel.title)
        for curve in panel.curves:
            drawn = "".join(_block(value, highest, ramp) for value in _sampled(curve, panels))
            known = [value for _, value in curve.points if not math.isnan(value)]
            result.append(f"  {curve.name:{width}}  {known[0]:>8.3g} |{drawn}| {known[-1]:.3g}")
    return result


def write_picture(path: Path, panels: Sequence[Panel], spans: Sequence[Span], *, title: str) -> None:
    """Draws the panels, one below the other, over bands for the stages.

    Args:
        path: Ends in .svg or .png.
        panels: What is drawn.
        spans: Stages on the axis of steps.
        title: Above it all.

    Raises:
        ConfigError: The name ends otherwise.
        RunError: The disk refuses.
    """
    check_name(path)
    shapes, height = _shapes(panels, spans, title=title)
    if path.suffix.lower() == ".svg":
        jsonl.replace_text(path, _svg(shapes, height))
        return
    with disk(path):
        _png(shapes, height).save(path)


def check_name(path: Path) -> None:
    """Says whether a picture can have this name.

    Raises:
        ConfigError: It does not end in .svg or .png, or its folder is not there.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--picture {path}: expected a name that ends in {' or '.join(SUFFIXES)}.")
    if not path.parent.is_dir():
        raise ConfigError(f"--picture {path}: there is no folder {path.parent}; make it, or choose another.")


def _values(panel: Panel) -> list[float]:
    return [value for curve in panel.curves for _, value in curve.points if not math.isnan(value)]


def _sampled(curve: Curve, panels: Sequence[Panel]) -> list[float]:
    """The curve's values at even distances over the steps of the whole picture; NaN where it has none."""
    left, right = _extent(panels)
    result = []
    for index in range(LINE_WIDTH):
        at = left + (right - left) * index / (LINE_WIDTH - 1)
        past = [(step, value) for step, value in curve.points if step <= at]
        result.append(past[-1][1] if past and at <= curve.points[-1][0] else math.nan)
    return result


def _extent(panels: Sequence[Panel]) -> tuple[float, float]:
    steps = [step for panel in panels for curve in panel.curves for step, _ in curve.points]
    return min(steps, default=0.0), max(steps, default=1.0)


def _block(value: float, highest: float, ramp: str) -> str:
    if math.isnan(value):
        return " "
    return ramp[round(max(0.0, value) / highest * (len(ramp) - 1))] if highest else ramp[0]


def _shapes(panels: Sequence[Panel], spans: Sequence[Span], *, title: str) -> tuple[list[_Shape], int]:
    """All that is drawn, and how high the picture is."""
    height = _TOP + len(panels) * _PANEL_HEIGHT + _BOTTOM
    last = max([1.0, *(span.end for span in spans), _extent(panels)[1]])

    def across(step: float) -> float:
        return _LEFT + step / last * (_WIDTH - _LEFT - _RIGHT)

    shapes: list[_Shape] = [_Box(0, 0, _WIDTH, height, "#ffffff"), _Text(_LEFT, 22, title, size=15)]
    for index, span in enumerate(spans):
        if index % 2 == 0:
            shapes.append(_Box(across(span.start), _TOP - 4, across(span.end), height - _BOTTOM, _BAND))
        middle = (across(span.start) + across(span.end)) / 2
        shapes.append(_Text(middle, _TOP - 12, span.name, color=_FAINT, anchor="middle", size=11))
    for number, panel in enumerate(panels):
        shapes += _panel(panel, top=_TOP + number * _PANEL_HEIGHT, across=across, last=last)
    ends = sorted({0, *(span.end for span in spans)})
    shapes += [_Text(across(step), height - _BOTTOM + 18, f"{step:,}", color=_FAINT, anchor="middle", size=11) for step in ends]
    shapes.append(_Text((_LEFT + _WIDTH - _RIGHT) / 2, height - 8, "optimizer step", color=_FAINT, anchor="middle", size=11))
    return shapes, height


def _panel(panel: Panel, *, top: float, across: Callable[[float], float], last: float) -> list[_Shape]:
    values = _values(panel)
    low, high = min(0.0, *values), max([*values, 0.0]) or 1.0
    upper, lower = top + 28, top + _PANEL_HEIGHT - 14

    def down(value: float) -> float:
        return lower - (value - low) / (high - low) * (lower - upper)

    shapes: list[_Shape] = [_Text(_LEFT, top + 14, panel.title, size=12)]
    for value in (low, (low + high) / 2, high):
        shapes.append(_Line(((_LEFT, down(value)), (across(last), down(value))), "#dddddd"))
        shapes.append(_Text(_LEFT - 8, down(value) + 4, f"{value:.3g}", color=_FAINT, anchor="end", size=11))
    for index, curve in enumerate(panel.curves):
        color = COLORS[index % len(COLORS)]
        for part in _unbroken(curve):
            shapes.append(_Line(tuple((across(step), down(value)) for step, value in part), color, 2.0))
        key = upper + 8 + 20 * index
        shapes.append(_Line(((across(last) + 14, key - 4), (across(last) + 34, key - 4)), color, 3.0))
        shapes.append(_Text(across(last) + 40, key, curve.name, size=11))
    return shapes


def _unbroken(curve: Curve) -> list[list[tuple[float, float]]]:
    """The parts of a curve between its gaps."""
    parts: list[list[tuple[float, float]]] = [[]]
    for step, value in curve.points:
        if math.isnan(value):
            parts.append([])
        else:
            parts[-1].append((step, value))
    return [part for part in parts if part]


def _svg(shapes: Sequence[_Shape], height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    return "\n".join([f'{head} font-family="sans-serif">', *map(_svg_shape, shapes), "</svg>\n"])


def _svg_shape(shape: _Shape) -> str:
    if isinstance(shape, _Text):
        place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" fill="{shape.color}" font-size="{shape.size}" text-anchor="{shape.anchor}"'
        return f"<text {place}>{html.escape(shape.text)}</text>"
    if isinstance(shape, _Box):
        size = f'width="{shape.right - shape.left:.1f}" height="{shape.bottom - shape.top:.1f}"'
        return f'<rect x="{shape.left:.1f}" y="{shape.top:.1f}" {size} fill="{shape.color}"/>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
    return f'<polyline points="{points}" fill="none" stroke="{shape.color}" stroke-width="{shape.width:g}"/>'


def _png(shapes: Sequence[_Shape], height: int) -> Image.Image:
    image = Image.new("RGB", (_WIDTH * _PNG_SCALE, height * _PNG_SCALE), "#ffffff")
    draw = ImageDraw.Draw(image)
    anchors = {"start": "ls", "middle": "ms", "end": "rs"}
    for shape in shapes:
        if isinstance(shape, _Text):
            font = ImageFont.load_default(size=shape.size * _PNG_SCALE)
            place = (shape.x * _PNG_SCALE, shape.y * _PNG_SCALE)
            draw.text(place, shape.text, fill=shape.color, font=font, anchor=anchors[shape.anchor])
        elif isinstance(shape, _Box):
            draw.rectangle([value * _PNG_SCALE for value in (shape.left, shape.top, shape.right, shape.bottom)], fill=shape.color)
        else:
            points = [(x * _PNG_SCALE, y * _PNG_SCALE) for x, y in shape.points]
            draw.line(points, fill=shape.color, width=round(shape.width * _PNG_SCALE), joint="curve")
    return image
