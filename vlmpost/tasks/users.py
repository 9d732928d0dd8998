"""A user's own task, by `package.module:Class` or `file.py:Class`."""

from __future__ import annotations

import functools

from vlmpost.config.user_code import find_object
from vlmpost.errors import ConfigError
from vlmpost.tasks.task import Task


@functools.cache
def find_class(name: str) -> Task:
    """Return an instance of the class; examples it makes say `name` as their task, so that they find it again.

    Raises:
        ConfigError: There is no such file, module or class, it is no task, or it fails to import or to be made.
    """
    found = find_object(name, what="Task", kind="class")
    if not isinstance(found, type) or not issubclass(found, Task):
        raise ConfigError(f"Task {name!r}: {found.__name__ if isinstance(found, type) else name} is not a subclass of vlmpost.tasks.Task.")
    try:
        task = found()
    except TypeError as error:
        raise ConfigError(f"Task {name!r}: it cannot be made: {error}.") from error
    if not isinstance(getattr(task, "name", None), str):
        raise ConfigError(f"Task {name!r}: its class attribute `name` is missing.")
    task._address = name  # type: ignore[attr-defined]  # read by Task.address
    return task
