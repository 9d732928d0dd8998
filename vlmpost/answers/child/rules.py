"""The rules by which the child process compares two answers, by name.

A rule is a function of (gold, answer) that returns "equal", "different", "gold_unreadable" or "answer_unreadable"; anything it
raises is "failed". It may import sympy, latex2sympy2_extended and math_verify, and must not evaluate text, set signals or timers,
start processes or threads, or read the clock: the process that runs it is killed at its limit.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

Reply = Literal["equal", "different", "gold_unreadable", "answer_unreadable"]
Rule = Callable[[str, str], Reply]

RULES: Mapping[str, str] = MappingProxyType(
    {
        "math_verify": "formulas:math_verify",
        "math": "math:math_rule",
        "math_verify_text": "math_verify:math_verify_text",
        "theoremqa": "theoremqa:theoremqa",
        "theoremqa_official": "theoremqa:theoremqa_official",
    }
)
"""Name -> module:function in this room; a module is imported in the child when its rule is first asked for."""


def load(name: str) -> Rule:
    """Returns the function of a rule; imports its module, which may take seconds."""
    module, _, attribute = RULES[name].partition(":")
    rule: Rule = getattr(importlib.import_module(f"vlmpost.answers.child.{module}"), attribute)
    return rule
