"""What "The Synergy Dilemma of Long-CoT SFT and RL" (arXiv 2507.07562) found of each strategy, held against a table of ours.

A claim is a direction: a gain or a loss, longer answers, a place between two others. It agrees where our 95 % interval lies on the claimed
side of 0, disagrees where it lies on the other, and is not significant where it holds 0. The study's averages are those of its table 6,
its gains by level were read off figure 1, to about 0.3 points (0.6 where a mark is partly hidden), and stand here as means over the five
benchmarks. That an interval is not corrected for the number of claims is left as it is: the claims were the study's before they were ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from vlmpost.evaluation.statistics import Difference
from vlmpost.reports.strategies import LEVELS, Measured, Table

Verdict = Literal["agrees", "not significant", "disagrees"]
Merge = tuple[float, float, float]
"""Share of the SFT model, accuracy, its standard error."""
OPENINGS: Final[Mapping[Verdict, str]] = {
    "agrees": "as in the study it",
    "not significant": "it is not significant here that it",
    "disagrees": "the miniature DISAGREES that it",
}
"""How the part of a sentence with the claims of a verdict begins."""
COMBINATIONS: Final = ("two-stage", "interleaved", "progressive", "data mixing", "merging")

AVERAGES: Final[Mapping[str, float]] = {
    "base": 50.3,
    "SFT": 51.4,
    "RL": 55.1,
    "two-stage": 51.4,
    "interleaved": 53.6,
    "progressive": 54.9,
    "data mixing": 54.0,
    "merging": 54.3,
}
"""Table 6: accuracy, mean of five benchmarks."""

LEVEL_GAINS: Final[Mapping[str, tuple[tuple[float, ...], ...]]] = {
    "SFT": (
        (-11.1, -3.3, -2.1, 8.8, 9.0),
        (-8.5, 2.0, 10.8, 18.9, 9.8),
        (-7.6, 0.0, 11.0, 16.7, 12.0),
        (-11.2, -1.7, 1.0, 15.1, 14.4),
        (-15.0, -8.2, 9.8, 16.6, 24.2),
    ),
    "RL": (
        (-2.4, 3.8, 2.3, 5.3, 3.6),
        (-1.0, 14.5, 19.0, 22.8, 7.5),
        (1.2, 14.9, 21.1, 24.4, 5.1),
        (-3.6, 7.8, 6.4, 8.6, 5.7),
        (-4.6, 2.7, 15.8, 16.1, 15.9),
    ),
}
"""Figure 1: points over the base at L1..L5 on MathVision, MathVerse, MathVista, MMMU and MMStar."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that the study found, and whether it is so here."""

    text: str
    """What the row does in the study: "loses at L1"."""
    figures: str
    """The study's figure, where it has one, and ours."""
    verdict: Verdict


def study_gain(name: str, level: int) -> float:
    """The study's gain at a level, mean of five benchmarks.

    >>> round(study_gain("SFT", 1), 2)
    -10.68
    """
    return sum(gains[level - 1] for gains in LEVEL_GAINS[name]) / len(LEVEL_GAINS[name])


def direction(difference: Difference | None, *, sign: Literal[1, -1]) -> Verdict:
    """Whether a difference goes the claimed way.

    >>> direction(Difference(-0.1, -0.15, -0.05, 0.02, 40), sign=1)
    'disagrees'
    """
    if difference is None or not difference.excludes_zero:
        return "not significant"
    return "agrees" if difference.mean * sign > 0 else "disagrees"


def sentences(table: Table, *, sweep: Sequence[Merge] = ()) -> list[str]:
    """Returns one sentence for each model of the table that the study has too.

    Args:
        table: Rows named as in `AVERAGES`; rows that a claim compares with may be missing, and the claim with them.
        sweep: Linear merges, measured on validation questions. Empty: nothing is said of them.
    """
    return [sentence(measured.name, claims(table, measured, sweep=sweep)) for measured in table.others if measured.name in AVERAGES]


def sentence(name: str, found: Sequence[Claim]) -> str:
    """Returns a row's claims as one sentence, those that agree first."""
    parts = []
    for verdict, opening in OPENINGS.items():
        own = [f"{claim.text} ({claim.figures})" for claim in found if claim.verdict == verdict]
        if own:
            parts.append(f"{opening} {', '.join(own)}")
    return f"{name}: {'; '.join(parts)}."


def claims(table: Table, measured: Measured, *, sweep: Sequence[Merge] = ()) -> list[Claim]:
    """Returns what the study found of one row, held against ours."""
    name = measured.name
    gain = AVERAGES[name] - AVERAGES["base"]
    found = [_signed("gains over the base", gain, table.gain(measured), sign=1)]
    for claim in _OWN[name]:
        found += claim(table, measured)
    if name == "merging" and sweep:
        found.append(_monotone(sweep))
    return found


