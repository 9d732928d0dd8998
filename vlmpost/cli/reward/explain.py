"""`vlmpost reward explain`: one answer with the place marked that was read, and what every rule made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, print_json, visible
from vlmpost.cli.reward.terms import BudgetOption, ParamsOption, ProfileOption, RewardOption, built

if TYPE_CHECKING:
    from vlmpost.rewards.scoring import Scored

MAX_AROUND = 700
"""Characters shown before and after the marked place."""


def explain(
    file: Annotated[Path | None, typer.Argument(help="Stored answers (JSONL); or give --text.", show_default=False)] = None,
    row: Annotated[str | None, typer.Option("--row", help="Line number or id of the row. Default: the first.", show_default=False)] = None,
    text: Annotated[str | None, typer.Option(help="An answer to look at, in place of a file.", show_default=False)] = None,
    gold: Annotated[str | None, typer.Option(help="The reference answer of --text.", show_default=False)] = None,
    choices: Annotated[list[str] | None, typer.Option("--choice", help="An option of --text; again for more.", show_default=False)] = None,
    answer_type: Annotated[
        str | None, typer.Option(help="number, choice, text, latex, or a benchmark's own name.", show_default=False)
    ] = None,
    profile: ProfileOption = "generic",
    reward: RewardOption = None,
    params: ParamsOption = None,
    max_completion_length: BudgetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one answer with the extracted span marked, its verdict, and what each reward gives."""
    from vlmpost.errors import DataError
    from vlmpost.rewards.scoring import Scored, score_rows

    rewards = built(reward, params, max_completion_length=max_completion_length)
    given = {"output": text, "gold": gold, "choices": choices or None, "answer_type": answer_type}
    source, number, found = _row(file, row) if text is None else ("--text", 1, given)
    scored = next(iter(score_rows([(number, found)], rewards, source=source, profile=profile)))
    if not isinstance(scored, Scored):
        raise DataError(scored.reason)
    if as_json:
        print_json(scored.as_row())
        return
    _print(scored)


def _row(file: Path | None, wanted: str | None) -> tuple[str, int, dict[str, object]]:
    """The file, line number and content of the row that is asked for.

    Raises:
        ConfigError: Neither file nor text is given.
        DataError: There is no such row.
    """
    from vlmpost import jsonl
    from vlmpost.errors import ConfigError, DataError

    if file is None:
        raise ConfigError("Give a file of stored answers, or --text with --gold.")
    for number, row in jsonl.read_each(file):
        if isinstance(row, DataError):
            if wanted == str(number):
                raise row
            continue
        if wanted in (None, str(number), str(row.get("id"))):
            return str(file), number, row
    raise DataError(f"{file}: no row {wanted if wanted is not None else 'at all'}. --row takes a line number or an id.")


def _print(scored: Scored) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    text, verdict = scored.rollout.text, scored.verdict
    span = verdict.span if verdict is not None else None
    start, end = span or (len(text), len(text))
    marked = Text()
    if start > MAX_AROUND:
        marked.append(f"[{start - MAX_AROUND} characters before]\n", style="dim")
    marked.append(visible(text[max(0, start - MAX_AROUND) : start]))
    if span:
        marks = ("", "") if console.is_terminal else (">>>", "<<<")
        marked.append(marks[0] + visible(text[start:end][: 2 * MAX_AROUND]) + marks[1], style="black on yellow")
    marked.append(visible(text[end : end + MAX_AROUND]))
    if len(text) > end + MAX_AROUND:
        marked.append(f"\n[{len(text) - end - MAX_AROUND} characters after]", style="dim")
    console.print(marked, soft_wrap=True)
    console.print()
    for name, value in _facts(scored):
        console.print(Text(f"{name:12}{visible(value)}"), soft_wrap=True)


def _facts(scored: Scored) -> list[tuple[str, str]]:
    example, verdict = scored.rollout.example, scored.verdict
    facts = [("gold", "none" if example.answer is None else f"{example.answer}  ({example.answer_type})")]
    facts += [("choices", "  ".join(f"{letter}: {text}" for letter, text in zip("ABCDEFGHIJ", example.choices, strict=False)))] * bool(
        example.choices
    )
    if verdict is not None:
        facts += [("verdict", verdict.outcome), ("extracted", str(verdict.extracted)), ("rule", verdict.rule)]
        facts += [("place", f"characters {verdict.span[0]} to {verdict.span[1]}")] if verdict.span else []
        facts += [("same as", verdict.normalised)] if verdict.normalised is not None else []
    facts += [(name, "does not apply" if value is None else f"{value:g}") for name, value in scored.score.parts.items()]
    facts += [("score", "none" if scored.score.total is None else f"{scored.score.total:g}")]
    return facts
