"""`vlmpost rollouts`: what the model wrote, with each part of its reward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from vlmpost.cli.options import JsonOption


def rollouts(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    step: Annotated[int | None, typer.Option(help="Only this step; default: the newest logged.", show_default=False)] = None,
    every_step: Annotated[bool, typer.Option("--all", help="All logged steps.")] = False,
    outcome: Annotated[
        str | None,
        typer.Option(help="Only rollouts judged so: correct, wrong, unparsed, ..., or a verifier's class.", show_default=False),
    ] = None,
    example: Annotated[str | None, typer.Option("--id", help="Only this question.", show_default=False)] = None,
    worst: Annotated[bool, typer.Option("--worst", help="Lowest reward first.")] = False,
    limit: Annotated[int | None, typer.Option(help="At most this many.", min=1, show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Page through the rollouts of a run, with images by name, text and each reward part."""
    from vlmpost import jsonl
    from vlmpost.errors import RunError
    from vlmpost.runs.directory import open_existing

    opened = open_existing(run)
    rows = [row for _, row in jsonl.read(opened.rollouts_path, torn_tail=True)] if opened.rollouts_path.exists() else []
    if not rows:
        raise RunError(f"{run}: no rollouts were logged. SFT has none; in RL see logging.rollout_steps.")
    chosen = select(rows, step=step, every_step=every_step, outcome=outcome, example=example)
    chosen = (sorted(chosen, key=_reward) if worst else chosen)[:limit]
    if not chosen:
        raise RunError(f"{run}: no rollout is left with these filters. Logged steps: {_steps_text(rows)}.")
    if as_json:
        for row in chosen:
            print(jsonl.dump(row), end="")
        return
    _page([line for row in chosen for line in lines_of(row)])


def select(
    rows: Sequence[Mapping[str, object]], *, step: int | None, every_step: bool, outcome: str | None, example: str | None
) -> list[Mapping[str, object]]:
    """The rows that the filters leave; without a step, those of the newest."""
    wanted = step if step is not None or every_step else max(_step(row) for row in rows)
    return [
        row
        for row in rows
        if (wanted is None or _step(row) == wanted)
        and (outcome is None or row.get("outcome") == outcome.lower())
        and (example is None or row.get("id") == example)
    ]


def lines_of(row: Mapping[str, object]) -> Iterator[str]:
    """One rollout as plain lines."""
    from vlmpost.reports.samples import reply_lines

    yield f"--- step {row.get('step')}  {row.get('id')}  sample {row.get('sample')}" + (
        f"  level {row['level']}" if row.get("level") else ""
    )
    for image in _list(row.get("images")):
        yield f"image    {image}"
    for message in _list(row.get("prompt")):
        if isinstance(message, Mapping):
            yield f"{message.get('role', ''):8} {message.get('content')}"
    for place, line in enumerate(reply_lines(row)):
        yield f"{'' if place else 'model':8} {line}"
    parts = row.get("parts")
    if isinstance(parts, Mapping):
        named = ", ".join(f"{name} {_value(value)}" for name, value in parts.items())
        yield f"reward   {_value(row.get('reward'))} ({named})  advantage {_value(row.get('advantage'))}"
    yield f"answer   {row.get('outcome')}: read {row.get('extracted')!r}, reference {row.get('answer')!r}"
    yield f"length   {row.get('num_tokens')} tokens, ended by {row.get('stop_reason')}"
    yield ""


def _page(lines: Sequence[str]) -> None:
    """Prints the lines, through the pager on a terminal."""
    import pydoc
    import sys

    text = "\n".join(lines)
    if sys.stdout.isatty():
        pydoc.pager(text)
    else:
        print(text)


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "-"


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _reward(row: Mapping[str, object]) -> float:
    """The total reward; rollouts without one stand last."""
    reward = row.get("reward")
    return float(reward) if isinstance(reward, int | float) else float("inf")


def _step(row: Mapping[str, object]) -> int:
    step = row.get("step")
    return step if isinstance(step, int) else 0


def _steps_text(rows: Sequence[Mapping[str, object]]) -> str:
    return ", ".join(str(step) for step in sorted({_step(row) for row in rows}))
