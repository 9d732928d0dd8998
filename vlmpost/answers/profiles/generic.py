"""The judge of vlmpost under its profile name."""

from __future__ import annotations

from vlmpost.answers.judging import judge_reference
from vlmpost.answers.reference import Reference
from vlmpost.records import Verdict


def generic(text: str, reference: Reference) -> Verdict:
    """The judge of vlmpost: strict, deterministic, never a guess."""
    return judge_reference(text, reference)
