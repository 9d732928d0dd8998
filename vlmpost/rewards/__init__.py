"""What a completion is worth: one table of named pure functions, bound to a recipe before any model loads.

A reward is `def name(rollout: Rollout, *, parameter: type = default) -> float | None`. Its keyword-only parameters are its
schema. None means that it does not apply to this rollout; a failure is a `GraderError`, never a 0. Users add their own as
`package.module:function` or `path/to/file.py:function`.

Room for what comes: a reward that values single tokens will return a sequence of `len(rollout.token_ids)` numbers in place of
one. `RewardSet` then sums it for `Score` and hands the values out beside it; until then such a return is refused by name.
"""

from __future__ import annotations

from vlmpost.rewards.sets import RewardSet, Term, build
from vlmpost.rewards.table import names

__all__ = ["RewardSet", "Term", "build", "names"]
