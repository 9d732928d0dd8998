"""Reads an answer out of a model's text and compares it with the reference: one judge, deterministic, never a guess.

What it does not do: score (that is `rewards/`), ask a model, evaluate model text, or reproduce a benchmark's own rules.
Symbolic comparison runs in a killable process (`symbolic.py`); everything else is string and number work in place.
"""

from __future__ import annotations

from vlmpost.answers.judging import fault_in_reference, judge, judge_reference
from vlmpost.answers.reference import Reference, reference_of
from vlmpost.answers.spans import answer_region, last_box

__all__ = ["Reference", "answer_region", "fault_in_reference", "judge", "judge_reference", "last_box", "reference_of"]
