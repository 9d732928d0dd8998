"""A state of the walk: one point of a rail as JSON values, from which its problem follows without chance.

`Example.meta` holds the whole rail with the number of the present point, so that the states that follow, their pictures and the verdict
on a reply come from a stored example as well as from one just made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from PIL import Image

from vlmpost.errors import DataError
from vlmpost.records import IMAGE
from vlmpost.rewards.navigation import ObservationCheck
from vlmpost.tasks.navigation import wording
from vlmpost.tasks.navigation.pictures import View, draw, view_from_json, view_json
from vlmpost.tasks.navigation.route import ActionSpace, Point
from vlmpost.tasks.problem import Problem


@dataclass(frozen=True, slots=True)
class State:
    """Everything that a problem depends on."""

    instructions: tuple[str, ...]
    rail: tuple[Point, ...]
    point: int = 0
    """Number of the present point, from 0."""
    action_space: ActionSpace = "absolute"
    prompt_style: wording.PromptStyle = "paper"
    view: View | None = None
    """Where the picture comes from. None: text mode."""
    untold: tuple[str, ...] = ()
    """What the rail does not say and the verifier cannot hold against a reply: "landmark", "intersection"."""
    obs_check: ObservationCheck | None = None
    """How observations are checked. None: as the reward table does."""

    @property
    def mode(self) -> wording.Mode:
        """Whether there is a picture."""
        return "text" if self.view is None else "vision"

    @property
    def here(self) -> Point:
        """The present point."""
        return self.rail[self.point]

    @property
    def sentence(self) -> str:
        """The sentence that is carried out at the present point; empty where the route has no instructions."""
        return self.instructions[self.here.instruction] if self.instructions else ""


def problem_of(state: State, *, key: str = "") -> Problem:
    """Returns the problem that a state poses."""
    text = wording.prompt(
        state.instructions,
        state.rail[: state.point + 1],
        mode=state.mode,
        action_space=state.action_space,
        style=state.prompt_style,
    )
    return Problem(
        prompt=(text,) if state.view is None else (IMAGE, text),
        content=state_json(state),
        solution=best_reply(state),
        draw=lambda: pictures_of(state),
        key=key,
    )


def pictures_of(state: State) -> Sequence[Image.Image]:
    """Draws what is seen at the present point; nothing in text mode."""
    return () if state.view is None else (draw(state.view, state.rail, state.point),)


def best_reply(state: State) -> str:
    """Returns the optimal reply without any thoughts."""
    if state.prompt_style == "compact":
        return state.here.action
    return wording.reply(wording.observation(state.here), state.sentence, state.here.action)


def next_state(state: State) -> State | None:
    """Returns the state after the expert's action; None at the destination."""
    return replace(state, point=state.point + 1) if state.point + 1 < len(state.rail) else None


# --- as JSON ---


def state_json(state: State) -> dict[str, object]:
    """Returns a state as JSON values; what is usual is left out."""
    values: dict[str, object] = {
        "mode": state.mode,
        "action_space": state.action_space,
        "prompt_style": state.prompt_style,
        "instructions": list(state.instructions),
        "rail": [_point_json(point, placed=state.view is not None) for point in state.rail],
        "point": state.point,
    }
    if state.obs_check is not None:
        values["obs_check"] = state.obs_check
    if state.untold:
        values["untold"] = list(state.untold)
    if state.view is not None:
        values["view"] = view_json(state.view)
    return values


def _point_json(point: Point, *, placed: bool) -> dict[str, object]:
    values: dict[str, object] = {"action": point.action, "heading": point.heading, "instruction": point.instruction}
    if point.landmark:
        values["landmark"] = point.landmark
    if point.intersection:
        values["intersection"] = True
    if point.place is not None and placed:
        values["place"] = list(point.place)
    return values


def state_from_json(meta: Mapping[str, object], *, where: str) -> State:
    """Returns the state that an example's `meta` holds.

    Raises:
        DataError: It holds none, or a broken one.
    """
    values = cast(Mapping[str, Any], meta)  # Any: JSON; what is missing or of another kind ends in the error below
    try:
        rail = tuple(_point_from_json(point) for point in values["rail"])
        state = State(
            instructions=tuple(values["instructions"]),
            rail=rail,
            point=values["point"],
            action_space=values["action_space"],
            prompt_style=values["prompt_style"],
            view=view_from_json(values["view"]) if values["mode"] == "vision" else None,
            untold=tuple(values.get("untold", ())),
            obs_check=values.get("obs_check"),
        )
        _ = state.here, state.sentence
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise DataError(f"{where}: meta holds no state of a walk ({type(error).__name__}: {error}). Make the example again.") from None
    return state


def _point_from_json(values: Mapping[str, Any]) -> Point:
    place = values.get("place")
    return Point(
        action=values["action"],
        heading=values["heading"],
        instruction=values["instruction"],
        landmark=values.get("landmark"),
        intersection=values.get("intersection", False),
        place=None if place is None else (place[0], place[1]),
    )
