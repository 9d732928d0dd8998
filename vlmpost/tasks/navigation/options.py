"""What can be chosen about navigation."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from vlmpost.rewards.navigation import ObservationCheck
from vlmpost.tasks.navigation.compass import TurnLabels
from vlmpost.tasks.navigation.route import ActionSpace, Ruling, ShortLegs
from vlmpost.tasks.navigation.styles import TRAINING_CITIES, StyleName
from vlmpost.tasks.navigation.views import Grid
from vlmpost.tasks.navigation.wording import Mode, PromptStyle
from vlmpost.tasks.task import TaskOptions

MAX_LEGS = 40


class NavigationOptions(TaskOptions):
    """Options of navigation; the defaults are the study's, with its defects mended."""

    mode: Mode = "text"
    """text tells what is observed, vision shows it in four street views."""
    action_space: ActionSpace = "absolute"
    """Turns by compass words, or by left, right, slightly left, slightly right."""
    num_legs: tuple[int, int] = (2, 8)
    """Fewest and most legs of a drawn route."""
    straight_line_length: int = Field(5, ge=1, le=100)
    """Most road points of a leg."""
    drop_rate: float = Field(0.5, ge=0, le=1)
    """Chance of each road point to be left out."""
    relocation: bool = True
    """Keep road points 8 m from both ends of their leg, and snap all points to panoramas where there are any."""
    city: StyleName | list[StyleName] = Field(list(TRAINING_CITIES), min_length=1)
    """The drawn city, or several to choose from: ashford, brookmere, copperton; held out: duskhaven, eastwick, frostgate."""
    style: StyleName | None = None
    """The style pack that cities are drawn in. null: each in its own."""
    tile_pixels: int = Field(336, ge=14, le=4096)
    """Side of one of the four views; the study's is 1200."""
    start: Literal["first", "any"] = "first"
    """first: a walk begins at the start of its route. any: at a point drawn from all, for training where each is a prompt."""
    prompt_style: PromptStyle = "paper"
    """compact says the same in a tenth of the words and takes the bare action as a reply, for tiny models."""
    turn_labels: TurnLabels = "wrapped"
    """How turns are told; official does not see that 350 to 10 degrees is a slight turn to the right."""
    grid: Grid = "labelled"
    """Where the four views look: front, right, back, left as the prompt says; official: 45 degrees to the left of that."""
    obs_check: ObservationCheck | None = None
    """How the observation of a wrong reply is checked. null: fixed by table paper, official by table repo."""
    short_legs: ShortLegs = "fixed"
    """official: a leg of 5 m or less shifts the sentences that later points are said to carry out."""
    routes: str | None = None
    """A route_infos.json of the study, to walk its routes instead of drawn ones."""
    images: str | None = None
    """A folder of panoramas for those routes, with gps_pano_mapping.json in it or beside it. null: open country is drawn."""

    @field_validator("num_legs")
    @classmethod
    def _some_legs(cls, num_legs: tuple[int, int]) -> tuple[int, int]:
        fewest, most = num_legs
        if not 1 <= fewest <= most <= MAX_LEGS:
            raise ValueError(f"expected [fewest, most] from 1 to {MAX_LEGS}")
        return num_legs

    @model_validator(mode="after")
    def _pictures_of_routes(self) -> Self:
        if self.images is not None and (self.routes is None or self.mode != "vision"):
            raise ValueError("images are panoramas along given routes: they need routes and mode vision")
        return self

    @property
    def cities(self) -> list[StyleName]:
        """The drawn cities to choose from."""
        return self.city if isinstance(self.city, list) else [self.city]

    @property
    def ruling(self) -> Ruling:
        """How routes become rails."""
        return Ruling(
            action_space=self.action_space,
            turn_labels=self.turn_labels,
            straight_line_length=self.straight_line_length,
            drop_rate=self.drop_rate,
            relocation=self.relocation,
            short_legs=self.short_legs,
        )
