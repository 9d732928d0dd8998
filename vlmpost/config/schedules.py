"""Values that change over a run, as pure functions of the optimizer step: what a recipe may say, and what it means.

A recipe writes a number where the value stays the same, and a schedule where it moves:

    weight: 0.2
    weight: {kind: cosine, start: 1.0, end: 0.0, begin: 0.05, until: 0.7}
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from vlmpost.config.section import Section


class Schedule(Section):
    """A value from `start` to `end`, between two moments of the run."""

    kind: Literal["constant", "step", "staged", "linear", "cosine", "alternating"] = "constant"
    """constant: `start` throughout; step: `start`, from `until` on `end`; staged: `num_stages` equal stairs; linear and cosine: from the
    one to the other between `begin` and `until`; alternating: `start` and `end` in turns of `period` steps between `begin` and `until`,
    before and after them `start`."""
    start: float = Field(1.0, allow_inf_nan=False)
    """The value at the beginning."""
    end: float = Field(0.0, allow_inf_nan=False)
    """The value at the end; a constant has none."""
    begin: float = Field(0.0, ge=0)
    """When the change begins, in the schedule's unit."""
    until: float = Field(1.0, ge=0)
    """When the change is over."""
    unit: Literal["share", "step"] = "share"
    """What `begin` and `until` are counted in: shares of the run, or optimizer steps."""
    num_stages: int = Field(2, gt=1)
    """staged: stairs, the first at `start`, the last at `end`, which the last stair has."""
    period: int = Field(1, gt=0)
    """alternating: steps for which a value stays."""


Weight = float | Schedule
"""A number, or a schedule of it."""


def value_at(weight: Weight, *, step: int, num_steps: int) -> float:
    """Returns the value at an optimizer step.

    Args:
        weight: A number or a schedule.
        step: Optimizer steps done, from 0.
        num_steps: Of the whole run.

    >>> falling = Schedule(kind="linear", start=1.0, end=0.0, until=0.5)
    >>> [value_at(falling, step=step, num_steps=8) for step in (0, 2, 4, 6)]
    [1.0, 0.5, 0.0, 0.0]
    """
    if not isinstance(weight, Schedule):
        return float(weight)
    now = step / max(1, num_steps) if weight.unit == "share" else float(step)
    if weight.kind == "constant":
        return weight.start
    if weight.kind == "step":
        return weight.start if now < weight.until else weight.end
    if weight.kind == "alternating":
        inside = weight.begin <= now < weight.until
        first = math.ceil(_unrounded(weight.begin * (num_steps if weight.unit == "share" else 1)))
        return weight.end if inside and (step - first) // weight.period % 2 else weight.start
    if now <= weight.begin:
        return weight.start
    if now >= weight.until:
        return weight.end
    passed = (now - weight.begin) / (weight.until - weight.begin)
    if weight.kind == "staged":
        passed = math.floor(_unrounded(passed * weight.num_stages)) / (weight.num_stages - 1)
    if weight.kind == "cosine":
        passed = (1 - math.cos(math.pi * passed)) / 2
    return weight.start + (weight.end - weight.start) * passed


def _unrounded(number: float) -> float:
    """A number without the rounding of the products and quotients behind it: 0.1 x 30 steps are 3."""
    return round(number, 9)
