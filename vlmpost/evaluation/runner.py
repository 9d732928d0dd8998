"""Asks a model k times per question, judges every answer, keeps it, and sums up; goes on where it stopped.

Sampling seeds are a hash of (seed, question, sample): adding samples or questions never changes old ones, and neither does the
batch size. Scores come through `rewards/`, verdicts through `answers/`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vlmpost import jsonl
from vlmpost.answers import fault_in_reference
from vlmpost.config.schema import GenerationConfig
from vlmpost.data.conversation import to_messages
from vlmpost.errors import ConfigError, DataError, ModelError
from vlmpost.evaluation.results import EvalResult, Records, hash_of, summarize
from vlmpost.media.images import image_size, open_image
from vlmpost.models.generation import Completion, generate
from vlmpost.models.loader import LoadedModel
from vlmpost.models.sampling import row_seed
from vlmpost.records import Example, Rollout
from vlmpost.rewards import RewardSet
from vlmpost.rewards.correctness import verdict_of

if TYPE_CHECKING:
    from PIL.Image import Image

PURPOSE = "eval"
"""Sets the seeds apart from those of training."""
BATCH_SIZE = 64
JUDGE = "generic-1"
"""Name and version of the rules that verdicts follow; other rules are another evaluation."""

Progress = Callable[[int, int], None]
"""Called with (answers so far, answers in all)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ask:
    """One completion to make."""

    example: Example
    sample: int
    size: int
    """About how long the prompt is."""


def evaluate(
    loaded: LoadedModel,
    examples: Sequence[Example],
    *,
    generation: GenerationConfig,
    num_samples: int,
    seed: int,
    out_path: Path | str,
    batch_size: int = BATCH_SIZE,
    rewards: RewardSet | None = None,
    instruction: str | None = None,
    greedy: bool = False,
    name: str | None = None,
    progress: Progress | None = None,
) -> EvalResult:
    """Returns accuracy with intervals, by level and by task; every answer is kept in the folder `out_path`.

    Answers that the folder holds already are not made again. On a GPU that runs out of memory a batch is halved.

    Args:
        loaded: From `models.loader.load(..., purpose="eval")`.
        examples: The questions; those without a reference answer are asked but not judged.
        generation: How to sample.
        num_samples: Answers per question.
        seed: Of sampling.
        out_path: A folder, made if need be.
        batch_size: Completions made together.
        rewards: Scored beside the verdict. None: verdicts only.
        instruction: Text added to each question.
        greedy: Take the most probable token; num_samples must be 1.
        name: What to call the result. None: the folder's name.
        progress: Called after each batch.

    Raises:
        ConfigError: There are no questions, ids repeat, or greedy is asked for more than one sample.
        DataError: A reference answer cannot be judged.
        RunError: The folder holds another evaluation, or the disk refuses.
        GraderError: A reward fails.
    """
    _check(examples, num_samples=num_samples, greedy=greedy)
    records = Records(out_path)
    settings = settings_of(loaded, generation=generation, seed=seed, instruction=instruction, rewards=rewards, greedy=greedy)
    settings["data_hash"] = hash_of(sorted(_content(example) for example in examples))
    done = records.open(settings)
    asks = [
        _Ask(example, sample, _size(example)) for example in examples for sample in range(num_samples) if (example.id, sample) not in done
    ]
    asks.sort(key=lambda ask: -ask.size)
    num_done, num_all = len(examples) * num_samples - len(asks), len(examples) * num_samples
    for start in range(0, len(asks), batch_size):
        batch = asks[start : start + batch_size]
        completions = _complete(loaded, batch, generation=generation, seed=seed, instruction=instruction, greedy=greedy)
        records.append(_record(ask, completion, rewards) for ask, completion in zip(batch, completions, strict=True))
        num_done += len(batch)
        if progress is not None:
            progress(num_done, num_all)
    result = summarize(_wanted(records, examples, num_samples), name=name or Path(out_path).name, settings=settings)
    jsonl.replace_json(records.results_path, result.to_json())
    return result


def settings_of(
    loaded: LoadedModel,
    *,
    generation: GenerationConfig,
    seed: int,
    instruction: str | None,
    rewards: RewardSet | None,
    greedy: bool,
) -> dict[str, object]:
    """Returns everything that an answer or its verdict depends on, as JSON values."""
    terms = [] if rewards is None else [[term.source, term.weight, json.loads(json.dumps(dict(term.arguments)))] for term in rewards.terms]
    return {
        "model": str(loaded.path),
        "model_hash": loaded.model_hash,
        "chat_template_hash": loaded.chat_template_hash,
        "pixel_budget": dict(loaded.pixel_budget),
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "generation": generation.model_dump(mode="json"),
        "greedy": greedy,
        "seed": seed,
        "instruction": instruction,
        "judge": JUDGE,
        "rewards": terms,
    }


