"""What an expert wrote for each question, as tokens: what SFT would train on, the end-of-turn token last.

A trace is the assistant's turn as the processor's chat template renders it after the opening of a reply, encoded once. What follows the
end-of-turn token there (a line break in most templates) is none of it: no rollout holds it either. Hints are cut between these tokens.

Traces are each example's own solution, or stand in a file of their own, one JSON object a line:

    {"id": "q1", "solution": "..."}         {"id": "q1", "solutions": ["...", "..."]}

or rows as `vlmpost curate` writes them, where `meta.curation` names the question and says whether the answer was cut. Rows of one
question add up.

A trace cannot be used that is empty, was cut by its token budget, does not end with the end-of-turn token or holds one before its end,
is opened otherwise than replies are (a template may write a <think> of its own), or holds a token that stands for an image or a video:
those belong to prompts.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from vlmpost import jsonl
from vlmpost.config.guidance import TracesConfig
from vlmpost.data.conversation import to_completion, to_messages
from vlmpost.errors import DataError
from vlmpost.models.families import FAMILIES
from vlmpost.models.turns import TurnRenderer
from vlmpost.records import Example

logger = logging.getLogger(__name__)

_BATCH = 256
"""Traces encoded together."""
_OPENED_OTHERWISE = "is rendered by the chat template otherwise than after the opening that replies are sampled from"
_WAYS_ON = "Mend guidance.traces, or leave such questions unguided (guidance.traces.missing: unguided)."


@dataclass(frozen=True, slots=True)
class Trace:
    """One solution of one question."""

    example_id: str
    token_ids: tuple[int, ...]
    """The end-of-turn token included."""
    text: str
    """The tokens decoded, special ones left out, as a rollout's."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A solution before it is encoded."""

    text: str
    where: str
    truncated: bool


