"""`vlmpost reward score`: verdicts and rewards for stored answers, row by row."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, print_json, print_table, visible
from vlmpost.cli.reward.judge import chosen_judge
from vlmpost.cli.reward.terms import BudgetOption, ParamsOption, ProfileOption, RecipeOption, RewardOption, built

if TYPE_CHECKING:
    from vlmpost.rewards.model_judge import ModelJudge
    from vlmpost.rewards.scoring import Scored, Unscored

MAX_FAULTS = 20
"""Rows that could not be scored, listed by name."""

FileArgument = Annotated[Path, typer.Argument(help="Rows with output and gold, rollouts or predictions (JSONL).", show_default=False)]


class Tally:
    """What was seen while the rows went by."""

    def __init__(self, judge: ModelJudge | None = None) -> None:
        self.judge = judge
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.totals: list[float] = []
        self.faults: list[str] = []
        self.num_rows = 0

    def watched(self, found: Iterable[Scored | Unscored]) -> Iterator[Scored]:
        """Yields the scored rows and keeps count of all."""
        from vlmpost.rewards.scoring import Unscored

        for one in found:
            if isinstance(one, Unscored):
                self.faults.append(one.reason)
                continue
            self.num_rows += 1
            self.outcomes["no reference" if one.verdict is None else one.verdict.outcome] += 1
            if one.score.total is not None:
                self.totals.append(one.score.total)
            yield one

    @property
    def mean(self) -> float | None:
        """The mean score of the rows that have one."""
        return math.fsum(self.totals) / len(self.totals) if self.totals else None

    def as_json(self) -> dict[str, object]:
        """The tally for scripts."""
        from vlmpost.answers import symbolic

        counts = symbolic.counts()
        return {
            "num_scored": self.num_rows,
            "verdicts": dict(self.outcomes),
            "mean_score": self.mean,
            "num_with_score": len(self.totals),
            "symbolic": {"comparisons": counts.comparisons, "timeouts": counts.timeouts, "failures": counts.failures},
            "faults": self.faults,
            **({} if self.judge is None else {"model_judge": self._judged()}),
        }

    def _judged(self) -> dict[str, object]:
        assert self.judge is not None, "there is a judge"
        return {**dataclasses.asdict(self.judge.counts), "decided_share": self.judge.counts.decided_share}

    def say(self) -> None:
        """Prints the tally and the rows that could not be scored to stderr."""
        from vlmpost.answers import symbolic

        counts = symbolic.counts()
        outcomes = ", ".join(f"{name} {number}" for name, number in self.outcomes.most_common())
        mean = "-" if self.mean is None else f"{self.mean:.4f} over {len(self.totals)}"
        slow = f"; {counts.timeouts} symbolic comparisons hit their time limit" if counts.timeouts else ""
        failed = f"; {counts.failures} failed" if counts.failures else ""
        typer.echo(f"{self.num_rows} rows scored: {outcomes or 'none'}; mean score {mean}{slow}{failed}", err=True)
        if self.judge is not None:
            done = self.judge.counts
            typer.echo(
                f"model judge: asked about {done.num_asked} of {done.num_seen}, decided {done.num_decided} "
                f"({100 * done.decided_share:.1f} %), no reply {done.num_failed}, no judgement in the reply {done.num_unreadable}, "
                f"remembered {done.num_cached}",
                err=True,
            )
        for fault in self.faults[:MAX_FAULTS]:
            typer.echo(f"not scored: {fault}", err=True)
        if len(self.faults) > MAX_FAULTS:
            typer.echo(f"not scored: {len(self.faults) - MAX_FAULTS} more rows; --json lists all", err=True)


def score(
    file: FileArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the rows with their scores (JSONL).", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file if it is there.")] = False,
    profile: ProfileOption = "generic",
    reward: RewardOption = None,
    params: ParamsOption = None,
    recipe: RecipeOption = None,
    judge: Annotated[
        str | None, typer.Option(help="A model at VLMPOST_JUDGE_BASE_URL that settles what the rules leave open.", show_default=False)
    ] = None,
    judge_path: Annotated[
        str | None, typer.Option(help="The same with a model folder, loaded here; nano for the shipped one.", show_default=False)
    ] = None,
    judge_cache: Annotated[Path | None, typer.Option(help="Keep the judge's replies in this file (JSONL).", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first rows.", min=1, show_default=False)] = None,
    max_completion_length: BudgetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score stored answers: verdict, what was read and by which rule, what each reward gives.

    Rows need `output`; `gold`, `choices`, `answer_type`, `question_type`, `precision`, `unit`, `question`, `prompt`,
    `completion_ids` and `max_tokens` are used where they are there. Without --reward the score is 1 for a right answer,
    else 0. Rows that cannot be scored are listed, the rest is scored.
    """
    from vlmpost import jsonl
    from vlmpost.answers import profiles
    from vlmpost.cli.rows_progress import rows_progress
    from vlmpost.errors import ConfigError, DataError
    from vlmpost.rewards.scoring import ROW_PROFILE, score_rows, settled

    if output is not None and output.exists() and not overwrite:
        raise ConfigError(f"{output} is there already. Add --overwrite, or choose another --output.")
    if profile != ROW_PROFILE:
        profiles.find(profile)
    rewards = built(reward, params, recipe=recipe, max_completion_length=max_completion_length)
    model_judge = chosen_judge(judge, judge_path, judge_cache)
    if model_judge is not None and rewards is not None:
        raise ConfigError("--judge and --judge-path change the verdict; with --reward take the reward judged_accuracy.")
    tally = Tally(model_judge)
    with rows_progress() as show:
        rows = itertools.islice(jsonl.read_each(file), limit)
        found = settled(score_rows(rows, rewards, source=str(file), profile=profile), model_judge)
        scored = _told(tally.watched(found), show)
        if output is not None:
            written_beside(output, (jsonl.dump(one.as_row()) for one in scored))
            kept: list[Scored] = []
        else:
            kept = list(scored)
    if not tally.num_rows:
        first = f" First: {tally.faults[0]}" if tally.faults else " It holds none."
        raise DataError(f"{file}: no row could be scored.{first}")
    if as_json:
        print_json({**tally.as_json(), **({"rows": [one.as_row() for one in kept]} if output is None else {"output": str(output)})})
        return
    if output is None:
        _print(kept, ("accuracy",) if rewards is None else rewards.names)
    tally.say()


