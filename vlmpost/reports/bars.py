"""Two pictures of several models as inline SVG: bars in groups, and points with names. No scripts, numbers and escaped names only.

Text and lines take the page's own colour, so that both can be read on a light and on a dark page; the bars' colours suit either.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

PALETTE = ("#8a8f98", "#3f7fd9", "#d9772b", "#3d9a5f", "#a35fd0", "#c2a01c", "#2a9aa6", "#d0577e")
"""One colour a model, the base's first."""
WIDTH, HEIGHT = 860, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 34


@dataclass(frozen=True, slots=True)
class Bar:
    """One value with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Series:
    """A model's bars, one for each group; None draws nothing."""

    name: str
    color: str
    bars: tuple[Bar | None, ...]


def grouped_bars(groups: Sequence[str], series: Sequence[Series], *, title: str, unit: str) -> str:
    """Returns bars from 0, in groups, each with a whisker; "" where there is no bar at all.

    Args:
        groups: Names under the groups.
        series: Each with as many bars as there are groups.
        title: What is drawn, for those who cannot see it.
        unit: What the axis counts.
    """
    known = [bar for one in series for bar in one.bars if bar is not None]
    if not known:
        return ""
    axis = _Axis.around([0.0, *(bar.low for bar in known), *(bar.high for bar in known)], start=HEIGHT - _BOTTOM, end=_TOP)
    parts = [_frame(title), *_rulers(axis, unit)]
    room = (WIDTH - _LEFT - _RIGHT) / len(groups)
    width = 0.84 * room / len(series)
    for place, group in enumerate(groups):
        left = _LEFT + place * room + 0.08 * room
        parts.append(_text(left + 0.42 * room, HEIGHT - 12, group, anchor="middle"))
        for index, one in enumerate(series):
            bar = one.bars[place]
            if bar is not None:
                parts += _bar(bar, x=left + index * width, width=width, axis=axis, series=one, group=group)
    return "".join([*parts, _line(_LEFT, axis.at(0.0), WIDTH - _RIGHT, axis.at(0.0), opacity=0.9), "</svg>"])


@dataclass(frozen=True, slots=True)
class Dot:
    """A model's place."""

    name: str
    color: str
    x: float
    y: float


def scatter(dots: Sequence[Dot], *, title: str, across: str, up: str) -> str:
    """Returns named points; "" where there are none.

    Args:
        dots: The points.
        title: What is drawn, for those who cannot see it.
        across: What the horizontal axis counts.
        up: What the vertical axis counts.
    """
    if not dots:
        return ""
    vertical = _Axis.around([dot.y for dot in dots], start=HEIGHT - _BOTTOM, end=_TOP)
    horizontal = _Axis.around([dot.x for dot in dots], start=_LEFT, end=WIDTH - _RIGHT)
    parts = [_frame(title), *_rulers(vertical, up)]
    parts += [_text(horizontal.at(tick), HEIGHT - 18, f"{tick:g}", anchor="middle") for tick in horizontal.ticks]
    parts.append(_text(WIDTH - _RIGHT, HEIGHT - 4, across, anchor="end"))
    heights = _apart([vertical.at(dot.y) for dot in dots])
    for dot, height in zip(dots, heights, strict=True):
        x, y = horizontal.at(dot.x), vertical.at(dot.y)
        side = -1 if x > 0.8 * WIDTH else 1
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{dot.color}"><title>{html.escape(dot.name)}</title></circle>')
        parts.append(_line(x + side * 5, y, x + side * 16, height, opacity=0.4))
        parts.append(_text(x + side * 18, height + 4, dot.name, anchor="start" if side > 0 else "end"))
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values to places, with round values to rule lines at."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    @staticmethod
    def around(values: Sequence[float], *, start: float, end: float) -> _Axis:
        step = _round_step(max(values) - min(values))
        first, last = math.floor(min(values) / step), math.ceil(max(values) / step)
        last = last if last > first else first + 1
        return _Axis(first * step, last * step, start, end, tuple(number * step for number in range(first, last + 1)))

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _apart(heights: Sequence[float], *, least: float = 12.0) -> list[float]:
    """The heights of names, moved down where they would cover each other.

    >>> _apart([50.0, 20.0, 52.0])
    [50.0, 20.0, 62.0]
    """
    moved = list(heights)
    above = float("-inf")
    for index in sorted(range(len(heights)), key=lambda place: heights[place]):
        moved[index] = above = max(heights[index], above + least)
    return moved


def _round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, so that about five of them span the values.

    >>> [_round_step(span) for span in (43.0, 0.0, 7.1)]
    [10.0, 1.0, 2.0]
    """
    if span <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / 5))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= span / 5)


def _bar(bar: Bar, *, x: float, width: float, axis: _Axis, series: Series, group: str) -> list[str]:
    top, bottom = sorted((axis.at(bar.value), axis.at(0.0)))
    said = html.escape(f"{series.name}, {group}: {bar.value:+.1f} [{bar.low:.1f}, {bar.high:.1f}]")
    middle = x + width / 2
    return [
        f'<rect x="{x:.1f}" y="{top:.1f}" width="{0.9 * width:.1f}" height="{max(1.0, bottom - top):.1f}" fill="{series.color}">'
        f"<title>{said}</title></rect>",
        _line(middle, axis.at(bar.low), middle, axis.at(bar.high), opacity=0.7),
    ]


def _rulers(axis: _Axis, unit: str) -> list[str]:
    """Lines at round values with their numbers, and what they count."""
    parts = []
    for tick in axis.ticks:
        parts.append(_line(_LEFT, axis.at(tick), WIDTH - _RIGHT, axis.at(tick), opacity=0.15))
        parts.append(_text(_LEFT - 6, axis.at(tick) + 4, f"{tick:g}", anchor="end"))
    return [
        *parts,
        f'<text x="12" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 12 {HEIGHT / 2})">{html.escape(unit)}</text>',
    ]


def _frame(title: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{html.escape(title)}">'


def _line(x1: float, y1: float, x2: float, y2: float, *, opacity: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="currentColor" opacity="{opacity}" fill="none"/>'


def _text(x: float, y: float, text: str, *, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
