"""The folder of a curation: who may write it, what it was made with, and every answer that came.

`samples.jsonl` is the truth: one line per answer, written as it comes, or per failure that asking again would not mend. Everything
else is computed from it, so a killed curation loses what was under way and nothing more. A folder holds the answers to one set of
settings; how fast they are fetched is not one of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from vlmpost import jsonl
from vlmpost.curation.records import Answer, Ask, Failure
from vlmpost.errors import DataError, RunError
from vlmpost.records import Outcome, StopReason, Verdict
from vlmpost.runs.directory import RunDirectory, disk

Purpose = Literal["answer", "without_images"]
"""Whether a sample answers the question, or the question without its images."""

Key = tuple[Purpose, str, int]
"""Purpose, question and sample: what a sample is one of."""

MAX_SHOWN_CHARACTERS = 60
_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer that came, judged."""

    purpose: Purpose
    id: str
    """The question's."""
    sample: int
    seed: int
    answer: Answer
    verdict: Verdict | None
    """None: the question has no reference answer."""

    @property
    def key(self) -> Key:
        """What it is one of."""
        return self.purpose, self.id, self.sample

    @property
    def is_right(self) -> bool:
        """Whether the judge found it right."""
        return self.verdict is not None and self.verdict.correct

    def to_row(self) -> jsonl.Row:
        """The sample as it is stored; a verdict without the place and the form of the answer."""
        answer, verdict = self.answer, self.verdict
        return {
            **_head(self.key, self.seed, answer.teacher),
            "text": answer.text,
            "num_tokens": answer.num_tokens,
            "stop_reason": answer.stop_reason,
            "actions": [list(step) for step in answer.actions],
            "verdict": None if verdict is None else {"outcome": verdict.outcome, "extracted": verdict.extracted, "rule": verdict.rule},
        }


@dataclass(frozen=True, slots=True)
class Came:
    """What came of the samples that were asked for."""

    samples: dict[Key, Sample]
    failures: dict[Key, Failure]
    """Those read from a file are lasting ones."""

    def __contains__(self, key: Key) -> bool:
        return key in self.samples or key in self.failures


