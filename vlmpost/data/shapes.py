"""The shapes of stored rows: which columns hold the question, the images, the answer and the solution.

Shapes, tried in this order (column names in any case):

1. messages: `prompt` as a list of turns [+ `completion`], or `messages`; `images` or `image` (TRL).
2. conversations: turns with from/value or role/content and `<image>` markers; `image` or `images` (LLaVA, ShareGPT).
3. problem: `problem`, `answer`, `images` with `<image>` markers (EasyR1, MATH).
4. question: `question`, `options` or `choices` or columns A, B, ..., `answer`, `decoded_image`, `image`, `image_1` ... (benchmarks,
   VLMEvalKit).
5. prompt: `prompt` as a text (what `vlmpost make data` writes).

A benchmark's own `level` is kept in `meta`: it is not our level. `columns: {level: ...}` says otherwise.
GSM8K's answers ("reasoning #### 18") are split into solution and answer.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from vlmpost.data.ledger import RowFault
from vlmpost.errors import ConfigError
from vlmpost.records import IMAGE, Message, Part

KNOWN_SHAPES = (
    "messages or prompt as a list of turns (TRL)",
    "conversations (LLaVA, ShareGPT)",
    "problem (EasyR1, MATH)",
    "question (benchmarks, VLMEvalKit)",
    "prompt as a text (vlmpost make data)",
)
RENAMES = (
    *("answer", "choices", "completion", "conversations", "depth", "frames", "hint", "id", "image", "images", "level", "messages"),
    *("options", "points", "problem", "prompt", "question", "solution", "video", "videos"),
)
"""Columns that `columns:` may rename to."""

ID_COLUMNS = ("id", "uid", "index", "question_id", "unique_id", "pid", "sample_index", "idx", "problem_id")
IMAGE_COLUMNS = ("images", "decoded_image", "image", "image_path", "picture")
_NUMBERED_IMAGE = re.compile(r"image_?(\d{1,2})", re.IGNORECASE)
_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    **{"system": "system", "user": "user", "human": "user"},
    **{"assistant": "assistant", "gpt": "assistant", "model": "assistant"},
}
_GSM8K = re.compile(r"(?s)(.*)\n#### *([^\n]+)\s*")


@dataclass(slots=True)
class Draft:
    """What a row says, before its markers are placed and its images found."""

    messages: list[Message]
    images: list[object]
    """Stored values of the images: paths, bytes, structs."""
    id: object = None
    task: object = None
    answer: object = None
    answer_type: object = None
    """Given by our own rows only; None: to be inferred."""
    choices: object = None
    kind: object = None
    """The row's question_type."""
    solution: str | None = None
    level: object = None
    meta: dict[str, object] = field(default_factory=dict)


