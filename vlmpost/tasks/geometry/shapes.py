"""Figures with labelled sides and angles: polygons, rectangles, steps, triangles. Each has its usual question and a changed one."""

from __future__ import annotations

import math
import random
from itertools import pairwise

from vlmpost.tasks.geometry.figure import Figure, beside, fitted, triangle_of, turned, within
from vlmpost.tasks.geometry.marks import Label, Line, Mark, Place

_TRIPLES = ((3, 4, 5), (6, 8, 10), (5, 12, 13), (8, 15, 17), (9, 12, 15), (12, 16, 20), (15, 20, 25), (20, 21, 29), (10, 24, 26))
_OUTSIDE = 0.065


def sides(rng: random.Random, *, changed: bool) -> Figure:
    """A polygon of 3 to 9 corners: how many sides, or how many diagonals (4 to 7 corners)."""
    number = rng.randint(4, 7) if changed else rng.randint(3, 9)
    angles = [(place + rng.uniform(-0.2, 0.2)) * 360 / number for place in range(number)]
    start = rng.uniform(0, 360)
    corners = [turned([(1.0, 0.0)], start + angle)[0] for angle in angles]
    places = tuple((round(x, 3), round(y, 3)) for x, y in fitted(corners, low=0.12, high=0.88))
    if changed:
        question, answer = "How many diagonals does this polygon have?", number * (number - 3) // 2
        reasoning = f"It has {number} corners, each with {number - 3} diagonals, counted twice: {number}*{number - 3}/2={answer}."
    else:
        question, answer = rng.choice(("How many sides does this polygon have?", "Count the sides of this polygon.")), number
        reasoning = f"Going around, there are {number} sides."
    return Figure(
        question, str(answer), reasoning, {"corners": [list(place) for place in places]}, [Line(places, closed=True, filled=True)]
    )


def rectangle(rng: random.Random, *, changed: bool) -> Figure:
    """A rectangle: its area, or its perimeter."""
    wide, high = rng.randint(3, 20), rng.randint(3, 20)
    places = fitted([(0, 0), (wide, 0), (wide, high), (0, high)])
    if changed:
        question, answer = "What is the perimeter of the rectangle?", 2 * (wide + high)
        reasoning = f"2*({wide}+{high})={answer}."
    else:
        question, answer = rng.choice(("What is the area of the rectangle?", "How large is the area of the rectangle?")), wide * high
        reasoning = f"{wide}*{high}={answer}."
    marks = [Line(tuple(places), closed=True, filled=True), *_side_labels(places, [str(wide), str(high), "", ""])]
    return Figure(question, str(answer), reasoning, {"sides": [wide, high]}, marks)


def steps(rng: random.Random, *, changed: bool, num_steps: int) -> Figure:
    """Stairs of two or three steps, the first of which make an L: the area, or the perimeter."""
    treads = [rng.randint(4, 9) for _ in range(num_steps)]
    rises = [rng.randint(4, 9) for _ in range(num_steps)]
    heights = [sum(rises[place:]) for place in range(num_steps)]
    wide, high = sum(treads), heights[0]
    outline: list[Place] = [(0, 0), (wide, 0)]
    for place in reversed(range(num_steps)):
        right = sum(treads[: place + 1])
        outline += [(right, heights[place]), (right - treads[place], heights[place])]
    if changed:
        question, answer = "What is the perimeter of the figure? All its corners are right angles.", 2 * (wide + high)
        reasoning = f"The steps together are as wide as {wide} and as high as {high}: 2*({wide}+{high})={answer}."
    else:
        question = "What is the area of the figure? All its corners are right angles."
        answer = sum(tread * height for tread, height in zip(treads, heights, strict=True))
        parts = "+".join(f"{tread}*{height}" for tread, height in zip(treads, heights, strict=True))
        reasoning = f"Cut into upright rectangles: {parts}={answer}."
    places = fitted(outline, low=0.16, high=0.84)
    upright = [text for rise in reversed(rises) for text in (str(rise), "")]
    level = [text for tread in reversed(treads) for text in ("", str(tread))]
    outer = _side_labels(places, [str(wide), *upright, str(high)])
    inner = _side_labels(places, ["", *level, ""], distance=-_OUTSIDE)
    marks = [Line(tuple(places), closed=True, filled=True), *outer, *inner]
    return Figure(question, str(answer), reasoning, {"treads": treads, "rises": rises}, marks)


def triangle_angle(rng: random.Random, *, changed: bool) -> Figure:
    """A triangle with two of its angles: the third, or the exterior angle there."""
    while True:
        first, second = rng.randint(30, 110), rng.randint(30, 110)
        if 180 - first - second >= 30:
            break
    third = 180 - first - second
    reasoning = f"180-{first}-{second}={third}."
    question, answer = "What is the angle marked with a question mark, in degrees?", third
    if changed:
        question, answer = "What is the exterior angle at the corner marked with a question mark, in degrees?", first + second
        reasoning = f"The exterior angle is the sum of the two others: {first}+{second}={answer}."
    turn = rng.randrange(0, 360, 15)
    marks = _angled(
        fitted(turned(triangle_of(first, second), turn), low=0.1, high=0.9), [first, second, third], [f"{first}'", f"{second}'", "?"]
    )
    return Figure(question, str(answer), reasoning, {"angles": [first, second, third], "turn": turn}, marks)


