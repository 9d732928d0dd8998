"""Stored answers as rollouts, so that rewards can be tried on them: logged rollouts, predictions, or rows of output and gold.

What a row does not say stays unknown: where it has no token ids, they are stood in for by as many zeros as the row counts tokens.
Columns that nobody reads here go to the example's `meta`, where rewards find boxes, sizes and the like.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from typing import get_args

from vlmpost.answers.reference import ACCEPTED, KIND, PRECISION
from vlmpost.answers.values.numbers import parse_number
from vlmpost.errors import DataError
from vlmpost.records import AnswerType, Example, Message, Rollout, StopReason

TEXT_KEYS = ("text", "output", "completion", "prediction", "response")
ANSWER_KEYS = ("answer", "gold", "target")
TOKEN_KEYS = ("completion_ids", "token_ids")
CHOICE_KINDS = frozenset({"choice", "mcq", "multi-choice", "multi_choice", "multiple-choice", "multiple_choice"})
"""Values of `question_type` that say that the answer is an option."""
_TAKEN = frozenset((*TEXT_KEYS, *ANSWER_KEYS, *TOKEN_KEYS, "choices", "options", "id", "sample", "task", "level", "meta", "prompt"))
_LETTER = re.compile(r"\s*\(?[A-J]\)?[.:]?\s*")


def rollout_of(row: Mapping[str, object], *, where: str) -> Rollout:
    """Returns the rollout that a stored row stands for.

    Args:
        row: `output` (or text, completion, prediction, response), and where there is one `gold` (or answer, target; a list
            holds several accepted answers), `choices` (a list, or letter to text), `question_type`, `answer_type`,
            `precision` (also inside `test_options`), `unit`, `question`, `prompt` (text or messages), `completion_ids` or
            `num_tokens`, `max_tokens`, `stop_reason`, `id`, `sample`, `task`, `level`. An `answer_type` that is none of ours
            becomes the reference's `kind`, and ours is read off the answer.
        where: File and line, for messages.

    Raises:
        DataError: There is no text, or a value is of a wrong type.
    """
    text = next((row[key] for key in TEXT_KEYS if isinstance(row.get(key), str)), None)
    if not isinstance(text, str):
        raise DataError(
            f"{where}: no text to score. Expected one of the keys {', '.join(TEXT_KEYS)}, found {', '.join(sorted(row)) or 'none'}."
        )
    answers = _answers(next((row[key] for key in ANSWER_KEYS if row.get(key) is not None), None), where)
    choices = _choices(row.get("choices", row.get("options")), where)
    token_ids = _token_ids(row, text, where)
    meta = _meta(row, answers, where)
    example = Example(
        id=str(row.get("id", where)),
        task=str(row.get("task", "")),
        prompt=_prompt(row.get("prompt"), where),
        answer=answers[0] if answers else None,
        answer_type=_answer_type(row, answers, choices, where),
        choices=choices,
        level=row["level"] if isinstance(row.get("level"), int) else None,  # type: ignore[arg-type]  # checked here
        meta=meta,
    )
    return Rollout(example, text, token_ids, _stop_reason(row, len(token_ids)), sample=_whole(row, "sample", where) or 0)


def _answers(value: object, where: str) -> list[str]:
    """The accepted answers as texts, each once; a list may hold an answer as text and again as a value."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        raise DataError(f"{where}: the reference answer is a mapping; it must be text, a number, or a list of accepted answers.")
    if not isinstance(value, list):
        return [value if isinstance(value, str) else json.dumps(value)]
    texts = [item if isinstance(item, str) else json.dumps(item) for item in value if item is not None]
    if value and not any(isinstance(item, str) for item in value):
        texts = [json.dumps(value)]
    return list(dict.fromkeys(texts))


def _answer_type(row: Mapping[str, object], answers: Sequence[str], choices: Sequence[str], where: str) -> AnswerType:
    declared = row.get("answer_type")
    if declared is not None and not isinstance(declared, str):
        raise DataError(f"{where}: answer_type must be text, got {declared!r:.80}.")
    if choices:
        return "choice"
    for kind in get_args(AnswerType):
        if declared == kind and (kind != "number" or not answers or parse_number(answers[0]) is not None):
            return kind  # type: ignore[no-any-return]  # one of AnswerType's values
    chosen = str(row.get("question_type", "")).lower() in CHOICE_KINDS or declared in ("letter", "option")
    if chosen and answers and _LETTER.fullmatch(answers[0]):
        return "choice"
    if not answers or parse_number(answers[0]) is not None:
        return "number"
    return "latex" if any(mark in answers[0] for mark in "\\^_$") else "text"


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


def _token_ids(row: Mapping[str, object], text: str, where: str) -> tuple[int, ...]:
    for key in TOKEN_KEYS:
        ids = row.get(key)
        if ids is None:
            continue
        if not isinstance(ids, list) or not all(isinstance(token, int) and not isinstance(token, bool) for token in ids):
            raise DataError(f"{where}: {key} must be a list of whole numbers, got {ids!r:.80}.")
        return tuple(ids)
    num_tokens = _whole(row, "num_tokens", where)
    return (0,) * (len(text.split()) if num_tokens is None else num_tokens)


def _stop_reason(row: Mapping[str, object], num_tokens: int) -> StopReason:
    said = row.get("stop_reason", row.get("finish_reason"))
    budget = row.get("max_tokens")
    full = said is None and isinstance(budget, int) and num_tokens >= budget
    return "length" if said == "length" or full else "stop"


def _prompt(value: object, where: str) -> tuple[Message, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Message("user", (value,)),)
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        raise DataError(f"{where}: prompt must be text or a list of messages, got {type(value).__name__}.")
    return tuple(_message(turn, where) for turn in value)


def _message(turn: Mapping[str, object], where: str) -> Message:
    role, content = turn.get("role"), turn.get("content")
    if role not in ("system", "user", "assistant"):
        raise DataError(f"{where}: a message of the prompt has the role {role!r:.40}; it must be system, user or assistant.")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) if isinstance(part, Mapping) else str(part) for part in content)
    return Message(role, (str(content or ""),))  # type: ignore[arg-type]  # checked above


def _meta(row: Mapping[str, object], answers: Sequence[str], where: str) -> dict[str, object]:
    own = row.get("meta") or {}
    if not isinstance(own, Mapping):
        raise DataError(f"{where}: meta must be a mapping, got {type(own).__name__}.")
    meta = {key: value for key, value in row.items() if key not in _TAKEN and value is not None} | dict(own)
    options = row.get("test_options")
    if isinstance(options, Mapping) and PRECISION not in meta and "precision" in options:
        meta[PRECISION] = options["precision"]
    declared = row.get("answer_type")
    if declared is not None and KIND not in meta:
        meta[KIND] = declared
    if len(answers) > 1:
        meta[ACCEPTED] = list(answers)
    return meta


def _whole(row: Mapping[str, object], key: str, where: str) -> int | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DataError(f"{where}: {key} must be a whole number of at least 0, got {value!r:.80}.")
    return value