class TraceStore:
    """The traces of a run's questions.

    Args:
        config: Where they come from and which are taken.
        examples: The training questions.
        processor: The model's.
        max_tokens: The completion budget that hint and generated tokens share. None: traces are only read.
        base_dir: The folder that a relative `config.path` starts from. None: the current one.

    Raises:
        DataError: The file cannot be read or names no question of ours; with `missing: error` a question without a trace, or a trace
            that cannot be used; a trace beyond `max_tokens`.
        ModelError: The chat template does not close an assistant's turn with a control token (`TurnRenderer`).
    """

    def __init__(
        self,
        config: TracesConfig,
        examples: Sequence[Example],
        *,
        processor: ProcessorMixin,
        max_tokens: int | None,
        base_dir: Path | None = None,
    ) -> None:
        self._choose = config.choose
        self._tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        given = _from_examples(examples) if config.path is None else _from_file((base_dir or Path()) / config.path, examples)
        encoded, faults = _Encoder(processor).encode(examples, given)
        too_long = _without_too_long(encoded, config.max_length)
        self._ids_of = {example.id: _taken(encoded[example.id], config.choose) for example in examples if encoded.get(example.id)}
        missing = [example.id for example in examples if example.id not in self._ids_of]
        _report(config, examples, missing=missing, faults=faults, too_long=too_long)
        _check_budget(self._ids_of, max_tokens)

    @property
    def ids(self) -> tuple[str, ...]:
        """The questions that have a trace, in the examples' order."""
        return tuple(self._ids_of)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all traces that may be used, and of their questions."""
        digest = hashlib.sha256()
        for example_id, traces in self._ids_of.items():
            digest.update(f"{len(example_id)}/{example_id}/{len(traces)}".encode())
            for token_ids in traces:
                digest.update(f"/{len(token_ids)}/".encode() + token_ids.astype("<i4").tobytes())
        return digest.hexdigest()

    def trace(self, example_id: str, *, seed: int) -> Trace | None:
        """Returns the trace of a question. None: it has none, and is never guided.

        Args:
            example_id: The question's.
            seed: With `choose: random` it alone decides which.
        """
        traces = self._ids_of.get(example_id)
        if traces is None:
            return None
        place = random.Random(f"trace/{seed}").randrange(len(traces)) if self._choose == "random" else 0
        token_ids = tuple(traces[place].tolist())
        return Trace(example_id, token_ids, self._tokenizer.decode(token_ids, skip_special_tokens=True))


class _Encoder:
    """Solutions as the tokens of an assistant's turn."""

    def __init__(self, processor: ProcessorMixin) -> None:
        self._processor = processor
        self._tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        self._end = TurnRenderer(processor).end_of_turn
        self._ends = frozenset({self._end, int(self._tokenizer.eos_token_id)})
        self._vision = _vision_ids(self._tokenizer)

    def encode(self, examples: Sequence[Example], given: Mapping[str, Sequence[_Given]]) -> tuple[dict[str, list[np.ndarray]], list[str]]:
        """Returns the int32 tokens of the traces that can be used, by question, and what is wrong with each of the others."""
        encoded: dict[str, list[np.ndarray]] = {}
        faults: list[str] = []
        asked = [(example, one) for example in examples for one in given.get(example.id, ())]
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            texts = [self._rendered(replace(example, solution=one.text)) for example, one in batch]
            rows = self._tokenizer([text or "" for text in texts], add_special_tokens=False).input_ids
            for (example, one), text, row in zip(batch, texts, rows, strict=True):
                token_ids = self._to_end(row)
                fault = _OPENED_OTHERWISE if text is None else self._fault(one, token_ids)
                if fault is None:
                    encoded.setdefault(example.id, []).append(np.array(token_ids, dtype=np.int32))
                else:
                    faults.append(f"{one.where}: the trace of {example.id} {fault}")
        return encoded, faults

    def _rendered(self, example: Example) -> str | None:
        """The template's text from the opening of the reply to the end of the chat. None: it opens the solution otherwise."""
        prompt = to_messages(example, instruction=None)
        before = self._processor.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        whole = self._processor.apply_chat_template([*prompt, *to_completion(example)], tokenize=False)
        return str(whole[len(before) :]) if whole.startswith(before) else None

    def _to_end(self, row: Sequence[int]) -> list[int]:
        """The tokens without the blanks that the template puts after the last end-of-turn token."""
        last = next((place for place in reversed(range(len(row))) if row[place] == self._end), len(row) - 1)
        return list(row[: last + 1] if not self._tokenizer.decode(row[last + 1 :]).strip() else row)

    def _fault(self, one: _Given, token_ids: Sequence[int]) -> str | None:
        if not one.text.strip():
            return "is empty"
        if one.truncated:
            return "was cut by its token budget"
        if not token_ids or token_ids[-1] != self._end:
            return "does not end with the end-of-turn token"
        if self._ends.intersection(token_ids[:-1]):
            return "holds an end-of-turn token before its end"
        if self._vision.intersection(token_ids):
            return "holds a token that stands for an image or a video"
        return None


