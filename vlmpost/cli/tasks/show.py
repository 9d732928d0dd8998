"""`vlmpost tasks show`: one problem as a model gets it, its pictures as files, and what the verifier says of replies to it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, print_json, print_table, visible
from vlmpost.cli.tasks.listing import facts_of, words
from vlmpost.cli.tasks.naming import MaterialOption, OptionsOption, RewardsOption, ShiftOption, TaskArgument, code_of, found_task
from vlmpost.cli.tasks.problem import Place, ShownProblem, given_problem, named_problem, save_images

if TYPE_CHECKING:
    from vlmpost.records import Example, Step
    from vlmpost.tasks import Task
    from vlmpost.tasks.task import TaskOptions

MAX_REPLY_BYTES = 64 * 2**20
"""Longest reply that is read from a file or from stdin."""
MAX_SHOWN_CHARACTERS = 2_000
"""Of what the verifier says of one reply; --json prints all."""


def show(
    name: TaskArgument,
    seed: Annotated[int | None, typer.Option(help="Chooses the stream of problems; default 0.", min=0, show_default=False)] = None,
    index: Annotated[int | None, typer.Option(help="Number of the problem in its stream; default 0.", min=0, show_default=False)] = None,
    split: Annotated[str | None, typer.Option(help="train (default), validation or test.", show_default=False)] = None,
    difficulty: Annotated[int | None, typer.Option(help="Default: the task's first.", show_default=False)] = None,
    shift: ShiftOption = "none",
    settings: OptionsOption = None,
    path: MaterialOption = None,
    row: Annotated[str | None, typer.Option(help="The problem itself as JSON, or @FILE with it.", show_default=False)] = None,
    image_to: Annotated[
        Path | None, typer.Option(help="A .png file or a folder for the pictures; default: the working folder.", show_default=False)
    ] = None,
    replies: Annotated[
        list[str] | None,
        typer.Option(
            "--reply", help="A reply to verify, @FILE with it, or - for stdin; again for the replies after it.", show_default=False
        ),
    ] = None,
    rewards: RewardsOption = None,
    verify_iterations: Annotated[
        int | None, typer.Option(help="Graded attempts at each state; default: the task's own, else each reply by itself.", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Show a task's options and one of its problems, save its pictures, and verify replies to it.

    vlmpost tasks show general_points --seed 1 --index 7 --set mode=vision --image-to cards/

    vlmpost tasks show general_points --row '{"cards": ["4", "3", "2", "K"]}' --reply '{"formula": "4*3+2+10=24"}' --json

    vlmpost tasks show my_task.py:Parity --reply wrong --reply right --verify-iterations 2
    """
    from vlmpost.tasks.verifying import play, result_of, table_of

    task = found_task(name)
    table = table_of(task, rewards)
    texts = [_text_of(reply, "--reply") for reply in replies or ()]
    place = Place(seed or 0, index or 0, split or "train", difficulty, shift, path)
    chosen = {"--seed": seed, "--index": index, "--split": split, "--difficulty": difficulty, "--set": settings, "--path": path}
    with code_of(task):
        if row is None:
            problem = named_problem(task, place, settings)
        else:
            besides = [flag for flag, value in chosen.items() if value is not None]
            problem = given_problem(task, _text_of(row, "--row"), besides=[*besides, *(["--shift"] if shift != "none" else [])])
        saved = save_images(problem.example, image_to, unnamed=row is not None)
        attempts = problem.verify_iterations if verify_iterations is None else verify_iterations
        episodes = play(task, problem.example, texts or problem.replies, verify_iterations=attempts, rewards=table)
        facts = _facts(task, problem, saved)
    steps = [step for episode in episodes for step in episode.steps]
    if as_json:
        results = [result_of(step) for step in steps]
        last = {key: results[-1][key] for key in ("outcome", "reward", "violations", "terminated", "truncated")} if results else {}
        print_json({**facts, "rewards": table, "verify_iterations": attempts, "results": results, **last})
        return
    _print(facts)
    _print_steps(steps, table=table)


def _text_of(given: str, flag: str) -> str:
    """The text itself, or what the file after @ or stdin holds.

    Raises:
        DataError: It cannot be read, is too long, or is not UTF-8.
    """
    from vlmpost.errors import DataError

    if given != "-" and not given.startswith("@"):
        return given
    try:
        if given == "-":
            data = sys.stdin.buffer.read(MAX_REPLY_BYTES + 1)
        else:
            with open(given[1:], "rb") as file:
                data = file.read(MAX_REPLY_BYTES + 1)
    except OSError as error:
        raise DataError(f"{flag} {given}: cannot be read ({error.strerror}).") from None
    if len(data) > MAX_REPLY_BYTES:
        raise DataError(f"{flag} {given}: longer than {MAX_REPLY_BYTES:,} bytes.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{flag} {given}: not UTF-8 text (byte {error.start}).") from None


