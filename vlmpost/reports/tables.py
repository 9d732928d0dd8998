"""Tables of evaluations side by side: accuracy by level with intervals, and paired differences between models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmpost.evaluation.results import EvalResult
from vlmpost.evaluation.statistics import MIN_QUESTIONS_FOR_INTERVAL, Count, Difference, Estimate, accuracy_by, paired_difference

if TYPE_CHECKING:
    from rich.console import RenderableType

OVERALL = "all"
Pair = tuple[str, str]
"""Names of the earlier and the later model of a difference."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several evaluations of the same questions, side by side; rows are "all" and the levels."""

    names: tuple[str, ...]
    rows: tuple[str, ...]
    num_questions: Mapping[str, int]
    """By row."""
    accuracies: Mapping[tuple[str, str], Estimate]
    """By (row, name)."""
    pairs: tuple[Pair, ...]
    differences: Mapping[tuple[str, Pair], Difference]
    """By (row, pair); left out where a row has fewer than 30 questions."""
    results: tuple[EvalResult, ...]


def compare(results: Sequence[EvalResult], *, pairs: Sequence[Pair] | None = None) -> Comparison:
    """Returns evaluations of the same questions side by side.

    Args:
        results: At least one; the levels of the first are used for all.
        pairs: Which differences to show. None: each result against the first.

    Raises:
        DataError: The evaluations do not have the same questions.
    """
    first = results[0]
    pairs = [(first.name, other.name) for other in results[1:]] if pairs is None else pairs
    by_name = {result.name: result for result in results}
    assert len(by_name) == len(results), f"names repeat: {[result.name for result in results]}"
    rows = {OVERALL: set(first.counts)} | {f"L{level}": _of_level(first, level) for level in sorted(set(first.levels.values()))}
    rows = {row: questions for row, questions in rows.items() if questions}
    accuracies, differences = {}, {}
    for result in results:
        if result.accuracy is not None:
            accuracies[OVERALL, result.name] = result.accuracy
        for level, estimate in accuracy_by(result.counts, first.levels).items():
            accuracies[f"L{level}", result.name] = estimate
    for pair in pairs:
        before, after = (by_name[name].counts for name in pair)
        for row, questions in rows.items():
            if row == OVERALL:
                differences[row, pair] = paired_difference(before, after)
            elif len(questions) >= MIN_QUESTIONS_FOR_INTERVAL:
                differences[row, pair] = paired_difference(_only(before, questions), _only(after, questions))
    return Comparison(
        names=tuple(by_name),
        rows=tuple(rows),
        num_questions={row: len(questions) for row, questions in rows.items()},
        accuracies=accuracies,
        pairs=tuple(pairs),
        differences=differences,
        results=tuple(results),
    )


def accuracy_table(comparison: Comparison) -> RenderableType:
    """Returns a rich table: levels down, models across, percent with 95 % intervals, then unparsed, truncated and length."""
    from rich.console import Group
    from rich.table import Table

    table = Table()
    table.add_column("questions")
    table.add_column("n", justify="right")
    for name in comparison.names:
        table.add_column(name, justify="right", no_wrap=True)
    for row in comparison.rows:
        cells = [cell(comparison.accuracies.get((row, name))) for name in comparison.names]
        table.add_row(row, str(comparison.num_questions[row]), *(_plain(text) for text in cells), end_section=row == OVERALL)
    table.add_section()
    shares = {
        "unparsed %": [f"{100 * result.outcome_shares.get('unparsed', 0.0):.1f}" for result in comparison.results],
        "truncated %": [f"{100 * result.truncated_share:.1f}" for result in comparison.results],
        "mean tokens": [f"{result.mean_tokens:.1f}" for result in comparison.results],
    }
    for label, values in shares.items():
        table.add_row(label, "", *values)
    return Group("accuracy in %, with 95 % interval", table)


def difference_table(comparison: Comparison) -> RenderableType:
    """Returns a rich table: levels down, pairs of models across, percentage points with 95 % intervals."""
    from rich.console import Group
    from rich.table import Table

    table = Table()
    table.add_column("questions")
    for before, after in comparison.pairs:
        table.add_column(f"{after} - {before}", justify="right", no_wrap=True)
    for row in comparison.rows:
        cells = [difference_cell(comparison.differences.get((row, pair))) for pair in comparison.pairs]
        table.add_row(row, *(_plain(text) for text in cells), end_section=row == OVERALL)
    return Group("paired difference in points, with 95 % interval (* excludes 0)", table)


def render(*tables: RenderableType, width: int = 120) -> str:
    """Returns rich renderables as plain text."""
    import io

    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, color_system=None, legacy_windows=False).print(*tables, sep="\n\n")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def cell(estimate: Estimate | None) -> str:
    """Returns "61.3 [58.0, 64.5]"; without an interval where there are too few questions; "-" for nothing."""
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.mean:.1f} (few)"
    return f"{100 * estimate.mean:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def difference_cell(difference: Difference | None) -> str:
    """Returns "+12.0 [8.1, 15.9]*"; the star where the interval excludes 0; "(few)" where there is none."""
    if difference is None:
        return "(few)"
    star = "*" if difference.excludes_zero else ""
    return f"{100 * difference.mean:+.1f} [{100 * difference.low:.1f}, {100 * difference.high:.1f}]{star}"


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _of_level(result: EvalResult, level: int) -> set[str]:
    return {question for question in result.counts if result.levels.get(question) == level}


def _only(counts: Mapping[str, Count], questions: set[str]) -> dict[str, Count]:
    return {question: count for question, count in counts.items() if question in questions}
