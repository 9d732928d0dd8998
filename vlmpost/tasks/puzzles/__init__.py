"""Puzzles that need no labels: a drawn landscape is turned, cut or mended, and what was done to it is asked.

Each is solvable from its pixels; rewards are 1 and 0 by the one judge, as in SSL4RL (arXiv 2510.16416).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vlmpost.tasks.puzzles.flipped_patch import FlippedPatch
from vlmpost.tasks.puzzles.patch_fit import PatchFit
from vlmpost.tasks.puzzles.patch_pair import PatchPair
from vlmpost.tasks.puzzles.patch_position import PatchPosition
from vlmpost.tasks.puzzles.rotation import Rotation
from vlmpost.tasks.task import Task

TASKS: Mapping[str, Task] = MappingProxyType(
    {task.name: task for task in (FlippedPatch(), PatchFit(), PatchPair(), PatchPosition(), Rotation())}
)
