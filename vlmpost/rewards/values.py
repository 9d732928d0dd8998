"""Checks what a reward function returned: None, one finite number, or one per token."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence

from vlmpost.errors import GraderError

Value = float | tuple[float, ...] | None
"""What a term gives for one rollout: a number, one number per token, or nothing."""


def checked(value: object, *, num_tokens: int, where: str) -> Value:
    """Returns the value as plain floats.

    Args:
        value: What the function returned; a NumPy or Torch scalar or vector is as good as Python's.
        num_tokens: How many tokens the rollout has.
        where: Names the reward and the rollout in messages.

    Raises:
        GraderError: It is something else, not finite, or of another length than the rollout.
    """
    if value is None:
        return None
    if not isinstance(value, numbers.Real) and getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, numbers.Real):
        return _finite(float(value), where)
    if len(getattr(value, "shape", ())) == 1 and hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not all(isinstance(one, numbers.Real) for one in value):
        raise GraderError(f"{where} returned {type(value).__name__}; it must return a number, None, or one number per token.")
    if len(value) != num_tokens:
        raise GraderError(f"{where} returned {len(value)} values for {num_tokens} tokens; values per token need one for each.")
    return tuple(_finite(float(one), where) for one in value)


def _finite(number: float, where: str) -> float:
    if not math.isfinite(number):
        raise GraderError(f"{where} returned {number}; it must return a finite number or None.")
    return number
