"""Small charts as inline SVG: training curves and interval bars. No scripts, no fonts, numbers only.

The strings hold nothing that a model or a user wrote but names, which are escaped.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

COLORS = ("#4063d8", "#c4551f", "#2e8b57", "#8e4ec6", "#b58900", "#00838f")
MAX_POINTS = 400
WIDTH, HEIGHT = 340, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 8, 22

Point = tuple[float, float]


def curve(series: Sequence[tuple[str, Sequence[Point]]], *, title: str) -> str:
    """Returns a line chart, one line per named series of (step, value); values that are not finite break the line.

    Example:
        >>> curve([("run", [(1, 0.0), (2, 1.0)])], title="reward").startswith("<svg")
        True
    """
    points = [(x, y) for _, line in series for x, y in line if math.isfinite(y)]
    if not points:
        return ""
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    right, high = (right if right > left else left + 1), (high if high > low else low + (abs(low) or 1.0))

    def place(x: float, y: float) -> str:
        across = _LEFT + (x - left) / (right - left) * (WIDTH - _LEFT - _RIGHT)
        down = _TOP + (high - y) / (high - low) * (HEIGHT - _TOP - _BOTTOM)
        return f"{across:.1f},{down:.1f}"

    parts = [_frame(title)]
    for value, down in ((low, HEIGHT - _BOTTOM), (high, _TOP + 8)):
        parts.append(f'<text x="{_LEFT - 4}" y="{down}" text-anchor="end">{value:.3g}</text>')
    for value, x, anchor in ((left, _LEFT, "start"), (right, WIDTH - _RIGHT, "end")):
        parts.append(f'<text x="{x}" y="{HEIGHT - 6}" text-anchor="{anchor}">{value:g}</text>')
    for index, (name, line) in enumerate(series):
        color = COLORS[index % len(COLORS)]
        for run in _runs(_thin(line)):
            path = " ".join(place(x, y) for x, y in run)
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"><title>{html.escape(name)}</title></polyline>'
            )
    return "".join([*parts, "</svg>"])


def interval_bar(mean: float, low: float | None, high: float | None, *, color: str = COLORS[0]) -> str:
    """Returns a bar from 0 to 1 at `mean` with a whisker from `low` to `high`."""
    width, height, end = 120, 14, mean * 120
    label = f"{100 * mean:.1f} percent"
    parts = [
        f'<svg class="bar" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{label}">',
        f'<rect x="0" y="3" width="{width}" height="8" fill="#8882"/>',
        f'<rect x="0" y="3" width="{end:.1f}" height="8" fill="{color}"/>',
    ]
    if low is not None and high is not None:
        left, right = f"{low * width:.1f}", f"{high * width:.1f}"
        parts.append(f'<path d="M{left} 1v12M{left} 7H{right}M{right} 1v12" stroke="currentColor" fill="none"/>')
    return "".join([*parts, "</svg>"])


def _frame(title: str) -> str:
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f'<path d="M{_LEFT} {_TOP}V{HEIGHT - _BOTTOM}H{WIDTH - _RIGHT}" stroke="currentColor" fill="none" opacity="0.4"/>'
    )


def _thin(line: Sequence[Point]) -> list[Point]:
    """At most MAX_POINTS points: means of equal stretches."""
    if len(line) <= MAX_POINTS:
        return list(line)
    size = math.ceil(len(line) / MAX_POINTS)
    stretches = [line[start : start + size] for start in range(0, len(line), size)]
    return [(stretch[-1][0], sum(y for _, y in stretch) / len(stretch)) for stretch in stretches]


def _runs(line: Sequence[Point]) -> list[list[Point]]:
    """The stretches without a value that is not finite."""
    runs: list[list[Point]] = [[]]
    for x, y in line:
        if math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