class Columns:
    """The columns of one row, by name in any case; what nobody takes ends in `meta`."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.rest = dict(values)
        self._names: dict[str, str] = {}
        for name in values:
            self._names.setdefault(name.lower(), name)

    def peek(self, name: str) -> object:
        """The value of a column; None when it is absent or empty."""
        value = self.rest.get(self._names.get(name, name))
        return None if _is_empty(value) else value

    def take(self, *names: str) -> object:
        """The first value among these columns that is not empty, removed from the rest; None: no such."""
        for name in names:
            value = self.peek(name)
            if value is not None:
                del self.rest[self._names.get(name, name)]
                return value
        return None

    def drop(self, *names: str) -> None:
        """Removes columns from the rest."""
        for name in names:
            self.rest.pop(self._names.get(name, name), None)


def check_renames(columns: Mapping[str, str]) -> None:
    """Passes if every key of `columns:` is a column that can be renamed to.

    Raises:
        ConfigError: One is not.
    """
    for name in columns:
        if name not in RENAMES:
            near = difflib.get_close_matches(name, RENAMES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"columns: {name!r} is not a column of ours.{hint} Choose from {', '.join(RENAMES)}.")


def renamed(values: Mapping[str, object], columns: Mapping[str, str]) -> dict[str, object]:
    """The row under our names: for `{ours: theirs}`, the value of theirs stands under ours."""
    taken = set(columns.values())
    row = {name: value for name, value in values.items() if name not in taken and name not in columns}
    return row | {ours: values.get(theirs) for ours, theirs in columns.items()}


def shape_of(values: Mapping[str, object]) -> str | None:
    """The name of the shape of a row; None: it has none of them."""
    columns = Columns(values)
    prompt = columns.peek("prompt")
    if _is_list(prompt) or _is_list(columns.peek("messages")):
        return "messages"
    if _is_list(columns.peek("conversations")):
        return "conversations"
    for name in ("problem", "question"):
        if isinstance(columns.peek(name), str):
            return name
    return "prompt" if isinstance(prompt, str) else None


def draft(values: Mapping[str, object], *, shape: str, own_level: bool = False) -> Draft:
    """Reads a row of a known shape.

    Args:
        values: The row under our names.
        shape: What `shape_of` said.
        own_level: Whether a `level` column of a benchmark is our level, because `columns:` says so.

    Raises:
        RowFault: The row breaks its shape.
    """
    columns = Columns(values)
    readers: dict[str, Callable[[Columns], Draft]] = {
        **{"messages": _messages, "conversations": _conversations},
        **{"problem": _question, "question": _question, "prompt": _prompt},
    }
    result = readers[shape](columns)
    result.images = result.images or _images(columns)
    result.id = columns.take(*ID_COLUMNS)
    if own_level or shape not in ("problem", "question"):
        result.level = columns.take("level")
    own_meta = columns.take("meta") if shape not in ("problem", "question") and isinstance(columns.peek("meta"), Mapping) else {}
    assert isinstance(own_meta, Mapping)
    result.meta = {str(name): value for name, value in own_meta.items()} | _meta(columns)
    return result


def _messages(columns: Columns) -> Draft:
    turns = columns.take("prompt") if _is_list(columns.peek("prompt")) else columns.take("messages")
    assert isinstance(turns, Sequence)
    inline: list[object] = []
    messages = [_turn(turn, "role", "content", inline) for turn in turns]
    if inline and any(columns.peek(name) is not None for name in IMAGE_COLUMNS):
        raise RowFault("images given twice", "inside the turns and in an image column")
    solution = _completion(columns.take("solution", "completion"))
    return _own(columns, *_split_solution(messages, solution), inline)


def _conversations(columns: Columns) -> Draft:
    turns = columns.take("conversations")
    assert isinstance(turns, Sequence)
    keys = ("from", "value") if turns and isinstance(turns[0], Mapping) and "from" in turns[0] else ("role", "content")
    inline: list[object] = []
    messages = [_turn(turn, *keys, inline) for turn in turns]
    system = columns.take("system")
    if isinstance(system, str):
        messages.insert(0, Message("system", (system,)))
    return _own(columns, *_split_solution(messages, _completion(columns.take("solution"))), inline)


def _prompt(columns: Columns) -> Draft:
    prompt = columns.take("prompt")
    solution = _completion(columns.take("solution", "completion"))
    return _own(columns, [Message("user", (str(prompt),))], solution, [])


def _own(columns: Columns, messages: list[Message], solution: str | None, images: list[object]) -> Draft:
    given = columns.take("answer_type")
    columns.drop("answer_type")
    answer = columns.take("answer", "answers")
    choices = columns.take("choices", "options")
    task = columns.take("task")
    return Draft(messages, images, task=task, answer=answer, answer_type=given, choices=choices, solution=solution)


def _question(columns: Columns) -> Draft:
    text = str(columns.take("problem", "question"))
    hint = columns.take("hint")
    if isinstance(hint, str):
        text = f"Hint: {hint}\n{text}"
    answer = columns.take("answer", "answers")
    solution = columns.take("solution") if isinstance(columns.peek("solution"), str) else None
    split = _GSM8K.fullmatch(answer) if isinstance(answer, str) else None
    if split and solution is None:
        solution, answer = split[1], split[2]
    choices = columns.take("choices", "options") or _lettered(columns)
    kind = columns.peek("question_type")
    message = Message("user", (text,))
    return Draft([message], [], answer=answer, choices=choices, kind=kind, solution=str(solution) if solution else None)


def _lettered(columns: Columns) -> dict[str, object] | None:
    """Option columns A, B, ... of a benchmark table."""
    if "A" not in columns.rest or "B" not in columns.rest:
        return None
    letters = [name for name in columns.rest if len(name) == 1 and name.isascii() and name.isupper()]
    return {letter: value for letter in letters if not _is_empty(value := columns.rest.pop(letter))}


def _turn(turn: object, role_key: str, content_key: str, inline: list[object]) -> Message:
    if not isinstance(turn, Mapping) or role_key not in turn:
        raise RowFault("turn without a role", repr(turn)[:80])
    name = str(turn[role_key]).lower()
    if name not in _ROLES:
        raise RowFault("unknown role", f"{name!r}; known: {', '.join(sorted(_ROLES))}")
    content = turn.get(content_key)
    if isinstance(content, str):
        return Message(_ROLES[name], (content,))
    if not _is_list(content):
        raise RowFault("turn without content", repr(turn)[:80])
    assert isinstance(content, Sequence)
    return Message(_ROLES[name], _with_own_break(tuple(_block(block, inline) for block in content)))


def _with_own_break(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts with a line break more where the text after leading image blocks starts with one: placing markers takes one away."""
    first = next((place for place, part in enumerate(parts) if part is not IMAGE), 0)
    text = parts[first] if first else ""
    return (*parts[:first], f"\n{text}", *parts[first + 1 :]) if isinstance(text, str) and text.startswith("\n") else parts


