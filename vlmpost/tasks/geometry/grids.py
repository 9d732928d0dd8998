"""Points on squared paper with axes. Each kind has its usual question and a changed one."""

from __future__ import annotations

import random

from vlmpost.tasks.geometry.figure import Figure, Grid
from vlmpost.tasks.geometry.marks import Dot, Label, Line, Place

_GRID = Grid(-5, 5)
_NUMBERS = -0.5
"""Where about the numbers stand beside both axes."""
_LEGS = ((3, 4), (4, 3), (6, 8), (8, 6))
_POINT_QUESTIONS = ("What are the coordinates of the point P? Give them as (x, y).", "Where is the point P? Give it as (x, y).")


def point(rng: random.Random, *, changed: bool) -> Figure:
    """A point: its coordinates, or those of its mirror image in the y-axis."""
    x, y = rng.choice([value for value in range(-5, 6) if value]), rng.randint(-5, 5)
    question, answer = rng.choice(_POINT_QUESTIONS), f"({x}, {y})"
    reasoning = f"P is at {x} on the x-axis and at {y} on the y-axis."
    if changed:
        question, answer = (
            "The point P is mirrored in the y-axis. What are the coordinates of its image? Give them as (x, y).",
            f"({-x}, {y})",
        )
        reasoning += f" Mirroring in the y-axis changes the sign of x to {-x}."
    marks = [*_GRID.marks(), Dot(_GRID.place(x, y)), _name("P", (x, y))]
    return Figure(question, answer, reasoning, {"point": [x, y]}, marks, answer_type="text")


def distance(rng: random.Random, *, changed: bool) -> Figure:
    """Two points: how far they are apart, or how long the way between them is along the lines of the grid."""
    across, up = rng.choice(_LEGS)
    up *= rng.choice((-1, 1))
    x, y = rng.randint(-5, 5 - across), rng.randint(-5 + max(0, -up), 5 - max(0, up))
    ends = [(x, y), (x + across, y + up)]
    rng.shuffle(ends)
    straight = {4: 5, 8: 10}[max(across, abs(up))]
    question, answer = "How far apart are the points P and Q?", straight
    reasoning = f"They are {across} apart across and {abs(up)} up or down, and {across}*{across}+{abs(up)}*{abs(up)}={straight}*{straight}."
    if changed:
        question, answer = "How long is the shortest way from P to Q along the lines of the grid?", across + abs(up)
        reasoning = f"{across} across and {abs(up)} up or down: {across}+{abs(up)}={answer}."
    labels = [_name("P", ends[0], towards=ends[1]), _name("Q", ends[1], towards=ends[0])]
    marks = [*_GRID.marks(), Line(tuple(_GRID.place(*end) for end in ends)), *(Dot(_GRID.place(*end)) for end in ends), *labels]
    return Figure(question, str(answer), reasoning, {"points": [list(end) for end in ends]}, marks)


def area(rng: random.Random, *, changed: bool) -> Figure:
    """A triangle with corners on the grid: its area, or that of the smallest upright rectangle around it."""
    while True:
        (a, b), (c, d), (e, f) = corners = [(rng.randint(-5, 5), rng.randint(-5, 5)) for _ in range(3)]
        doubled = abs(a * (d - f) + c * (f - b) + e * (b - d))
        if doubled % 2 == 0 and doubled >= 8:
            break
    question, answer = "What is the area of the triangle? A square of the grid has area 1.", doubled // 2
    terms = "+".join(f"({x})*({below}-({above}))" for x, below, above in ((a, d, f), (c, f, b), (e, b, d)))
    signed = a * (d - f) + c * (f - b) + e * (b - d)
    reasoning = f"Its corners are ({a}, {b}), ({c}, {d}) and ({e}, {f}). Twice the area is {terms}={signed} without its sign, so {answer}."
    if changed:
        wide, high = max(a, c, e) - min(a, c, e), max(b, d, f) - min(b, d, f)
        question, answer = "What is the area of the smallest rectangle with sides along the grid that holds the triangle?", wide * high
        reasoning = f"The triangle is {wide} wide and {high} high: {wide}*{high}={answer}."
    outline = Line(tuple(_GRID.place(*corner) for corner in corners), closed=True, filled=True)
    return Figure(question, str(answer), reasoning, {"points": [list(corner) for corner in corners]}, [outline, *_GRID.marks()])


def _name(text: str, point: Place, *, towards: Place | None = None) -> Label:
    """Returns a point's name in the quarter of its surroundings that is on the grid, off the numbers at the axes and far from a line."""

    def merit(step: Place) -> tuple[bool, float]:
        x, y = point[0] + step[0], point[1] + step[1]
        free = max(abs(x), abs(y)) <= _GRID.high and x != _NUMBERS and y != _NUMBERS
        if towards is None:
            return free, step[0] + step[1] / 2
        across, up = towards[0] - point[0], towards[1] - point[1]
        return free, abs(across * step[1] - up * step[0]) - 0.1 * (across * step[0] + up * step[1])

    step = max(((x, y) for x in (-0.5, 0.5) for y in (-0.5, 0.5)), key=merit)
    return Label(text, _GRID.place(point[0] + step[0], point[1] + step[1]))
