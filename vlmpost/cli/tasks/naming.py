"""How the commands name a task, its options and its reward table."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from vlmpost.tasks import Task

TaskArgument = Annotated[
    str,
    typer.Argument(
        metavar="TASK", help="A task of `vlmpost tasks ls`, or yours: package.module:Class, path/to/file.py:Class.", show_default=False
    ),
]
OptionsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="OPTION=VALUE", help="An option of the task, e.g. face_rule=rank; again for more.", show_default=False),
]
ShiftOption = Annotated[
    Literal["none", "rule", "visual"], typer.Option("--shift", help="Variant: in distribution, by another rule, or by other looks.")
]
RewardsOption = Annotated[
    str | None, typer.Option("--rewards", metavar="TABLE", help="Reward table, e.g. paper or repo; default: the task's first.")
]
MaterialOption = Annotated[
    str | None,
    typer.Option("--path", help="Stored material to pose the task on: images, frame folders, videos or RGB-D files.", show_default=False),
]
ALIASES: Mapping[str, str] = {"jigsaw": "image_jigsaw"}


def found_task(name: str) -> Task:
    """Returns the task; `general-points` is `general_points`, and `jigsaw` is the one on images.

    Raises:
        ConfigError: There is no such task.
    """
    from vlmpost import tasks

    if ":" in name:
        return tasks.find(name)
    written = name.replace("-", "_")
    return tasks.find(ALIASES.get(written, written))


def options_given(settings: Sequence[str] | None) -> dict[str, object]:
    """Returns option -> value of the `--set` arguments, the values read as YAML.

    Raises:
        ConfigError: An argument is not OPTION=VALUE, an option is set twice, or a value is not YAML.
    """
    import yaml

    from vlmpost.config.yaml_text import parse_value
    from vlmpost.errors import ConfigError

    given: dict[str, object] = {}
    for argument in settings or ():
        name, equals, text = argument.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {argument}: write it as OPTION=VALUE, e.g. --set face_rule=rank.")
        if name in given:
            raise ConfigError(f"--set {argument}: {name} is set twice; keep one.")
        try:
            given[name] = parse_value(text)
        except (yaml.YAMLError, ValueError):
            raise ConfigError(f"--set {argument}: the value is not YAML; put it in quotes.") from None
    return given


@contextmanager
def code_of(task: Task) -> Iterator[None]:
    """Tells what a user's own task raises as a fault of that task, with its place; what a task of ours raises stays a bug.

    Raises:
        ConfigError: The user's code raised.
    """
    from vlmpost.errors import ConfigError, VlmpostError

    try:
        yield
    except VlmpostError:
        raise
    except Exception as error:  # a user's task may raise anything; it is told with its cause
        if ":" not in task.address:
            raise
        line = traceback.extract_tb(error.__traceback__)[-1]
        message = f"Task {task.address!r} failed: {type(error).__name__}: {error} ({line.filename}:{line.lineno})."
        raise ConfigError(message) from error
