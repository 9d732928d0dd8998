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
        "dapo": Sum(
            "Correct 1, else -1, plus the soft penalty on overlong answers (DAPO, arXiv 2503.14476, section 3.4)",
            (Part("accuracy", params={"wrong": -1.0}), Part("soft_overlong", params={"preset": "dapo"})),
        ),
        "demystify": Sum(
            "Cosine length, repetition per token with its own discount (Demystifying Long CoT, arXiv 2502.03373); PPO, REINFORCE++",
            (
                Part("cosine_length", params={"preset": "demystify"}),
                Part("ngram_repetition_per_token", params={"preset": "demystify"}, discount=0.99),
            ),
        ),
        "easy_r1": Sum(
            "0.9 accuracy + 0.1 format as EasyR1 reads it (hiyouga/EasyR1 at b44b311)",
            (Part("accuracy", 0.9), Part("format_tags", 0.1, {"preset": "easy_r1"})),
        ),
        "kimi": Sum(
            "Accuracy plus the length reward within the group (Kimi k1.5, arXiv 2501.12599, section 2.3.3), weight 1 each",
            (Part("accuracy"), Part("length_group", params={"preset": "kimi"})),
        ),
        "synergy": Sum(
            "0.9 accuracy + 0.1 format, the reward of The Synergy Dilemma (arXiv 2507.07562)",
            (Part("accuracy", 0.9), Part("format", 0.1, {"preset": "synergy"})),
        ),
    }
)
