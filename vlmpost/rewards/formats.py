r"""Rewards for the form of a response, whatever its answer: thinking block first, then the answer.

All of them are linear in the text: no regular expression that could run away on model text.
"""

from __future__ import annotations

from typing import Literal

from vlmpost.answers import answer_region, last_box
from vlmpost.records import Rollout

_OPEN, _CLOSE = "<think>", "</think>"


def format_think(rollout: Rollout, *, mode: Literal["strict", "lenient", "synergy"] = "strict") -> float:
    r"""1.0 where the response is a thinking block and then an answer, else 0.0.

    Args:
        rollout: What is looked at; only its text.
        mode: "strict": nothing before one `<think>` block that is not blank, then text that is not blank, no further tags.
            "lenient": some `</think>` with text before and after it. "synergy": as in the Synergy Dilemma study, the
            response starts with `<think>`, then `</think>`, then `\boxed{` and a closing brace; anything between.

    Source: "synergy" is verl's geometry reward (`<think>.*</think>.*\\boxed\{.*\}.*`, full match), as arXiv 2507.07562 is
        understood to have used; the full match has no anchor of its own at the end, so trailing text is allowed there too.
    """
    text = rollout.text
    if mode == "synergy":
        return float(_is_synergy(text))
    if mode == "lenient":
        thought, closed, answer = text.rpartition(_CLOSE)
        return float(bool(closed) and bool(thought.replace(_OPEN, "").strip()) and bool(answer.strip()))
    text = text.strip()
    if not text.startswith(_OPEN) or text.count(_OPEN) != 1 or text.count(_CLOSE) != 1:
        return 0.0
    thought, _, answer = text[len(_OPEN) :].partition(_CLOSE)
    return float(bool(thought.strip()) and bool(answer.strip()))


def boxed_format(rollout: Rollout) -> float:
    r"""1.0 where a closed `\boxed{}` that is not blank stands after the thinking block (or there is none), else 0.0."""
    region = answer_region(rollout.text)
    box = None if region.fault else last_box(rollout.text, region.start, region.end)
    return float(box is not None and bool(rollout.text[slice(*box)].strip()))


def _is_synergy(text: str) -> bool:
    if not text.startswith(_OPEN):
        return False
    closed = text.find(_CLOSE, len(_OPEN))
    boxed = text.find("\\boxed{", closed + len(_CLOSE)) if closed >= 0 else -1
    return boxed >= 0 and text.find("}", boxed + len("\\boxed{")) >= 0
