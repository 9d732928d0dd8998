"""Stored answers as rollouts, so that rewards can be tried on them: logged rollouts, predictions, or rows of output and gold.

What a row does not say stays unknown: token ids are stood in for by as many zeros as the row counts tokens.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import get_args

from vlmpost.answers.numbers import parse_number
from vlmpost.errors import DataError
from vlmpost.records import AnswerType, Example, Rollout

TEXT_KEYS = ("text", "output", "completion")
ANSWER_KEYS = ("answer", "gold")
READ_OFF = ("bool", "float", "int", "integer", "letter", "list", "list of float", "list of integer", "open", "option", "string")
"""Answer types that others write; what kind it is for us is read off the answer."""


def rollout_of(row: Mapping[str, object], *, where: str) -> Rollout:
    """Returns the rollout that a stored row stands for.

    Args:
        row: `text` (or `output`, `completion`), and where there is one `answer` (or `gold`), `answer_type`, `choices` (a list,
            or letter to text), `id`, `sample`, `num_tokens`, `stop_reason`. Without an answer type, or with
            one of `READ_OFF`, it is read off the answer.
        where: File and line, for messages.

    Raises:
        DataError: There is no text, or a value is of a wrong type.
    """
    text = next((row[key] for key in TEXT_KEYS if isinstance(row.get(key), str)), None)
    if not isinstance(text, str):
        raise DataError(
            f"{where}: no text to score. Expected one of the keys {', '.join(TEXT_KEYS)}, found {', '.join(sorted(row)) or 'none'}."
        )
    found = next((row[key] for key in ANSWER_KEYS if row.get(key) is not None), None)
    answer = None if found is None else str(found)
    choices = _choices(row.get("choices"), where)
    kind = _declared(row.get("answer_type"), where) or _kind(answer, choices)
    num_tokens = row.get("num_tokens")
    return Rollout(
        Example(
            id=str(row.get("id", where)),
            task=str(row.get("task", "")),
            prompt=(),
            answer=answer,
            answer_type=kind,
            choices=choices,
        ),
        text,
        (0,) * (num_tokens if isinstance(num_tokens, int) else len(text.split())),
        "length" if row.get("stop_reason") == "length" else "stop",
        sample=int(str(row.get("sample", 0))),
    )


def _declared(value: object, where: str) -> AnswerType | None:
    if value is None or value in READ_OFF:
        return None
    for kind in get_args(AnswerType):
        if value == kind:
            return kind  # type: ignore[no-any-return]  # one of AnswerType's values
    raise DataError(f"{where}: answer_type is {value!r}; choose from {', '.join(sorted((*get_args(AnswerType), *READ_OFF)))}.")


def _kind(answer: str | None, choices: tuple[str, ...]) -> AnswerType:
    if choices:
        return "choice"
    if answer is None or parse_number(answer) is not None:
        return "number"
    return "latex" if any(mark in answer for mark in "\\^_$") else "text"


def _choices(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, Mapping):
        letters = sorted(str(key) for key in value)
        if letters != list(string.ascii_uppercase[: len(letters)]):
            raise DataError(f"{where}: choices have the letters {', '.join(letters)}; they must be A, B, ... without a gap.")
        return tuple(str(value[letter]) for letter in letters)
    if isinstance(value, list):
        return tuple(str(choice) for choice in value)
    raise DataError(f"{where}: choices must be a list or letter to text, got {type(value).__name__}.")