def _facts(task: Task, problem: ShownProblem, saved: Sequence[Path]) -> dict[str, object]:
    from vlmpost.data.write import marked

    example = problem.example
    prompt: object = marked(example.prompt[0])
    if len(example.prompt) != 1:
        prompt = [{"role": message.role, "content": marked(message)} for message in example.prompt]
    return {
        "task": task.address,
        "about": facts_of(task),
        "options": options_of(task, problem.options),
        "id": example.id,
        "prompt": prompt,
        "images": [str(path) for path in saved],
        "image_hashes": [hashlib.sha256(path.read_bytes()).hexdigest() for path in saved],
        "answer": example.answer,
        "choices": list(example.choices),
        "solutions": _solutions(task, example),
        "meta": dict(example.meta),
    }


def options_of(task: Task, chosen: TaskOptions | None) -> list[dict[str, object]]:
    """Returns each option of a task with its type, default, value here and meaning; without values for a given problem."""
    from vlmpost.config.describe import type_text

    values = {} if chosen is None else chosen.model_dump(mode="json")
    defaults = task.options_type.model_construct().model_dump(mode="json")
    return [
        {
            "name": name,
            "type": type_text(field),
            "default": defaults.get(name),
            "value": values.get(name),
            "meaning": " ".join((field.description or "").split()),
        }
        for name, field in task.options_type.model_fields.items()
    ]


def _solutions(task: Task, example: Example) -> dict[str, str]:
    """The scripted solutions that the task has, by style."""
    from vlmpost.errors import ConfigError
    from vlmpost.tasks.task import STYLES

    found: dict[str, str] = {}
    for style in STYLES:
        try:
            found[style] = task.solve(example, style=style)
        except ConfigError:
            continue
    return found


def _print(facts: Mapping[str, object]) -> None:
    about = _mapping(facts["about"])
    print(f"{facts['task']}: {about['meaning']}")
    print(
        f"difficulties {words(about['difficulties'])}; shifts {words(about['shifts'])}; rewards {words(about['rewards'])}; "
        f"attempts {words(about['verify_iterations'])}"
    )
    options = facts["options"]
    assert isinstance(options, list), options
    if options:
        print("\nOptions (--set OPTION=VALUE):")
        rows = [
            [option["name"], option["type"], *(_value(option[key]) for key in ("default", "value")), option["meaning"]]
            for option in options
        ]
        print_table(["option", "type", "default", "here", "meaning"], rows, flexible="meaning")
    print(f"\nProblem {visible(str(facts['id']))}:")
    print(visible(facts["prompt"] if isinstance(facts["prompt"], str) else json.dumps(facts["prompt"], indent=2, ensure_ascii=False)))
    for number, path in enumerate(_list(facts["images"]), start=1):
        print(f"\nImage {number}: {path}")
    if facts["answer"] is not None:
        print(f"\nAnswer: {visible(str(facts['answer']))}")
    for style, solution in _mapping(facts["solutions"]).items():
        print(f"\nSolution ({style}):\n{visible(str(solution))}")


def _print_steps(steps: Sequence[Step], *, table: str) -> None:
    for number, step in enumerate(steps, start=1):
        ended = "; the episode ends" if step.terminated else "; the attempts are used up" if step.truncated else ""
        print(f"\nReply {number}: {step.outcome}, reward {step.reward:g} ({table}){ended}")
        said = {
            "state": step.state or None,
            "violations": ", ".join(step.violations) or None,
            "recognised": None if step.recognised is None else "yes" if step.recognised else "no",
            "extracted": step.extracted,
            "feedback": step.feedback,
        }
        for name, value in said.items():
            if value is not None:
                print(f"  {name}: {_in_short(str(value))}")


def _in_short(text: str) -> str:
    more = len(text) - MAX_SHOWN_CHARACTERS
    return visible(text[:MAX_SHOWN_CHARACTERS]) + (f" ... and {more} characters more" if more > 0 else "")


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _mapping(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping), value
    return value


def _list(value: object) -> Sequence[object]:
    assert isinstance(value, list), value
    return value
