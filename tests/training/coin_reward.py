"""A reward that half the completions of any model earn: small groups are often flat."""

from __future__ import annotations

from vlmpost.records import Rollout


def even(rollout: Rollout) -> float:
    """1 if the ids of the sampled tokens add up to an even number."""
    return float(sum(rollout.token_ids) % 2 == 0)
