"""What the navigator is told and what it ought to say: prompts, observations and replies.

The prompt has the headings of arXiv 2501.17161 in its order, in our own words: task, instruction, in vision the format of the
observation, action space, the observations and actions so far, output. Only right actions are carried out, so the history holds no
others. In vision the present observation is in the picture; past ones stand in words.

Departures from LeslieTrue/SFTvsRL at 5a6ea55, prompt_lib/prompts.py:
1. The form of the reply is valid JSON; there its last field ends with a comma, and the feedback shows it with doubled braces.
2. An observation without an intersection ends after the landmark; there "; " and nothing follow.
3. `prompt_style: compact` says the same in a tenth of the words, for tiny models, and asks for the bare action.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from vlmpost.rewards.navigation import ACTION, INSTRUCTION, NO_LANDMARK, OBSERVATION, reply_form
from vlmpost.tasks.navigation.compass import COMPASS, TURNS
from vlmpost.tasks.navigation.route import FORWARD, STOP, ActionSpace, Point, turn_action

PromptStyle = Literal["paper", "compact"]
Mode = Literal["text", "vision"]
INTERSECTION = "You observe an intersection"
FOUR_VIEWS = "You observe an image of 4 views"


def observation(point: Point) -> str:
    """Returns what is to be observed at a point."""
    return _joined(point.landmark or NO_LANDMARK, point)


def _joined(first: str, point: Point) -> str:
    return f"{first}; {INTERSECTION}" if point.intersection else first


def misreported(point: Point) -> str:
    """Returns an observation with an intersection where there is none, and without one where there is."""
    landmark = point.landmark or NO_LANDMARK
    return landmark if point.intersection else f"{landmark}; {INTERSECTION}"


def present_observation(point: Point, mode: Mode) -> str:
    """Returns what the prompt says of the present point: everything, or in vision that there is a picture."""
    return observation(point) if mode == "text" else _joined(FOUR_VIEWS, point)


def prompt(instructions: Sequence[str], points: Sequence[Point], *, mode: Mode, action_space: ActionSpace, style: PromptStyle) -> str:
    """Returns the user's text at the last of the given points.

    Args:
        instructions: The sentences of the route.
        points: The rail up to the present point.
        mode: Whether the present observation is in words or in a picture.
        action_space: Which words turns take.
        style: Full, or as short as can be.
    """
    if style == "compact":
        return _compact(instructions, points, mode=mode, action_space=action_space)
    sections = [
        ("Task Description", _TASK[mode]),
        ("Instruction", _numbered(instructions)),
        *([("Observation format", _FORMAT)] if mode == "vision" else []),
        ("Action space", _action_lines(action_space)),
        ("Observations and actions sequence", _sequence(points, mode)),
        ("Output", f"One JSON object with these three fields and nothing around it:\n{reply_form(pictured=mode == 'vision')}"),
    ]
    return "\n\n".join(f"[{heading}]\n{body}" for heading, body in sections)


_TASK = {
    "text": (
        "You are a skilled navigator who follows a list of instructions through a city. Below are the instructions and everything that "
        "you observed and did so far. Find the sentence that is to be carried out now, and choose the action that carries it out at "
        "the place where you are."
    ),
    "vision": (
        "You are a skilled navigator who follows a list of instructions through a city and sees the streets around. Below are the "
        "instructions and what you observed and did so far; the picture shows the place where you are. Find the sentence that is to be "
        "carried out now, and choose the action that carries it out here."
    ),
}
_FORMAT = (
    "The picture is a 2x2 grid of street views:\n[front, right\n back, left]\n"
    "Look whether a landmark of the instruction is to be seen, and on which side of you it is."
)


def _numbered(instructions: Sequence[str]) -> str:
    return "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(instructions, start=1))


def _action_lines(action_space: ActionSpace) -> str:
    words = COMPASS if action_space == "absolute" else TURNS
    towards = "compass direction" if action_space == "absolute" else "side"
    return (
        f'"{FORWARD}": go one step ahead\n'
        f'"{turn_action("x")}": turn towards the {towards} x and set out; x is one of {", ".join(words)}\n'
        f'"{STOP}": end the walk, as the destination is reached'
    )


def _sequence(points: Sequence[Point], mode: Mode) -> str:
    lines = []
    for number, point in enumerate(points[:-1], start=1):
        lines += [f"O_{number}: {observation(point)}", f"A_{number}: {point.action}"]
    lines += [f"O_{len(points)}: {present_observation(points[-1], mode)}", f"A_{len(points)}:"]
    return "\n".join(lines)


def _compact(instructions: Sequence[str], points: Sequence[Point], *, mode: Mode, action_space: ActionSpace) -> str:
    words = COMPASS if action_space == "absolute" else TURNS
    done = ", ".join(point.action for point in points[:-1]) or "nothing"
    return (
        f"{_numbered(instructions)}\nDone: {done}\nNow: {present_observation(points[-1], mode)}\n"
        f"Actions: {FORWARD}, {turn_action('x')}, {STOP}; x: {', '.join(words)}\nAction?"
    )


def reply(observed: str, sentence: str, action: str) -> str:
    """Returns a reply in the form that is asked for."""
    fields = {OBSERVATION: observed, INSTRUCTION: sentence, ACTION: action}
    lines = ",\n".join(f'  "{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in fields.items())
    return f"{{\n{lines}\n}}"


def reasoning(point: Point, sentence: str) -> str:
    """Returns the thoughts that lead to the expert's action; no field of a reply is quoted in them."""
    return f"I observe: {observation(point)}. To be carried out now: {sentence} {_conclusion(point)}"


def _conclusion(point: Point) -> str:
    if point.action == FORWARD:
        return "I am still on my way, so I go on."
    if point.action == STOP:
        return "This is the destination, so I stop."
    towards = point.action.partition("(")[2].rstrip(")")
    return f"Here I turn: {towards}."
