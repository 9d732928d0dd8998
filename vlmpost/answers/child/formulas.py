"""The generic judge's rule for formulas: math-verify, strict, on its LaTeX reader alone.

The plain-expression reader of math-verify goes through Python's `eval`, which model text must never reach.
"""

from __future__ import annotations

import functools
import itertools

from math_verify import LatexExtractionConfig, parse, verify  # type: ignore[import-untyped]

from vlmpost.answers.child import two_stage  # noqa: F401 - reads formulas faster once imported
from vlmpost.answers.child.rules import Reply
from vlmpost.answers.child.warm_up import FORMULAS

_CONFIG = (LatexExtractionConfig(),)


def math_verify(gold: str, answer: str) -> Reply:
    """Returns how the formula `answer` stands to the formula `gold`; both may stand in dollar signs or without."""
    golds = _parsed(gold)
    if not golds:
        return "gold_unreadable"
    answers = _parsed(answer)
    if not answers:
        return "answer_unreadable"
    # math-verify's own time limits use SIGALRM and a handler that sympy can swallow: this process is killed instead.
    return "equal" if verify(golds, answers, strict=True, timeout_seconds=None, raise_on_error=True) else "different"


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> list[object]:
    formula = text if "$" in text or "\\(" in text or "\\[" in text else f"${text}$"
    found: list[object] = parse(formula, extraction_config=_CONFIG, parsing_timeout=None, raise_on_error=False)
    return found


for _gold, _answer in itertools.pairwise(FORMULAS):
    math_verify(_gold, _answer)
