"""`vlmpost reward bench`: how fast stored answers are judged and scored on this machine, and which are slow."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, print_json, print_table
from vlmpost.cli.reward.score import FileArgument
from vlmpost.cli.reward.terms import BudgetOption, ParamsOption, ProfileOption, RewardOption, built

if TYPE_CHECKING:
    from vlmpost.records import Rollout
    from vlmpost.rewards import Term

NUM_SLOWEST = 5


def bench(
    file: FileArgument,
    profile: ProfileOption = "generic",
    reward: RewardOption = None,
    params: ParamsOption = None,
    limit: Annotated[int, typer.Option(help="Only the first rows.", min=1)] = 10_000,
    max_completion_length: BudgetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time verdicts and rewards over stored answers, one core, nothing remembered between rows; names the slowest rows."""
    from vlmpost import jsonl
    from vlmpost.answers import profiles, symbolic
    from vlmpost.errors import ConfigError, DataError
    from vlmpost.rewards.rows import rollout_of

    rewards = built(reward, params, max_completion_length=max_completion_length)
    if rewards is not None and rewards.per_group:
        raise ConfigError("--reward: a group reward has no time per row; `vlmpost reward score` tries it.")
    rules = profiles.find(profile)
    rollouts: list[Rollout] = []
    for number, row in itertools.islice(jsonl.read_each(file), limit):
        if isinstance(row, DataError):
            raise row
        rollouts.append(rollout_of(row, where=f"{file}:{number}"))
    if not rollouts:
        raise DataError(f"{file}: no rows.")
    from vlmpost.answers import reference_of

    def judged(rollout: Rollout) -> None:
        if rollout.example.answer is not None:
            rules.function(rollout.text, reference_of(rollout.example))

    work: list[tuple[str, Callable[[Rollout], object]]] = [(f"verdict ({profile})", judged)]
    if rewards is not None:
        work += [(term.name, functools.partial(_valued, term)) for term in rewards.terms]
    lines = [_timed(name, function, rollouts) for name, function in work]
    counts = symbolic.counts()
    if as_json:
        print_json({"rows": len(rollouts), "work": lines, "timeouts": counts.timeouts})
        return
    print_table(
        ["what", "rows a second", "mean us", "slowest"],
        [[str(line["what"]), f"{line['rows_per_second']:.0f}", f"{line['mean_us']:.0f}", str(line["slowest"])] for line in lines],
        flexible="slowest",
    )
    if counts.timeouts:
        typer.echo(f"{counts.timeouts} symbolic comparisons hit their time limit", err=True)


def _valued(term: Term, rollout: Rollout) -> None:
    term.values([rollout])


def _timed(name: str, function: Callable[[Rollout], object], rollouts: list[Rollout]) -> dict[str, object]:
    """Rows a second and the slowest rows; a row that cannot be scored is an error."""
    seconds = []
    for rollout in rollouts:
        begin = time.perf_counter()
        function(rollout)
        seconds.append((time.perf_counter() - begin, rollout.example.id))
    total = sum(second for second, _ in seconds)
    slowest = ", ".join(f"{owner} {second * 1000:.1f} ms" for second, owner in sorted(seconds, reverse=True)[:NUM_SLOWEST])
    return {"what": name, "rows_per_second": len(rollouts) / total, "mean_us": total / len(rollouts) * 1e6, "slowest": slowest}
