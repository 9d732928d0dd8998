"""A user's reward that a random model earns sometimes: the share of vowels."""

from __future__ import annotations

from vlmpost.records import Rollout


def vowels(rollout: Rollout) -> float | None:
    """Share of the characters that are vowels."""
    return sum(character in "aeiou" for character in rollout.text) / max(1, len(rollout.text))
