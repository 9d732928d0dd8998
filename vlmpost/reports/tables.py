"""Tables of evaluations side by side: accuracy by level, a task in its variants, paired differences between models, all with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmpost.evaluation.results import EvalResult
from vlmpost.evaluation.shifts import MEASURES, Measure, estimate_of, paired
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


def shift_table(results: Mapping[str, EvalResult]) -> RenderableType:
    """Returns a rich table: the variants of a task down, what is measured of its episodes across, percent with 95 % intervals."""
    from rich.console import Group
    from rich.table import Table

    table = Table("shift")
    for heading in ("n", "success", "per step", "recognised", "replies", "truncated %", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    for shift, result in results.items():
        cells = [_plain(cell(estimate_of(result, measure))) for measure in MEASURES]
        replies = "-" if result.episodes is None else f"{result.episodes.mean_replies:.2f}"
        table.add_row(shift, str(result.num_questions), *cells, replies, f"{100 * result.truncated_share:.1f}", f"{result.mean_tokens:.1f}")
    return Group("success of episodes, right replies and recognition in %, with 95 % interval; replies and tokens per episode", table)


def outcome_table(results: Mapping[str, EvalResult]) -> RenderableType:
    """Returns a rich table: the verifier's classes down, the variants of a task across, percent of replies."""
    shares = {shift: result.episodes.outcome_shares for shift, result in results.items() if result.episodes is not None}
    outcomes = sorted({outcome for own in shares.values() for outcome in own})
    cells = {outcome: [f"{100 * own.get(outcome, 0.0):.1f}" for own in shares.values()] for outcome in outcomes}
    return _table("outcome, % of replies", tuple(shares), cells, markdown=False)


def model_shift_table(results: Mapping[str, Mapping[str, EvalResult]], *, measure: Measure, markdown: bool = False) -> RenderableType:
    """Returns a rich table: models down, the variants of a task across, one measure in percent with 95 % intervals.

    Args:
        results: Model -> variant -> result; the variants of the first are shown.
        measure: What is shown.
        markdown: Draw the lines of Markdown.
    """
    cells = {name: [cell(estimate_of(own[shift], measure)) for shift in _shifts(results)] for name, own in results.items()}
    return _table(f"{measure.replace('_', ' ')}, %", _shifts(results), cells, markdown=markdown)


def shift_difference_table(results: Mapping[str, Mapping[str, EvalResult]], *, measure: Measure, markdown: bool = False) -> RenderableType:
    """Returns a rich table: each model against the first down, variants across, paired differences in points with 95 % intervals.

    Raises:
        DataError: Two models were not asked the same questions.
    """
    (base, first), *others = results.items()
    cells = {
        f"{name} - {base}": [_difference_text(first[shift], own[shift], measure) for shift in _shifts(results)] for name, own in others
    }
    return _table(f"{measure.replace('_', ' ')}, points (* excludes 0)", _shifts(results), cells, markdown=markdown)


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


def _shifts(results: Mapping[str, Mapping[str, EvalResult]]) -> tuple[str, ...]:
    return tuple(next(iter(results.values())))


def _difference_text(first: EvalResult, second: EvalResult, measure: Measure) -> str:
    difference = paired(first, second, measure=measure)
    return "-" if difference is None else difference_cell(difference)


def _table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]], *, markdown: bool) -> RenderableType:
    """A table with one row per name; `title` heads the column of names."""
    from rich import box
    from rich.table import Table

    table = Table(title, box=box.MARKDOWN if markdown else box.HEAVY_HEAD)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, cells in rows.items():
        table.add_row(name, *(_plain(text) for text in cells))
    return table


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _of_level(result: EvalResult, level: int) -> set[str]:
    return {question for question in result.counts if result.levels.get(question) == level}


def _only(counts: Mapping[str, Count], questions: set[str]) -> dict[str, Count]:
    return {question: count for question, count in counts.items() if question in questions}
