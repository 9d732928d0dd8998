"""The reference answer of a stored row: its kind, its letter, its options.

Rules:

1. Options come as a list, a list written as text (`['1', '2']`), or a mapping from letters. Read with `ast.literal_eval` or
   JSON, never evaluated.
2. With options, an answer that is a letter (A, (A), A.) means that option; one that equals an option's text means its letter.
   A row whose answer is neither, or both with different meanings, is a fault.
3. Without options, a letter is a choice if the question prints labels for it or the row calls itself multiple choice.
4. Else a plain number is "number"; LaTeX signs, a fraction or an expression of one-letter variables (x=5, (2,4), 1+2i) make it
   "latex"; the rest is "text".
5. Of several accepted answers the first is the answer; all are kept in `meta["accepted_answers"]`.
"""

from __future__ import annotations

import ast
import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlmpost.data.ledger import RowFault
from vlmpost.records import AnswerType

LETTERS = string.ascii_uppercase
NO_OPTION = "answer without an option"
NOTE_ACCEPTED = "several accepted answers, the first is the reference"
NOTE_EQUAL_OPTIONS = "the answer's option appears twice"

_NUMBER = re.compile(r"[-+]?((\d{1,3}(,\d{3})+|\d+)(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_FRACTION = re.compile(r"[-+]?\d+\s*/\s*\d+")
_LETTER = re.compile(r"\(?([A-Z])\)?[.:]?")
# Dates, telephone and part numbers (5-20-98, J-062) are not differences: without "=" or a list, a lower-case variable is needed.
_EXPRESSION = re.compile(r"(?!.*[A-Za-z]{2})(?=.*=|.*\d,|.*, *-?\d|.*[a-z](?=.*[-+*(\d])|.*[-+*\d].*[a-z])[-+*=()\[\],. 0-9A-Za-z]+")
_LATEX_SIGNS = re.compile(r"[\\${}^_]")
_CHOICE_KINDS = frozenset({"choice", "mcq", "multichoice", "multiplechoice"})


@dataclass(frozen=True, slots=True)
class Gold:
    """A reference answer with its kind; `accepted` is empty unless the row lists several."""

    answer: str | None
    answer_type: AnswerType
    accepted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def options(value: object) -> tuple[str, ...]:
    """The option texts in order A, B, ...; empty when there are none.

    Raises:
        RowFault: They are not a list of texts, or a letter is missing between two others.
    """
    if isinstance(value, str) and value.strip():
        value = literal(value)
        if isinstance(value, str):
            raise RowFault("options are not a list", repr(value[:60]))
    if isinstance(value, Mapping):
        return _by_letter({str(key): item for key, item in value.items() if item not in (None, "")})
    if not value:
        return ()
    if not isinstance(value, Sequence):
        raise RowFault("options are not a list", type(value).__name__)
    if len(value) > len(LETTERS):
        raise RowFault("more than 26 options", str(len(value)))
    return tuple(_text(item).strip() for item in value)


def literal(text: str) -> object:
    """The list or mapping that a cell spells in Python or JSON; the text itself if it spells none."""
    if text.lstrip()[:1] not in ("[", "{", "("):
        return text
    for parse in (ast.literal_eval, json.loads):
        try:
            return parse(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue  # spelled in the other language, or in none
    return text


def gold(value: object, *, choices: Sequence[str], question: str, kind: object = None) -> Gold:
    """The reference answer with its type.

    Args:
        value: What the row's answer column holds.
        choices: The option texts.
        question: The question's text, for labels printed in it.
        kind: What the row's question_type column holds, if anything.

    Raises:
        RowFault: The answer names no option, or two.
    """
    accepted = _accepted(value)
    answer = accepted[0] if accepted else None
    extra = accepted if len(accepted) > 1 else ()
    notes = (NOTE_ACCEPTED,) if extra else ()
    if choices:
        if answer is None:
            return Gold(None, "choice")
        letter, more = _letter(answer, choices)
        return Gold(letter, "choice", extra, (*notes, *more))
    if answer is None:
        return Gold(None, "text")
    match = _LETTER.fullmatch(answer)
    if match and (_is_choice_kind(kind) or _labels(question, (LETTERS.index(match[1]), 0, 1))):
        return Gold(match[1], "choice", extra, notes)
    return Gold(answer, answer_type(answer), extra, notes)


def answer_type(answer: str) -> AnswerType:
    """The kind of a free answer: "number", "latex" or "text".

    >>> answer_type("1,024"), answer_type("3/4"), answer_type("blue")
    ('number', 'latex', 'text')
    """
    if _NUMBER.fullmatch(answer):
        return "number"
    if _LETTER.fullmatch(answer.upper()):
        return "text"
    if _LATEX_SIGNS.search(answer) or _FRACTION.fullmatch(answer) or _EXPRESSION.fullmatch(answer):
        return "latex"
    return "text"


def option_lines(choices: Sequence[str], *, question: str) -> str:
    """The lines "(A) text" to put after a question; empty when it holds them, or when the figure does (options A, B, ...)."""
    letters = LETTERS[: len(choices)]
    printed = _labels(question, range(len(choices))) and all(choice in question for choice in choices)
    if not choices or list(choices) == list(letters) or printed:
        return ""
    return "".join(f"\n({letter}) {choice}" for letter, choice in zip(letters, choices, strict=True))


def _labels(question: str, indices: Sequence[int]) -> bool:
    """Whether the question prints a label such as (B), B., B: or B) for each of these options."""
    return all(re.search(rf"(?<![A-Za-z]){LETTERS[index]}(?:[):]|\.\s)", question) for index in indices)


def _is_choice_kind(kind: object) -> bool:
    return isinstance(kind, str) and re.sub(r"[^a-z]", "", kind.lower()) in _CHOICE_KINDS


def _by_letter(named: Mapping[str, object]) -> tuple[str, ...]:
    letters = sorted(named)
    if letters != list(LETTERS[: len(letters)]):
        raise RowFault("options have a gap", ", ".join(letters))
    return tuple(_text(named[letter]).strip() for letter in letters)


def _letter(answer: str, choices: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    match = _LETTER.fullmatch(answer)
    by_letter = LETTERS.index(match[1]) if match else None
    by_text = [index for index, choice in enumerate(choices) if choice == answer]
    if by_letter is not None and by_letter < len(choices) and by_text and by_letter not in by_text:
        detail = f"{answer!r} is the letter of option {LETTERS[by_letter]} and the text of option {LETTERS[by_text[0]]}"
        raise RowFault("answer names two options", detail)
    if by_text:
        chosen = by_letter if by_letter in by_text else by_text[0]
        assert chosen is not None
        return LETTERS[chosen], (NOTE_EQUAL_OPTIONS,) if len(by_text) > 1 else ()
    if by_letter is not None and by_letter < len(choices):
        return LETTERS[by_letter], ()
    raise RowFault(NO_OPTION, f"answer {answer[:40]!r}, {len(choices)} options")


def _accepted(value: object) -> tuple[str, ...]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        spelled = literal(value)
        if isinstance(spelled, list) and spelled and all(isinstance(item, str) for item in spelled):
            value = spelled
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return tuple(item.strip() for item in value if item.strip())
    text = _text(value).strip() if value is not None else ""
    return (text,) if text else ()


def _text(value: object) -> str:
    """A JSON value as text: 3.0 as "3", true as "True"."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
