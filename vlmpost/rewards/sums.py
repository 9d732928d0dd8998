"""Sums of rewards that a study uses as one: a term of this name in a recipe stands for its parts, each readable apart.

The weights and discounts of the parts are the study's; the recipe's own weight multiplies them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Part:
    """One term of a sum."""

    name: str
    weight: float = 1.0
    params: Mapping[str, object] = field(default_factory=dict)
    discount: float = 1.0


@dataclass(frozen=True, slots=True)
class Sum:
    """Rewards that belong together."""

    meaning: str
    parts: Sequence[Part]


SUMS: Mapping[str, Sum] = MappingProxyType(
    {
        "synergy": Sum(
            "0.9 accuracy + 0.1 format, the reward of The Synergy Dilemma (arXiv 2507.07562)",
            (Part("accuracy", 0.9), Part("format", 0.1, {"mode": "synergy"})),
        ),
    }
)
