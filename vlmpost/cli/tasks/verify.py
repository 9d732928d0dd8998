"""`vlmpost tasks verify`: stored replies to stored problems, verified in bulk."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, print_json
from vlmpost.cli.reward.score import MAX_FAULTS, written_beside
from vlmpost.cli.tasks.naming import RewardsOption, TaskArgument, code_of, found_task

if TYPE_CHECKING:
    from vlmpost.tasks import Task
    from vlmpost.tasks.episode import Episode

Row = dict[str, object]


class Tally:
    """What came of the replies while the rows went by."""

    def __init__(self) -> None:
        self.num_rows = self.num_replies = self.num_right = self.num_episodes = self.num_succeeded = 0
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.recognised: list[bool] = []
        self.faults: list[str] = []

    def add(self, episodes: Iterable[Episode]) -> None:
        """Counts the episodes of a row."""
        self.num_rows += 1
        for episode in episodes:
            self.num_episodes += bool(episode.steps)
            self.num_succeeded += any(step.correct and step.terminated for step in episode.steps)
            self.num_replies += len(episode.steps)
            self.num_right += sum(step.correct for step in episode.steps)
            self.outcomes.update(step.outcome for step in episode.steps)
            self.recognised += [step.recognised for step in episode.steps if step.recognised is not None]

    def as_json(self) -> dict[str, object]:
        """The tally for scripts; a share is null where there is nothing to share."""
        return {
            "num_rows": self.num_rows,
            "num_replies": self.num_replies,
            "outcomes": dict(self.outcomes.most_common()),
            "right_share": _share(self.num_right, self.num_replies),
            "num_episodes": self.num_episodes,
            "success_share": _share(self.num_succeeded, self.num_episodes),
            "num_recognition_judged": len(self.recognised),
            "recognition_accuracy": _share(sum(self.recognised), len(self.recognised)),
            "bad_rows": self.faults,
        }

    def lines(self, *, table: str) -> list[str]:
        """The tally in words."""
        outcomes = ", ".join(f"{name} {number}" for name, number in self.outcomes.most_common())
        said = [
            f"{self.num_rows} rows, {self.num_replies} replies verified (rewards {table}): {outcomes or 'none'}",
            f"right replies {_percent(self.num_right, self.num_replies)}; "
            f"successful episodes {_percent(self.num_succeeded, self.num_episodes)}",
        ]
        if self.recognised:
            said.append(f"recognition, apart from success: {_percent(sum(self.recognised), len(self.recognised))} of the replies looked at")
        said += [f"left out: {fault}" for fault in self.faults[:MAX_FAULTS]]
        if len(self.faults) > MAX_FAULTS:
            said.append(f"left out: {len(self.faults) - MAX_FAULTS} more rows; --json lists all")
        return said


def verify(
    name: TaskArgument,
    file: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="Rows with a problem and `outputs` (JSONL).", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the rows with their results; default: stdout.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file if it is there.")] = False,
    rewards: RewardsOption = None,
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="Leave out rows that cannot be verified, and name them.")] = False,
    as_json: JsonOption = False,
) -> None:
    r"""Verify stored replies: every row comes back with `results`, one for each of its `outputs`.

    A row is an instance and `outputs`, the replies fed to it one after another; or an example of `vlmpost make data` with `outputs`.

    general_points: {"mode": "text", "cards": ["4", "3", "2", "K"], "face_rule": "ten", "target": 24, "verify_iterations": 5,
    "outputs": [...]}

    image_jigsaw: {"k": 4, "ground_truth": [2, 4, 1, 3], "outputs": ["\\boxed{2, 4, 1, 3}"]}

    A result holds outcome, reward, violations, terminated, truncated, and beside them correct, recognised, extracted, feedback, state.
    `verify_iterations` is the number of graded attempts at each state. A row without it gets the task's own number (`vlmpost tasks ls`);
    where the task has none, each output is judged by itself. An output that is no text is read as its JSON.
    """
    from vlmpost import jsonl
    from vlmpost.cli.rows_progress import rows_progress
    from vlmpost.errors import ConfigError, DataError
    from vlmpost.tasks.verifying import table_of

    task = found_task(name)
    table = table_of(task, rewards)
    if output is not None and output.exists() and not overwrite:
        raise ConfigError(f"{output} is there already. Add --overwrite, or choose another --output.")
    tally = Tally()
    with rows_progress() as progress, code_of(task):
        rows = verified_rows(task, jsonl.read_each(file), tally, source=file, rewards=table, skip_bad_rows=skip_bad_rows, progress=progress)
        if output is not None:
            written_beside(output, (jsonl.dump(row) for row in rows))
            kept: list[Row] = []
        else:
            kept = list(rows)
    if not tally.num_rows:
        raise DataError(f"{file}: no row could be verified.{f' First: {tally.faults[0]}' if tally.faults else ' It holds none.'}")
    if as_json:
        print_json({"rewards": table, **tally.as_json(), **({"rows": kept} if output is None else {"output": str(output)})})
        return
    for row in kept:
        typer.echo(jsonl.dump(row), nl=False)
    for line in [*tally.lines(table=table), *([f"rows with results: {output}"] if output is not None else [])]:
        typer.echo(line, err=output is None)


def verified_rows(
    task: Task,
    rows: Iterable[tuple[int, Row | Exception]],
    tally: Tally,
    *,
    source: Path,
    rewards: str,
    skip_bad_rows: bool,
    progress: Callable[[str, int, int | None], None],
) -> Iterator[Row]:
    """Yields the rows with their results.

    Raises:
        DataError: A row cannot be verified; not where such rows are left out.
    """
    from vlmpost.errors import DataError, UserError
    from vlmpost.tasks.verifying import RESULTS, instance_of, play, replies_of, result_of, verify_iterations_of, without_pictures

    blind = without_pictures(task)
    num_told = 0

    def told(replies: Iterable[str]) -> Iterator[str]:
        nonlocal num_told
        for reply in replies:
            yield reply
            num_told += 1
            progress("verified replies", num_told, None)

    for number, row in rows:
        try:
            if isinstance(row, Exception):
                raise row
            example, attempts = instance_of(blind, row), verify_iterations_of(task, row)
            episodes = play(blind, example, told(replies_of(row)), verify_iterations=attempts, rewards=rewards)
        except UserError as error:
            fault = str(error) if isinstance(row, Exception) else f"{source}:{number}: {error}"
            if not skip_bad_rows:
                raise DataError(f"{fault} To leave such rows out: --skip-bad-rows.") from None
            tally.faults.append(fault)
            continue
        tally.add(episodes)
        yield {**row, RESULTS: [result_of(step) for episode in episodes for step in episode.steps]}


def _share(number: int, total: int) -> float | None:
    return number / total if total else None


def _percent(number: int, total: int) -> str:
    return f"{number} of {total} ({100 * number / total:.1f} %)" if total else "none"