def _block(block: object, inline: list[object]) -> Part:
    if isinstance(block, str):
        return block
    kind = block.get("type") if isinstance(block, Mapping) else None
    if isinstance(block, Mapping) and kind == "text" and isinstance(block.get("text"), str):
        return str(block["text"])
    if isinstance(block, Mapping) and kind in ("image", "image_url"):
        given = [block[key] for key in ("image", "path", "url", "image_url") if block.get(key) is not None]
        inline += given[:1]
        return IMAGE
    raise RowFault("unknown content block", f"{repr(block)[:80]}; known: text, image")


def _split_solution(messages: list[Message], solution: str | None) -> tuple[list[Message], str | None]:
    if messages and messages[-1].role == "assistant":
        last = messages.pop()
        if last.num_images:
            raise RowFault("image marker outside a user turn", "in the answer")
        solution = solution or last.text
    if not messages or messages[-1].role != "user":
        raise RowFault("no question", "the turns do not end with a user's, or a user's and an assistant's")
    return messages, solution


def _completion(value: object) -> str | None:
    """The text of a solution column: a text, or a list with one assistant turn."""
    if value is None or isinstance(value, str):
        return value
    if not _is_list(value):
        raise RowFault("solution is not a text", type(value).__name__)
    assert isinstance(value, Sequence)
    messages = [_turn(turn, "role", "content", []) for turn in value]
    if len(messages) != 1 or messages[0].role != "assistant" or messages[0].num_images:
        raise RowFault("completion is not one assistant turn", f"{len(messages)} turns")
    return messages[0].text


def _images(columns: Columns) -> list[object]:
    found = columns.take(*IMAGE_COLUMNS)
    numbered = sorted((int(match[1]), name) for name in columns.rest if (match := _NUMBERED_IMAGE.fullmatch(name)))
    values = [value for _, name in numbered if not _is_empty(value := columns.rest.pop(name))]
    columns.drop(*(name for name in IMAGE_COLUMNS if not isinstance(columns.peek(name), str)))
    if found is None:
        return values
    if _is_list(found):
        assert isinstance(found, Sequence)
        return [value for value in found if value is not None]
    return [found]


def _meta(columns: Columns) -> dict[str, object]:
    return {name: value for name, value in columns.rest.items() if not _is_empty(value) and _is_json(value)}


def _is_json(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_json(item) for item in value)
    return value is None or isinstance(value, str | int | float | bool)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _is_empty(value: object) -> bool:
    if isinstance(value, float):
        return value != value
    return value is None or (isinstance(value, str | bytes | list | tuple | dict) and len(value) == 0)
