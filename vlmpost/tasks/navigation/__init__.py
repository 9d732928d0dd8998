"""Navigation in the manner of V-IRL: a route is told, and at every point of it the walker says which way to go.

A state is one point of a route's rail: the instructions, what was observed and done so far, and the present observation in words or in
a picture. Wrong actions are never carried out, so a state follows from the route and the number of the point; after a right reply the
walk goes on at the next point with a fresh prompt. Facts of the study are kept where they can be: rules of routes in `route.py`, of
prompts in `wording.py`, of verdicts in `vlmpost/rewards/navigation.py`, each with its departures. What replaces the map service:
`city.py` and `views.py` draw cities and street views, `official.py` and `panoramas.py` read the study's files where the user has them.

Departures from arXiv 2501.17161 and LeslieTrue/SFTvsRL at 5a6ea55 that are the task's own:
1. Cities and pictures are drawn: numbers are not comparable with the study's.
2. Drawn routes are held out by their geometry, so that no split shares one; the study trains and tests on the same. Routes of a file
   are few, and every split draws from all of them, as there.
3. `start: any` makes each point a prompt of its own; there training walks whole routes.
4. A sign can be read from the middle of its crossing alone, so that "no landmark nearby" is true of pictures on the road.

Source: arXiv 2501.17161, section 3 and appendix; V-IRL, arXiv 2402.03310.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar

from vlmpost.errors import DataError
from vlmpost.records import Example, Step
from vlmpost.rewards.navigation import CORRECT_ACTION, grade, point_truth
from vlmpost.tasks.navigation import city, wording
from vlmpost.tasks.navigation.layout import laid_out
from vlmpost.tasks.navigation.official import read_routes, route_of
from vlmpost.tasks.navigation.options import NavigationOptions
from vlmpost.tasks.navigation.panoramas import open_folder, snapped
from vlmpost.tasks.navigation.pictures import View
from vlmpost.tasks.navigation.route import Route, actions_of, instructions, rail
from vlmpost.tasks.navigation.rows import state_of
from vlmpost.tasks.navigation.states import State, best_reply, next_state, problem_of, state_from_json, state_json
from vlmpost.tasks.navigation.styles import HELD_OUT_CITIES
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import Shift, Style, Task

__all__ = ["Navigation", "NavigationOptions"]

_WRONG_OBSERVATION_PROB = 0.3
"""How often a wrong reply of ours also observes an intersection where there is none, or none where there is one."""


class Navigation(Task):
    """Routes through cities, one point a state."""

    name = "navigation"
    options_type = NavigationOptions
    shifts: ClassVar[Mapping[Shift, Mapping[str, object]]] = MappingProxyType(
        {"none": {}, "rule": {"action_space": "relative"}, "visual": {"city": list(HELD_OUT_CITIES)}}
    )
    reward_tables = ("paper", "repo")
    verify_iterations = 2
    png_level = 1

    def pose(self, rng: random.Random, *, options: NavigationOptions, difficulty: int | None) -> Problem:
        """Returns a point of a route: its start, or any."""
        state, key = (_drawn if options.routes is None else _given)(rng, options)
        if options.start == "any":
            state = replace(state, point=rng.randrange(len(state.rail)))
        return problem_of(state, key=key)

    def verify(self, example: Example, reply: str, *, rewards: str = "paper") -> Step:
        """Returns what a reply is worth at the example's point."""
        truth = point_truth(example.meta, where=example.id)
        if truth is None:
            raise DataError(f"{example.id}: meta holds no point of a rail. Make the example again.")
        found = grade(reply, truth, table=rewards)
        correct = found.outcome == CORRECT_ACTION
        return Step(
            text=reply,
            outcome=found.outcome,
            reward=found.reward,
            correct=correct,
            violations=() if correct else (found.outcome,),
            recognised=found.recognised,
            feedback=found.feedback,
            extracted=found.extracted,
        )

    def following(self, example: Example) -> Example | None:
        """Returns the next point of the route; None at the destination."""
        state = state_from_json(example.meta, where=example.id)
        after = next_state(state)
        if after is None:
            return None
        own = state_json(after).keys()
        facts = {key: value for key, value in example.meta.items() if key not in own}
        return self.example_of(problem_of(after), id=f"{example.id.partition('@')[0]}@{after.point}", facts=facts)

    def from_row(self, row: Mapping[str, object]) -> Example:
        """Returns the state of a route or rail that is given explicitly; see `rows.py` for what may be given.

        Raises:
            DataError: Something is missing or cannot be understood; the message names it.
        """
        given = row.get("id")
        return self.example_of(problem_of(state_of(row)), id=str(given)[:200] if given else "navigation-row", facts={})

    def solve(self, example: Example, *, style: Style = "answer") -> str:
        """Returns the expert's reply, after the thoughts that lead to it if they are asked for."""
        state = state_from_json(example.meta, where=example.id)
        if style == "answer":
            return best_reply(state)
        return f"<think>{wording.reasoning(state.here, state.sentence)}</think>\n{best_reply(state)}"

    def wrong_reply(self, example: Example, rng: random.Random) -> str:
        """Returns a reply with another action of the action space, sometimes after a wrong observation as well."""
        state = state_from_json(example.meta, where=example.id)
        action = rng.choice([action for action in actions_of(state.action_space) if action != state.here.action])
        if state.prompt_style == "compact":
            return action
        observed = wording.observation(state.here)
        if rng.random() < _WRONG_OBSERVATION_PROB:
            observed = wording.misreported(state.here)
        return wording.reply(observed, state.sentence, action)


def _drawn(rng: random.Random, options: NavigationOptions) -> tuple[State, str]:
    """The start of a route through a drawn city, and what it is held out by: headings and lengths of its legs."""
    name = rng.choice(options.cities)
    route = city.draw_route(name, rng, num_legs=rng.randint(*options.num_legs))
    view = View(options.tile_pixels, options.grid, style=options.style or name, city=name)
    return _start(route, rng, options, view), " ".join(f"{leg.heading}:{leg.metres}" for leg in route.legs)


def _given(rng: random.Random, options: NavigationOptions) -> tuple[State, str]:
    """The start of a route of the user's file; drawn anew it may fall to any split."""
    assert options.routes is not None
    routes = read_routes(options.routes)
    number = rng.randrange(len(routes))
    where = f"{options.routes}: route {number}"
    route = route_of(routes[number], where=where, rng=rng)
    view = View(options.tile_pixels, options.grid, style=options.style or options.cities[0], panoramas=options.images)
    if options.images is not None:
        route = snapped(route, open_folder(options.images), where=where)
    elif options.mode == "vision":
        route = laid_out(route)
    return _start(route, rng, options, view), f"{where} {rng.random()}"


def _start(route: Route, rng: random.Random, options: NavigationOptions, view: View) -> State:
    relocate = open_folder(view.panoramas).road_place if view.panoramas is not None and options.relocation else None
    return State(
        instructions=instructions(route, options.turn_labels),
        rail=rail(route, options.ruling, rng, relocate),
        action_space=options.action_space,
        prompt_style=options.prompt_style,
        view=view if options.mode == "vision" else None,
        obs_check=options.obs_check,
    )


TASKS: Mapping[str, Task] = MappingProxyType({Navigation.name: Navigation()})
