"""A user's reward that a random model earns sometimes: the share of vowels."""

from __future__ import annotations

from collections.abc import Sequence

from vlmpost.records import Rollout


def vowels(rollout: Rollout) -> float | None:
    """Share of the characters that are vowels."""
    return sum(character in "aeiou" for character in rollout.text) / max(1, len(rollout.text))


def most_vowels(group: Sequence[Rollout]) -> list[float]:
    """1 for the completion of a prompt with the largest share of vowels, 0 for the others."""
    shares = [vowels(rollout) or 0.0 for rollout in group]
    return [float(share == max(shares)) for share in shares]
