"""Ways of combining SFT and RL: a recipe becomes stages (`plans`), and one executor runs them (`executor`)."""

from __future__ import annotations

from vlmpost.strategies.plans import plan
from vlmpost.strategies.stages import Plan, Stage

__all__ = ["Plan", "Stage", "plan"]