def _complete(
    loaded: LoadedModel, asks: Sequence[_Ask], *, generation: GenerationConfig, seed: int, instruction: str | None, greedy: bool
) -> list[Completion]:
    """The completions of a batch; halves of it where the GPU's memory does not hold it."""
    try:
        images = _images(asks)
        prompts: Sequence[Any] = [to_messages(ask.example, instruction=instruction) for ask in asks]  # Any: chat messages
        return generate(
            loaded.model,
            loaded.processor,
            prompts,
            [images[ask.example.id] for ask in asks],
            config=generation,
            seeds=[row_seed(seed, PURPOSE, ask.example.id, ask.sample) for ask in asks],
            greedy=greedy,
        )
    except torch.cuda.OutOfMemoryError:
        if len(asks) == 1:
            raise ModelError(
                f"Example {asks[0].example.id!r} alone does not fit in GPU memory. Lower image_max_pixels or max_completion_length."
            ) from None
    torch.cuda.empty_cache()
    middle = (len(asks) + 1) // 2
    _log.warning("a batch of %d does not fit in GPU memory; going on with %d", len(asks), middle)
    halves = (asks[:middle], asks[middle:])
    return [
        completion
        for half in halves
        for completion in _complete(loaded, half, generation=generation, seed=seed, instruction=instruction, greedy=greedy)
    ]


def _images(asks: Sequence[_Ask]) -> dict[str, list[Image]]:
    """The images of a batch by example, each opened once."""
    opened: dict[str, list[Image]] = {}
    for ask in asks:
        if ask.example.id not in opened:
            opened[ask.example.id] = [open_image(ref) for ref in ask.example.images]
    return opened


def _record(ask: _Ask, completion: Completion, rewards: RewardSet | None) -> dict[str, object]:
    example = ask.example
    rollout = Rollout(example, completion.text, completion.token_ids, completion.stop_reason, sample=ask.sample)
    verdict = verdict_of(rollout)
    score = None if rewards is None else rewards.score(rollout)
    return {
        "id": example.id,
        "task": example.task,
        "level": example.level,
        "sample": ask.sample,
        "text": completion.text,
        "num_tokens": len(completion.token_ids),
        "stop_reason": completion.stop_reason,
        "answer": example.answer,
        "outcome": None if verdict is None else verdict.outcome,
        "extracted": None if verdict is None else verdict.extracted,
        "rule": None if verdict is None else verdict.rule,
        "span": None if verdict is None or verdict.span is None else list(verdict.span),
        "score": None if score is None else score.total,
        "parts": None if score is None else dict(score.parts),
    }


def _wanted(records: Records, examples: Sequence[Example], num_samples: int) -> list[Mapping[str, object]]:
    """The records that were asked for now, with the levels that the examples have now; the folder may hold more samples."""
    levels = {example.id: example.level for example in examples}
    rows = [row for row in records.rows() if row["id"] in levels and int(str(row["sample"])) < num_samples]
    return [{**row, "level": levels[str(row["id"])]} for row in rows]


def _check(examples: Sequence[Example], *, num_samples: int, greedy: bool) -> None:
    if not examples:
        raise ConfigError("There are no questions to evaluate on.")
    if greedy and num_samples > 1:
        raise ConfigError(f"Greedy answers are all the same: num_samples must be 1, got {num_samples}.")
    seen: set[str] = set()
    repeated = sorted({example.id for example in examples if example.id in seen or seen.add(example.id)})  # type: ignore[func-returns-value]
    if repeated:
        raise ConfigError(f"{len(repeated)} question ids stand for more than one question, first {repeated[0]!r}. Give each its own.")
    faults = [f"{example.id}: {fault}" for example in examples if (fault := fault_in_reference(example)) is not None]
    if faults:
        raise DataError(
            f"{len(faults)} of {len(examples)} reference answers cannot be judged; mend or remove these rows. First: {faults[0]}"
        )


def _content(example: Example) -> str:
    """A hash of everything in an example that an answer or its verdict depends on; its level is not."""
    digest = hashlib.blake2b(digest_size=16)
    for part in _bytes(example):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _bytes(example: Example) -> Iterator[bytes]:
    yield from (text.encode("utf-8", "surrogatepass") for text in (example.id, str(example.answer), example.answer_type, *example.choices))
    for message in example.prompt:
        yield from (str(part).encode("utf-8", "surrogatepass") for part in (message.role, *message.content))
    for ref in example.images:
        yield ref.data if ref.data is not None else Path(str(ref.path)).read_bytes()


def _size(example: Example) -> int:
    """About how long a prompt is, in characters, an image patch counted as one word of text."""
    num_characters = sum(len(message.text) for message in example.prompt)
    num_pixels = sum(width * height for width, height in (image_size(ref) for ref in example.images))
    return num_characters + num_pixels // 196
