"""The gate opens for the questions that it is to open for."""

from __future__ import annotations

from fractions import Fraction

import pytest

from vlmpost.config.guidance import GateConfig
from vlmpost.training.guidance.gate import is_guided


@pytest.mark.parametrize(
    ("threshold", "rate", "guided"),
    [
        (0.0, Fraction(0), True),
        (0.0, Fraction(1, 10**6), False),
        (0.25, Fraction(2, 8), True),
        (0.25, Fraction(3, 8), False),
        (0.1, Fraction(1, 10), True),  # the float 0.1 is above a tenth, 0.3 below three tenths: both mean what is written
        (0.3, Fraction(3, 10), True),
        (0.7, Fraction(7, 10), True),
        (0.1, Fraction(1, 10) + Fraction(1, 10**30), False),
        (1e-05, Fraction(1, 100_000), True),
        (1.0, Fraction(1), True),
    ],
)
def test_a_threshold_means_the_decimal_number_as_written(threshold: float, rate: Fraction, guided: bool) -> None:
    assert is_guided(GateConfig(pass_rate=threshold), rate, step=0) is guided


def test_an_unknown_rate_guides_only_where_no_rate_is_asked_for() -> None:
    assert not is_guided(GateConfig(questions="at_most", pass_rate=1.0), None, step=0)
    assert is_guided(GateConfig(questions="all"), None, step=0)
    assert not is_guided(GateConfig(questions="none"), Fraction(0), step=0)


def test_nothing_is_guided_before_the_delay_is_over() -> None:
    gate = GateConfig(questions="all", delay_steps=20)
    assert [is_guided(gate, None, step=step) for step in (0, 19, 20)] == [False, False, True]