def isosceles(rng: random.Random, *, changed: bool) -> Figure:
    """A triangle with two equal sides and the angle between them: one of the two others, or the exterior angle there."""
    base = rng.randint(32, 74)
    apex = 180 - 2 * base
    reasoning = f"The two angles at the base are equal: (180-{apex})/2={base}."
    question, answer = "The two sides with a stroke are equal. What is the angle marked with a question mark, in degrees?", base
    if changed:
        question = (
            "The two sides with a stroke are equal. What is the exterior angle at the corner marked with a question mark, in degrees?"
        )
        answer = 180 - base
        reasoning += f" The exterior angle is 180-{base}={answer}."
    turn = rng.randrange(0, 360, 15)
    places = fitted(turned(triangle_of(base, base), turn), low=0.1, high=0.9)
    marks = _angled(places, [base, base, apex], ["?", "", f"{apex}'"])
    return Figure(question, str(answer), reasoning, {"angles": [base, base, apex], "turn": turn}, [*marks, *_strokes(places)])


def right_triangle(rng: random.Random, *, changed: bool) -> Figure:
    """A right-angled triangle with two of its sides: the third, or the perimeter."""
    one, other, longest = rng.choice(_TRIPLES)
    legs = [one, other] if rng.random() < 0.5 else [other, one]
    lengths = [legs[0], longest, legs[1]]
    unknown = rng.randrange(3)
    squares = f"{one}*{one}+{other}*{other}={longest}*{longest}"
    question, answer = "The corner with the square is a right angle. How long is the side marked with a question mark?", lengths[unknown]
    reasoning = f"By Pythagoras {squares}, so the side is {answer}."
    if changed:
        question, answer = "The corner with the square is a right angle. What is the perimeter of the triangle?", sum(lengths)
        reasoning = f"By Pythagoras {squares}, so the sides add up to {lengths[0]}+{lengths[1]}+{lengths[2]}={answer}."
    turn = rng.randrange(0, 360, 15)
    places = fitted(turned([(0, 0), (legs[0], 0), (0, legs[1])], turn))
    labels = ["?" if place == unknown else str(length) for place, length in enumerate(lengths)]
    marks = [Line(tuple(places), closed=True, filled=True), Line(tuple(_square(places)), closed=True), *_side_labels(places, labels)]
    return Figure(question, str(answer), reasoning, {"legs": legs, "unknown": unknown, "turn": turn}, marks)


def _side_labels(places: list[Place], labels: list[str], *, distance: float = _OUTSIDE) -> list[Mark]:
    """Returns the labels outside the sides, inside where `distance` is negative.

    Side i leads from corner i to the next; corners go counter-clockwise as seen.
    """
    found: list[Mark] = []
    for (start, end), text in zip(pairwise([*places, places[0]]), labels, strict=True):
        if text:
            # Left of a counter-clockwise side is inside: a place just there is what the label is kept away from.
            inside = ((start[0] + end[0]) / 2 + (end[1] - start[1]), (start[1] + end[1]) / 2 - (end[0] - start[0]))
            found.append(Label(text, beside(start, end, away_from=inside, distance=distance)))
    return found


def _angled(places: list[Place], angles: list[int], labels: list[str]) -> list[Mark]:
    """Returns a triangle with labels inside its corners."""
    marks: list[Mark] = [Line(tuple(places), closed=True, filled=True)]
    for corner, (angle, text) in enumerate(zip(angles, labels, strict=True)):
        if text:
            others = [places[(corner + 1) % 3], places[(corner + 2) % 3]]
            marks.append(Label(text, within(places[corner], others, degrees=angle)))
    return marks


def _strokes(places: list[Place]) -> list[Mark]:
    """Returns short lines across the two sides that end in the last corner."""
    found: list[Mark] = []
    for start in places[:2]:
        end, length = places[2], math.dist(start, places[2])
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        across = (0.025 * (end[1] - start[1]) / length, 0.025 * (start[0] - end[0]) / length)
        found.append(Line(((middle[0] - across[0], middle[1] - across[1]), (middle[0] + across[0], middle[1] + across[1]))))
    return found


def _square(places: list[Place]) -> list[Place]:
    """Returns the small square that marks the first corner as a right angle."""
    corner = places[0]
    first, second = (
        ((x - corner[0]) * 0.05 / math.dist(corner, (x, y)), (y - corner[1]) * 0.05 / math.dist(corner, (x, y))) for x, y in places[1:]
    )
    both = (corner[0] + first[0] + second[0], corner[1] + first[1] + second[1])
    return [corner, (corner[0] + first[0], corner[1] + first[1]), both, (corner[0] + second[0], corner[1] + second[1])]