def _vision_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Of the added tokens that stand for vision content in any family."""
    pattern = re.compile("|".join(f"(?:{family.vision_tokens})" for family in FAMILIES.values()))
    return frozenset(index for token, index in tokenizer.get_added_vocab().items() if pattern.fullmatch(token))


def _from_examples(examples: Sequence[Example]) -> dict[str, list[_Given]]:
    return {
        example.id: [_Given(example.solution, "data.train", _was_truncated(example.meta))]
        for example in examples
        if example.solution is not None
    }


def _from_file(path: Path, examples: Sequence[Example]) -> dict[str, list[_Given]]:
    given: dict[str, list[_Given]] = {}
    for line, row in jsonl.read(path):
        where = f"{path}:{line}"
        solutions = [_Given(text, where, _was_truncated(row.get("meta"))) for text in _solutions(row, where)]
        given.setdefault(_question_id(row, where), []).extend(solutions)
    known = {example.id for example in examples}
    strange = [example_id for example_id in given if example_id not in known]
    if len(strange) == len(given):
        first = f" (first: {strange[0]!r})" if strange else ""
        raise DataError(
            f"{path}: none of its {len(given)} questions{first} is one of the {len(known)} training questions. Give traces by the ids "
            "of data.train."
        )
    if strange:
        logger.warning("%s: %d of %d questions are no training questions (first: %r)", path, len(strange), len(given), strange[0])
    return given


def _question_id(row: jsonl.Row, where: str) -> str:
    value = _origin(row.get("meta")).get("question_id", row.get("id"))
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DataError(f"{where}: expected an `id`, got {value!r}. Give each row {{id, solution}} or {{id, solutions}}.")
    return str(value)


def _solutions(row: jsonl.Row, where: str) -> list[str]:
    if ("solution" in row) == ("solutions" in row):
        raise DataError(f"{where}: expected one of `solution` and `solutions`, got {sorted(row)}.")
    value = [row["solution"]] if "solution" in row else row["solutions"]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise DataError(f"{where}: `solution` is a text and `solutions` a list of texts, got {str(value)[:80]}.")
    return value


def _was_truncated(meta: object) -> bool:
    return bool(_origin(meta).get("truncated"))


def _origin(meta: object) -> Mapping[str, object]:
    """What curation wrote of a row; nothing where it did not."""
    origin = meta.get("curation") if isinstance(meta, Mapping) else None
    return origin if isinstance(origin, Mapping) else {}


def _without_too_long(encoded: dict[str, list[np.ndarray]], max_length: int | None) -> int:
    """Takes traces beyond `max_length` out of `encoded`; returns how many."""
    if max_length is None:
        return 0
    before = sum(map(len, encoded.values()))
    for example_id, traces in encoded.items():
        encoded[example_id] = [token_ids for token_ids in traces if len(token_ids) <= max_length]
    return before - sum(map(len, encoded.values()))


def _taken(traces: Sequence[np.ndarray], choose: str) -> list[np.ndarray]:
    """All of a question's traces where chance chooses, else the one."""
    if choose == "random":
        return list(traces)
    if choose == "first":
        return [traces[0]]
    return [min(traces, key=len) if choose == "shortest" else max(traces, key=len)]


def _report(config: TracesConfig, examples: Sequence[Example], *, missing: Sequence[str], faults: Sequence[str], too_long: int) -> None:
    """Refuses faults and questions without a trace, or says how many there are."""
    beyond = f"; {too_long} traces are longer than guidance.traces.max_length {config.max_length}" if too_long else ""
    if config.missing == "error" and faults:
        raise DataError(f"{len(faults)} traces cannot be used. The first: {faults[0]}. {_WAYS_ON}")
    if config.missing == "error" and missing:
        raise DataError(
            f"{len(missing)} of {len(examples)} training questions have no trace (first: {missing[0]!r}{beyond}). Give each a solution, "
            "in data.train or in guidance.traces.path, or leave such questions unguided (guidance.traces.missing: unguided)."
        )
    if len(missing) == len(examples):
        first = f" The first fault: {faults[0]}." if faults else ""
        raise DataError(
            f"None of the {len(examples)} training questions has a trace, so nothing can be guided{beyond}.{first} Give traces."
        )
    if faults:
        logger.warning("%d traces cannot be used; the first: %s", len(faults), faults[0])
    if missing or too_long:
        logger.info("%d of %d training questions have no trace and are never guided%s", len(missing), len(examples), beyond)


def _check_budget(ids_of: Mapping[str, Sequence[np.ndarray]], max_tokens: int | None) -> None:
    if max_tokens is None or not ids_of:
        return
    longest, example_id = max((len(token_ids), example_id) for example_id, traces in ids_of.items() for token_ids in traces)
    if longest > max_tokens:
        raise DataError(
            f"The trace of {example_id!r} has {longest} tokens, and hints count against generation.max_completion_length, which is "
            f"{max_tokens}. Raise it to {longest}, or leave longer traces out (guidance.traces.max_length: {max_tokens}, "
            "missing: unguided)."
        )
