"""`vlmpost tasks ls`: the tasks that ship."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vlmpost.cli.options import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from vlmpost.tasks import Task


def list_tasks(as_json: JsonOption = False) -> None:
    """List the tasks: difficulties, variants, reward tables and what each asks.

    One of them in full, with its options and a problem: `vlmpost tasks show NAME`.
    """
    from vlmpost import tasks

    found = [facts_of(tasks.find(name)) for name in tasks.names()]
    if as_json:
        print_json(found)
        return
    columns = ["task", "difficulties", "shifts", "rewards", "attempts", "meaning"]
    rows = [
        [str(facts["name"]), *(words(facts[key]) for key in ("difficulties", "shifts", "rewards", "verify_iterations", "meaning"))]
        for facts in found
    ]
    print_table(columns, rows, flexible="meaning")


def facts_of(task: Task) -> dict[str, object]:
    """Returns what a task says of itself, for scripts."""
    return {
        "name": task.address,
        "meaning": meaning_of(task),
        "difficulties": list(task.difficulties),
        "shifts": {shift: dict(changed) for shift, changed in task.shifts.items()},
        "rewards": list(task.reward_tables),
        "verify_iterations": task.verify_iterations,
    }


def meaning_of(task: Task) -> str:
    """Returns the first clause of the task's docstring; nothing where it has none."""
    text = " ".join((task.__doc__ or "").split("\n\n")[0].split())
    return re.split(r"[.;] ", text)[0].rstrip(".")


def words(value: object) -> str:
    """Returns a value as a cell: names with commas between, and "-" for nothing."""
    if isinstance(value, list | dict):
        return ", ".join(str(item) for item in value) or "-"
    return "-" if value in (None, "") else str(value)
