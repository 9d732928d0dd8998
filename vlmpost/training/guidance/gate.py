"""Which questions are guided."""

from __future__ import annotations

from fractions import Fraction

from vlmpost.config.guidance import GateConfig


def is_guided(gate: GateConfig, rate: Fraction | None, *, step: int) -> bool:
    """Returns whether a question is guided.

    Args:
        gate: The rule; its pass rate means the decimal number as written: 0.25 is a quarter, and 0.1 a tenth.
        rate: The question's pass rate. None: unknown, so it is not guided where the rule asks for it.
        step: Optimizer steps done, from 0.

    >>> is_guided(GateConfig(pass_rate=0.25), Fraction(2, 8), step=0)
    True
    >>> is_guided(GateConfig(), None, step=0)
    False
    """
    if gate.questions == "none" or step < gate.delay_steps:
        return False
    if gate.questions == "all":
        return True
    return rate is not None and rate <= as_written(gate.pass_rate)


def as_written(number: float) -> Fraction:
    """Returns the decimal number that a float was written as.

    >>> as_written(0.1)
    Fraction(1, 10)
    """
    return Fraction(str(number))
