"""What a completion is worth: one table of named pure functions, bound to a recipe before any model loads.

A reward takes one of three forms; its keyword-only parameters are its schema:

    def name(rollout: Rollout, *, parameter: type = default) -> float | None
    def name(rollout: Rollout, *, ...) -> Sequence[float]              # one value per token of the completion
    def name(group: Sequence[Rollout], *, ...) -> Sequence[float | None]  # all completions of a prompt together

None means that it does not apply; a failure is a `GraderError`, never a 0. Values per token count in GRPO by their sum; PPO gets
them one by one, with the term's discount (`returns.py`). Users add their own as `package.module:function` or
`path/to/file.py:function`. A recipe names a preset by `params: {preset: NAME}`; a name of `sums.py` stands for several terms.
"""

from __future__ import annotations

from vlmpost.rewards.sets import RewardSet, Term, build
from vlmpost.rewards.table import names

__all__ = ["RewardSet", "Term", "build", "names"]