class Store:
    """The files of one curation."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @property
    def settings_path(self) -> Path:
        """What the answers were made with."""
        return self.folder / "curation.json"

    @property
    def samples_path(self) -> Path:
        """One line per answer, appended as they come."""
        return self.folder / "samples.jsonl"

    @property
    def pass_rates_path(self) -> Path:
        """How often each question was answered right."""
        return self.folder / "pass_rates.jsonl"

    @property
    def train_path(self) -> Path:
        """The rows that were kept."""
        return self.folder / "train.jsonl"

    @property
    def images_dir(self) -> Path:
        """Their images."""
        return self.folder / "images"

    @property
    def ledger_path(self) -> Path:
        """What became of all questions and samples, in numbers."""
        return self.folder / "ledger.json"

    @property
    def fates_path(self) -> Path:
        """What became of each question and sample, by name."""
        return self.folder / "fates.jsonl"

    @property
    def card_path(self) -> Path:
        """How the rows were made, in words."""
        return self.folder / "README.md"

    @property
    def num_entered(self) -> int | None:
        """Samples and lasting failures that were entered. None: there is no file of them."""
        if not self.samples_path.exists():
            return None
        with disk(self.samples_path), open(self.samples_path, "rb") as file:
            return sum(1 for line in file if line.strip())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Makes this process the only one that writes the folder, inside the block; what a killed one left of a last line is cut off.

        Raises:
            RunError: It is a file, another process holds it, or the disk refuses.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise RunError(f"{self.folder} is a file, and the answers need a folder. Choose another name.")
        with disk(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        directory = RunDirectory(self.folder, writes=True, attempt=1)
        directory.lock(otherwise="choose another folder")
        try:
            self._cut_torn_line()
            yield
        finally:
            directory.unlock()

    def settle(self, settings: Mapping[str, object]) -> None:
        """Makes the folder one of these settings, or one of more of them than before; one that holds nothing yet takes any.

        Args:
            settings: JSON values by name. Those that the folder does not know yet are added.

        Raises:
            RunError: The folder holds answers made with other settings, each of which is named.
        """
        old = jsonl.read_json(self.settings_path) if self.settings_path.exists() else {}
        if not old and self._holds_something:
            raise RunError(
                f"{self.folder} holds answers without {self.settings_path.name}, so it cannot be continued. Choose another folder."
            )
        wanted = {**old, **json.loads(json.dumps(settings))}
        changes = differences(old, {name: wanted[name] for name in old}) if self._holds_something else []
        if changes:
            raise RunError(f"{self.folder} holds another curation: {'; '.join(changes)}. Choose another folder, or the same settings.")
        if wanted != old:
            jsonl.replace_json(self.settings_path, wanted)

    def read(self) -> Came:
        """Returns what came so far.

        Raises:
            DataError: A line is not a sample, or two are of the same.
        """
        came = Came({}, {})
        if not self.samples_path.exists():
            return came
        for number, row in jsonl.read(self.samples_path, torn_tail=True):
            where = f"{self.samples_path}:{number}"
            key, found = _read_row(row, where=where)
            if key in came.samples or key in came.failures:
                raise DataError(f"{where}: sample {key[2]} of {key[1]!r} stands there twice. Remove one of them.")
            if isinstance(found, Failure):
                came.failures[key] = found
            else:
                came.samples[key] = found
        return came

    def append(self, sample: Sample) -> None:
        """Adds an answer.

        Raises:
            RunError: The disk refuses.
        """
        jsonl.append(self.samples_path, [sample.to_row()])

    def append_failure(self, purpose: Purpose, ask: Ask, failure: Failure) -> None:
        """Adds a failure that asking again would not mend.

        Raises:
            RunError: The disk refuses.
        """
        assert failure.lasting, failure
        head = _head((purpose, ask.example.id, ask.sample), ask.seed, failure.teacher)
        detail = {"detail": failure.detail} if failure.detail else {}
        jsonl.append(self.samples_path, [{**head, "failure": failure.reason, **detail}])

    @property
    def _holds_something(self) -> bool:
        """Whether there is an answer, or the result of a curation that asked nothing."""
        return self.ledger_path.exists() or (self.samples_path.exists() and self.samples_path.stat().st_size > 0)

    def _cut_torn_line(self) -> None:
        """Cuts off a last line without its end, so that the next one does not grow onto it."""
        if not self.samples_path.exists():
            return
        with disk(self.samples_path), open(self.samples_path, "rb+") as file:
            file.truncate(_end_of_lines(file))


def differences(old: object, new: object, *, name: str = "") -> list[str]:
    """Returns what differs between two JSON values, as "key was X, is Y".

    >>> differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
    ['a.c was 2, is 3']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [key for key in {**old, **new} if key not in old or key not in new or old[key] != new[key]]
        return [found for key in keys for found in differences(old.get(key), new.get(key), name=f"{name}.{key}" if name else key)]
    return [] if old == new else [f"{name} was {_shown(old)}, is {_shown(new)}"]


def _end_of_lines(file: BinaryIO) -> int:
    """Where the last whole line of a file ends, read from its end; 0 where there is none."""
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - _BLOCK_BYTES)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 3] + "..."


def _head(key: Key, seed: int, teacher: str) -> jsonl.Row:
    purpose, id, sample = key
    return {"purpose": purpose, "id": id, "sample": sample, "seed": seed, "teacher": teacher}


def _read_row(row: jsonl.Row, *, where: str) -> tuple[Key, Sample | Failure]:
    try:
        purpose = row["purpose"]
        if purpose not in get_args(Purpose):
            raise ValueError(f"purpose {purpose!r}")
        key: Key = (purpose, _text(row["id"]), _number(row["sample"]))  # type: ignore[assignment]  # checked above
        if "failure" in row:
            return key, Failure(_text(row["failure"]), _text(row["teacher"]), lasting=True, detail=_text(row.get("detail", "")))
        return key, Sample(*key, _number(row["seed"]), _answer(row), _verdict(row["verdict"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not a sample of a curation ({type(error).__name__}: {error}). Remove the line.") from None


def _answer(row: jsonl.Row) -> Answer:
    stop_reason, actions = row["stop_reason"], row["actions"]
    if stop_reason not in get_args(StopReason) or not isinstance(actions, list):
        raise ValueError(f"stop_reason {stop_reason!r}, actions {actions!r}")
    return Answer(
        text=_text(row["text"]),
        num_tokens=None if row["num_tokens"] is None else _number(row["num_tokens"]),
        stop_reason=stop_reason,  # type: ignore[arg-type]  # checked above
        teacher=_text(row["teacher"]),
        actions=tuple((_text(action), _text(thought)) for action, thought in actions),
    )


def _verdict(value: object) -> Verdict | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value["outcome"] not in get_args(Outcome):
        raise ValueError(f"verdict {value!r}")
    return Verdict(value["outcome"], value["extracted"], _text(value["rule"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"expected a whole number, got {value!r}")
    return value
