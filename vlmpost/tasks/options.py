"""Checks a task's options; all faults in one message."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from vlmpost.errors import ConfigError

Options = TypeVar("Options", bound=BaseModel)


def checked_options(task: str, schema: type[Options], given: Mapping[str, object]) -> Options:
    """Returns the options as an instance of `schema`.

    Raises:
        ConfigError: One or more are unknown or wrong.
    """
    try:
        return schema.model_validate(dict(given))
    except ValidationError as error:
        faults = [_said(fault, schema) for fault in error.errors()]
        raise ConfigError(f"Options of task {task!r}: {'; '.join(faults)}.") from None


def _said(fault: Mapping[str, object], schema: type[BaseModel]) -> str:
    place = ".".join(str(part) for part in fault["loc"])  # type: ignore[attr-defined]  # a tuple, by pydantic's contract
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place, schema.model_fields, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"there is no option {place}{hint}; options: {', '.join(sorted(schema.model_fields)) or 'none'}"
    return f"{place or 'all'}: {fault['msg']}, got {fault['input']!r:.80}"