def _told(rows: Iterator[Scored], show: Callable[[str, int, int | None], None]) -> Iterator[Scored]:
    for number, row in enumerate(rows, start=1):
        show("scored", number, None)
        yield row


def written_beside(path: Path, lines: Iterator[str]) -> None:
    """Writes lines beside the file and then in its place, so that a stopped command leaves no half of it; none, no file.

    Raises:
        RunError: The disk refuses.
    """
    import os

    from vlmpost.errors import RunError

    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(partial, "w", encoding="utf-8") as file:
            for line in lines:
                file.write(line)
            empty = file.tell() == 0
        if not empty:
            os.replace(partial, path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}). Choose another --output.") from None
    finally:
        partial.unlink(missing_ok=True)


def _print(rows: list[Scored], parts: tuple[str, ...]) -> None:
    columns = ["id", "gold", "extracted", "verdict", "rule", *parts, *(["score"] if len(parts) > 1 else [])]
    cells = []
    for one in rows:
        shown = one.as_row()
        cells.append(
            [
                visible(one.rollout.example.id),
                _cell(one.rollout.example.answer),
                *(_cell(shown[key]) for key in ("extracted", "verdict", "rule")),
                *(_cell(one.score.parts[name]) for name in parts),
                *([_cell(one.score.total)] if len(parts) > 1 else []),
            ]
        )
    print_table(columns, cells, flexible="extracted")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else visible(" ".join(str(value)[:200].split())[:60])
