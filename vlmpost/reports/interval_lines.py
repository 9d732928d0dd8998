"""Lines with an interval at each point, panels above each other over one axis, as inline SVG. No scripts; names are escaped.

Text and axes take the page's own colour, so that the picture can be read on a light and on a dark page.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from vlmpost.reports.charts import COLORS

WIDTH, PANEL = 640, 240
_LEFT, _RIGHT, _TOP, _GAP, _BOTTOM = 62, 176, 30, 34, 44
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
"""Of the lines beyond the last colour, so that no two lines look alike."""
MAX_RULERS = 5
MAX_TICKS = 11
"""Up to so many places across are named themselves; more get round numbers."""


@dataclass(frozen=True, slots=True)
class Place:
    """One point of a line; None for an end of the interval that is not known."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """What one panel shows: named lines, the same names in the same order in every panel."""

    title: str
    lines: tuple[tuple[str, tuple[Place, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to the picture's points, over a range widened to round numbers."""

    low: float
    high: float
    step: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def rulers(self) -> list[float]:
        return [self.low + index * self.step for index in range(round((self.high - self.low) / self.step) + 1)]


def interval_lines(panels: Sequence[Panel], *, x_title: str, title: str) -> str:
    """Returns the picture; "" where there is no point at all.

    Args:
        panels: From top to bottom; each has its own vertical axis.
        x_title: What goes across.
        title: What is drawn, for those who cannot see it.
    """
    across = [place.x for panel in panels for _, line in panel.lines for place in line]
    if not across:
        return ""
    height = _TOP + len(panels) * (PANEL + _GAP) + _BOTTOM - _GAP
    x_scale = _scale(across, start=_LEFT + 10, end=WIDTH - _RIGHT - 10)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lines" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{html.escape(title)}" font-family="sans-serif" font-size="12" fill="currentColor">'
    ]
    for index, panel in enumerate(panels):
        top = _TOP + index * (PANEL + _GAP)
        parts += _panel(panel, x_scale, top=top)
    bottom = height - _BOTTOM
    ticks = sorted(set(across)) if len(set(across)) <= MAX_TICKS else x_scale.rulers
    parts += [_text(x_scale.at(value), bottom + 16, f"{value:g}", "middle") for value in ticks]
    parts.append(_text((x_scale.start + x_scale.end) / 2, bottom + 36, x_title, "middle"))
    parts += _legend([name for name, _ in panels[0].lines])
    return "".join([*parts, "</svg>"])


def _panel(panel: Panel, x_scale: _Scale, *, top: float) -> list[str]:
    places = [place for _, line in panel.lines for place in line]
    values = [value for place in places for value in (place.y, place.low, place.high) if value is not None]
    scale = _scale(values, start=top + PANEL, end=top + 8)
    parts = [_text(_LEFT, top - 6, panel.title, "start")]
    for value in scale.rulers:
        parts.append(_line(_LEFT, scale.at(value), WIDTH - _RIGHT, scale.at(value), opacity=0.15))
        parts.append(_text(_LEFT - 6, scale.at(value) + 4, f"{value:g}", "end"))
    parts.append(_line(_LEFT, top, _LEFT, top + PANEL, opacity=0.5))
    parts.append(_line(_LEFT, top + PANEL, WIDTH - _RIGHT, top + PANEL, opacity=0.5))
    for index, (name, line) in enumerate(panel.lines):
        parts += _drawn(name, line, index, len(panel.lines), x_scale, scale)
    return parts


def _drawn(name: str, line: Sequence[Place], index: int, num_lines: int, x_scale: _Scale, scale: _Scale) -> list[str]:
    """One line; points of several lines at one place stand side by side, so that their intervals can be told apart."""
    shift = 5.0 * (index - (num_lines - 1) / 2) if num_lines <= 4 else 20.0 * (index / (num_lines - 1) - 0.5)
    color = COLORS[index % len(COLORS)]
    points = [(x_scale.at(place.x) + shift, scale.at(place.y), place) for place in sorted(line, key=lambda place: place.x)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    parts = [f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.6"{_dash(index)}/>']
    for x, y, place in points:
        if place.low is not None and place.high is not None:
            low, high = scale.at(place.low), scale.at(place.high)
            whisker = f"M{x:.1f} {low:.1f}V{high:.1f}M{x - 2.5:.1f} {low:.1f}h5M{x - 2.5:.1f} {high:.1f}h5"
            parts.append(f'<path d="{whisker}" stroke="{color}" fill="none" opacity="0.7"/>')
        said = html.escape(f"{name}: {place.x:g}, {place.y:.4g}")
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"><title>{said}</title></circle>')
    return parts


def _legend(names: Sequence[str]) -> list[str]:
    left, parts = WIDTH - _RIGHT + 14, []
    for index, name in enumerate(names):
        down, color = _TOP + 10 + 18 * index, COLORS[index % len(COLORS)]
        parts.append(f'<path d="M{left} {down}h22" stroke="{color}" stroke-width="2" fill="none"{_dash(index)}/>')
        parts.append(_text(left + 28, down + 4, name, "start"))
    return parts


def _dash(index: int) -> str:
    dashes = _DASHES[index // len(COLORS) % len(_DASHES)]
    return f' stroke-dasharray="{dashes}"' if dashes else ""


def _scale(values: Sequence[float], *, start: float, end: float) -> _Scale:
    """Over round numbers that take in all values."""
    low, high = min(values), max(values)
    room = (high - low) or abs(high) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(room / MAX_RULERS))
    step = next(factor * magnitude for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if room / (factor * magnitude) <= MAX_RULERS)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return _Scale(round(first * step, 12), round(max(last, first + 1) * step, 12), step, start, end)


def _line(x: float, y: float, to_x: float, to_y: float, *, opacity: float) -> str:
    return f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="currentColor" opacity="{opacity}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
