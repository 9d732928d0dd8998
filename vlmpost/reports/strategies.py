"""The study's table: what each way of combining SFT and RL gives, by level, at which length, in which words.

Gains are paired differences from the base over the same questions. Levels are the base's pass rates over answers of their own; the null
gain of a level is what an unchanged base would seem to gain there, had those very answers measured it too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlmpost import jsonl
from vlmpost.analysis import words
from vlmpost.evaluation.results import EvalResult, Records, read_result
from vlmpost.evaluation.statistics import MIN_QUESTIONS_FOR_INTERVAL, Count, Difference, paired_difference
from vlmpost.reports.tables import cell, difference_cell

if TYPE_CHECKING:
    from rich.console import RenderableType

LEVELS = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Measured:
    """The answers of one model to the test questions."""

    result: EvalResult
    tokens: Mapping[str, Count]
    """Question -> (sampled tokens, answers)."""
    reflection_words: float
    """Of the study's list, per answer."""

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.result.name


@dataclass(frozen=True, slots=True)
class Table:
    """Several models on the same questions; the first is the base."""

    base: Measured
    others: tuple[Measured, ...]
    questions: Mapping[int, frozenset[str]]
    """By level."""
    null_gains: Mapping[int, Difference | None]
    """By level; None where there are too few questions."""

    def of(self, name: str) -> Measured:
        """The model of a name."""
        return next(measured for measured in (self.base, *self.others) if measured.name == name)

    def gain(self, after: Measured, before: Measured | None = None, *, level: int | None = None) -> Difference | None:
        """Accuracy of `after` less that of `before` (None: the base) on the questions of a level (None: all); None of too few."""
        first, second = (self.base if before is None else before).result.counts, after.result.counts
        if level is None:
            return paired_difference(first, second)
        return _difference(first, second, self.questions[level])

    def lengthening(self, after: Measured, before: Measured) -> Difference:
        """Tokens per answer of `after` less those of `before`, over all questions."""
        return paired_difference(before.tokens, after.tokens)


def read_measured(folder: Path, *, name: str, levels: Mapping[str, int | None]) -> Measured:
    """Returns what an evaluation on disk found.

    Raises:
        DataError: It cannot be read.
    """
    tokens: dict[str, Count] = {}
    texts = []
    for row in Records(folder).rows():
        total, answers = tokens.get(str(row["id"]), (0, 0))
        tokens[str(row["id"])] = (total + int(str(row["num_tokens"])), answers + 1)
        texts.append(str(row["text"]))
    result = read_result(folder, name=name, levels=levels)
    return Measured(result, tokens, sum((words.per_answer(texts) or {}).values()))


def build_table(measured: Sequence[Measured], *, level_counts: Mapping[str, Count]) -> Table:
    """Returns models beside each other.

    Args:
        measured: The base first; all on the same questions.
        level_counts: Question -> (right, answers) of the base in the answers that gave the levels.

    Raises:
        DataError: The models were not asked the same questions.
    """
    base, *others = measured
    questions = {
        level: frozenset(question for question, own in base.result.levels.items() if own == level and question in base.result.counts)
        for level in LEVELS
    }
    null_gains = {level: _difference(level_counts, base.result.counts, questions[level]) for level in LEVELS}
    return Table(base, tuple(others), questions, null_gains)


def read_level_counts(path: Path) -> dict[str, Count]:
    """Returns question -> (right, answers) of a levels file."""
    return {str(row["id"]): (int(str(row["num_correct"])), int(str(row["num_runs"]))) for _, row in jsonl.read(path)}


def headings(table: Table) -> list[str]:
    """The columns of the table, with numbers of questions."""
    by_level = [f"L{level}\n{len(table.questions[level])}" for level in LEVELS]
    num_questions = len(table.base.result.counts)
    return ["model", f"accuracy, %\n{num_questions} questions", "gain", *by_level, "tokens", "reflection\nwords", "cut,\n%"]


def rows(table: Table) -> list[list[str]]:
    """The cells of the table as text: the base, the null gains, then every other model."""
    base = [table.base.name, cell(table.base.result.accuracy), "", *("" for _ in LEVELS), *_facts(table.base)]
    null = ["null gain", "", "", *(_short(table.null_gains[level]) for level in LEVELS), "", "", ""]
    return [base, null, *(_row(table, measured) for measured in table.others)]


def rich_table(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> RenderableType:
    """Returns a rich table under its title."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if index == 0 else "right", no_wrap=True)
    for row in cells:
        table.add_row(*(Text(text) for text in row))
    return Group(title, table)


def seed_headings() -> list[str]:
    """The columns of the table over seeds."""
    return ["model", "accuracy, %", "gain", *(f"L{level}" for level in LEVELS), "tokens"]


def seed_row(table: Table, name: str, seeds: Sequence[Measured]) -> list[str]:
    """One method trained from several seeds: the mean and the range of what the table shows of each."""
    accuracies = [100 * seed.result.accuracy.mean for seed in seeds if seed.result.accuracy is not None]
    gains = [_points(table.gain(seed)) for seed in seeds]
    by_level = [_range([_points(table.gain(seed, level=level)) for seed in seeds], sign=True) for level in LEVELS]
    lengths = [seed.result.mean_tokens for seed in seeds]
    return [name, _range(accuracies), _range(gains, sign=True), *by_level, _range(lengths)]


def _row(table: Table, measured: Measured) -> list[str]:
    gains = [_short(table.gain(measured, level=level)) for level in LEVELS]
    return [measured.name, cell(measured.result.accuracy), difference_cell(table.gain(measured)), *gains, *_facts(measured)]


def _facts(measured: Measured) -> list[str]:
    result = measured.result
    return [f"{result.mean_tokens:.1f}", f"{measured.reflection_words:.2f}", f"{100 * result.truncated_share:.1f}"]


def _difference(first: Mapping[str, Count], second: Mapping[str, Count], questions: frozenset[str]) -> Difference | None:
    if len(questions) < MIN_QUESTIONS_FOR_INTERVAL:
        return None
    return paired_difference({key: first[key] for key in questions}, {key: second[key] for key in questions})


def _short(difference: Difference | None) -> str:
    """A gain in points; a star where the interval excludes 0.

    >>> _short(Difference(0.125, 0.05, 0.2, 0.04, 40))
    '+12.5*'
    """
    if difference is None:
        return "(few)"
    return f"{100 * difference.mean:+.1f}{'*' if difference.excludes_zero else ''}"


def _points(difference: Difference | None) -> float | None:
    return None if difference is None else 100 * difference.mean


def _range(values: Sequence[float | None], *, sign: bool = False) -> str:
    r"""The mean with the smallest and the largest value.

    >>> _range([1.0, 2.0, 6.0], sign=True)
    '+3.0\n+1.0..+6.0'
    """
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return "(few)"
    form = "{:+.1f}" if sign else "{:.1f}"
    return f"{form.format(sum(known) / len(known))}\n{form.format(min(known))}..{form.format(max(known))}"
