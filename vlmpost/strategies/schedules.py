"""What moves over a strategy's steps, as curves: learning rate, weights of the losses, share of the trace that a hint has.

Pure: from the recipes of the training stages and their numbers of steps. The laws are those of training itself
(`config.schedules.value_at`; the learning rate as transformers' schedulers of the same names).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from vlmpost.config.guidance import HintConfig
from vlmpost.config.schedules import Weight, value_at
from vlmpost.config.schema import RlConfig, SftConfig, TrainingConfig
from vlmpost.reports.plan_picture import Curve, Panel, Span
from vlmpost.strategies.stages import Plan

_MAX_POINTS: Final = 400
_LOSSES: Final = {"cross_entropy": "cross-entropy", "policy": "policy", "dft": "DFT", "chord_phi": "CHORD phi", "shaped": "shaped"}


@dataclass(frozen=True)
class _Stretch:
    """One training stage on the axis of steps."""

    name: str
    config: SftConfig | RlConfig
    start: int
    num_steps: int


def spans(plan: Plan, num_steps: Mapping[str, int]) -> list[Span]:
    """Returns where each training stage lies on the axis of all optimizer steps.

    Args:
        plan: The stages.
        num_steps: Of each training stage, by its name.
    """
    return [Span(one.name, one.start, one.start + one.num_steps) for one in _stretches(plan, num_steps)]


def panels(plan: Plan, num_steps: Mapping[str, int]) -> list[Panel]:
    """Returns the curves of a plan; panels that would be empty are left out. Arguments as `spans`."""
    stretches = _stretches(plan, num_steps)
    values: dict[str, dict[str, list[tuple[float, float]]]] = {
        "learning rate": {},
        "weights of the losses": {},
        "share of the trace in hints": {},
    }
    for stretch in stretches:
        rate, weights, hints = values.values()
        _draw(rate, "learning rate", stretch, partial(learning_rate, stretch.config.training, num_steps=stretch.num_steps))
        for name, weight in _weights(stretch).items():
            _draw(weights, name, stretch, partial(_value, weight, stretch.num_steps))
        for name, law in _hints(stretch).items():
            _draw(hints, name, stretch, law)
    return [
        Panel(title, tuple(Curve(name, tuple(points)) for name, points in curves.items())) for title, curves in values.items() if curves
    ]


def learning_rate(training: TrainingConfig, step: int, *, num_steps: int) -> float:
    """Returns the learning rate of an optimizer step.

    Args:
        training: The recipe's section.
        step: Optimizer steps done, from 0.
        num_steps: Of the whole stage.

    >>> learning_rate(TrainingConfig(learning_rate=1.0, lr_scheduler_type="linear", warmup_share=0.5), 1, num_steps=4)
    0.5
    """
    kind, warmup = training.lr_scheduler_type, math.ceil(training.warmup_share * num_steps)
    if kind != "constant" and step < warmup:
        return training.learning_rate * step / max(1, warmup)
    if kind in ("constant", "constant_with_warmup"):
        return training.learning_rate
    passed = (step - warmup) / max(1, num_steps - warmup)
    return training.learning_rate * ((1 + math.cos(math.pi * passed)) / 2 if kind == "cosine" else 1 - passed)


def _stretches(plan: Plan, num_steps: Mapping[str, int]) -> list[_Stretch]:
    result, start = [], 0
    for stage in plan.stages:
        if isinstance(stage.config, SftConfig | RlConfig):
            result.append(_Stretch(stage.name, stage.config, start, num_steps[stage.name]))
            start += num_steps[stage.name]
    return result


Law = Callable[[int], float]
"""From optimizer steps of a stage to a value."""


def _value(weight: Weight, num_steps: int, step: int) -> float:
    return value_at(weight, step=step, num_steps=num_steps)


def _draw(curves: dict[str, list[tuple[float, float]]], name: str, stretch: _Stretch, law: Law) -> None:
    """Adds a stage's part to a curve, after a gap where it is not the curve's first."""
    every = max(1, stretch.num_steps // _MAX_POINTS)
    points = curves.setdefault(name, [])
    if points:
        points.append((stretch.start, math.nan))
    points += [(float(stretch.start + step), law(step)) for step in range(0, stretch.num_steps, every)]
    points.append((float(stretch.start + stretch.num_steps), law(stretch.num_steps - 1)))


def _weights(stretch: _Stretch) -> dict[str, Weight]:
    """The losses of a stage with their weights."""
    config = stretch.config
    if isinstance(config, SftConfig):
        return {"cross-entropy on solutions": 1.0}
    terms = [] if config.guidance is None else config.guidance.losses
    result: dict[str, Weight] = {f"{_LOSSES[term.loss]} on {term.role}": term.weight for term in terms}
    if config.guidance is None:
        result["policy on generated"] = 1.0
    if config.algorithm.beta:
        result["KL to the reference"] = config.algorithm.beta
    return result


def _hints(stretch: _Stretch) -> dict[str, Law]:
    """How much of the trace hints have, where a law of the step says so; a search has no such law."""
    config = stretch.config
    if isinstance(config, SftConfig) or config.guidance is None:
        return {}
    hint, delay = config.guidance.hint, config.guidance.gate.delay_steps
    if hint.law not in ("schedule", "binomial", "uniform"):
        return {}

    def share(step: int) -> float:
        over = hint.num_steps is not None and step >= hint.num_steps
        return 0.0 if over or step < delay else value_at(hint.share, step=step, num_steps=stretch.num_steps)

    def upper(step: int) -> float:
        return max(share(step), hint.upper) if step >= delay else 0.0

    return {_share_name(hint): share, **({"at most": upper} if hint.law == "uniform" else {})}


def _share_name(hint: HintConfig) -> str:
    return {"schedule": "share", "binomial": "expected share", "uniform": "at least"}[hint.law]