def _levels(table: Table, measured: Measured) -> list[Claim]:
    """SFT loses at L1 and gains at L4 and L5; RL gains at every level but L1."""
    found = []
    for level in LEVELS if measured.name == "RL" else (1, 4, 5):
        there = study_gain(measured.name, level)
        sign: Literal[1, -1] = 1 if there > 0 else -1
        text = f"{'gains' if sign > 0 else 'loses'} at L{level}"
        found.append(_signed(text, there, table.gain(measured, level=level), sign=sign))
    return found


def _as_sft(table: Table, measured: Measured) -> list[Claim]:
    """No better than the SFT model that it starts from."""
    if not _has(table, "SFT"):
        return []
    difference = table.gain(measured, table.of("SFT"))
    assert difference is not None, "over all questions"
    there = AVERAGES[measured.name] - AVERAGES["SFT"]
    figures = f"{there:+.1f} there, {_text(difference)} here"
    return [Claim("is no different from SFT", figures, "disagrees" if difference.excludes_zero else "agrees")]


def _above_sft(table: Table, measured: Measured) -> list[Claim]:
    there = AVERAGES[measured.name] - AVERAGES["SFT"]
    return [_signed("is above SFT", there, table.gain(measured, table.of("SFT")), sign=1)] if _has(table, "SFT") else []


def _below_rl(table: Table, measured: Measured) -> list[Claim]:
    there = AVERAGES[measured.name] - AVERAGES["RL"]
    return [_signed("is below RL", there, table.gain(measured, table.of("RL")), sign=-1)] if _has(table, "RL") else []


def _closest_to_rl(table: Table, measured: Measured) -> list[Claim]:
    """Agrees where no other combination is closer; not significant where it is, but this one cannot be told from RL."""
    others = [other for other in table.others if other.name in COMBINATIONS]
    if not _has(table, "RL") or len(others) < 2:
        return []
    distances = {other.name: table.gain(other, table.of("RL")) for other in others}
    closest = min(distances, key=lambda name: abs(_mean(distances[name])))
    own = distances[measured.name]
    assert own is not None, "over all questions"
    verdict: Verdict = "agrees" if closest == measured.name else "disagrees" if own.excludes_zero else "not significant"
    figures = f"{AVERAGES[measured.name] - AVERAGES['RL']:+.1f} there, {_text(own)} here, where {closest} is the closest"
    return [Claim("is the closest to RL of the combinations", figures, verdict)]


def _longer_than_rl(table: Table, measured: Measured) -> list[Claim]:
    if not _has(table, "RL"):
        return []
    difference = table.lengthening(measured, table.of("RL"))
    figures = f"{difference.mean:+.1f} tokens [{difference.low:.1f}, {difference.high:.1f}] here"
    return [Claim("answers at greater length than RL", figures, direction(difference, sign=1))]


def _monotone(sweep: Sequence[Merge]) -> Claim:
    """Whether accuracy goes one way as the SFT model's share grows, but for steps back within a standard error."""
    merges = sorted(sweep)
    rises = merges[-1][1] >= merges[0][1]
    steps = [(after[1] - before[1]) * (1 if rises else -1) for before, after in itertools.pairwise(merges)]
    one_way = all(step >= -merge[2] for step, merge in zip(steps, merges[1:], strict=True))
    text = " ".join(f"{100 * accuracy:.1f}" for _, accuracy, _ in merges)
    figures = f"{text} % on validation questions here"
    return Claim("goes almost evenly from RL to SFT with the SFT model's share", figures, "agrees" if one_way else "disagrees")


_OWN: Final[Mapping[str, tuple[Callable[[Table, Measured], list[Claim]], ...]]] = {
    "SFT": (_levels, _longer_than_rl),
    "RL": (_levels,),
    "two-stage": (_as_sft, _below_rl),
    "interleaved": (_above_sft, _below_rl),
    "progressive": (_above_sft, _below_rl, _closest_to_rl, _longer_than_rl),
    "data mixing": (_above_sft, _below_rl, _longer_than_rl),
    "merging": (_above_sft, _below_rl),
}
"""What the study says of each row beside its gain over the base."""


def _signed(text: str, there: float, difference: Difference | None, *, sign: Literal[1, -1]) -> Claim:
    here = "too few questions" if difference is None else _text(difference)
    return Claim(text, f"{there:+.1f} there, {here} here", direction(difference, sign=sign))


def _text(difference: Difference) -> str:
    return f"{100 * difference.mean:+.1f} [{100 * difference.low:.1f}, {100 * difference.high:.1f}]"


def _mean(difference: Difference | None) -> float:
    assert difference is not None, "over all questions"
    return difference.mean


def _has(table: Table, name: str) -> bool:
    return any(measured.name == name for measured in table.others)
