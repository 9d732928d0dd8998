"""Asks a model k times per question, judges every answer, keeps it, and sums up; goes on where it stopped.

Questions of a task are played as episodes where that is asked for, or where only the task's verifier can judge; all others are asked
once and judged by their reference answer. Adding samples or questions never changes old ones, and neither does the batch size
(`episodes`). Scores come through `rewards/`, verdicts through `answers/` and `tasks/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from vlmpost import jsonl, tasks
from vlmpost.answers import fault_in_reference
from vlmpost.config.schema import EpisodeConfig, GenerationConfig
from vlmpost.errors import ConfigError, DataError
from vlmpost.evaluation.episodes import Opened, Seat, play, row_of
from vlmpost.evaluation.players import ModelPlayer, Player
from vlmpost.evaluation.results import EvalResult, Records, hash_of, summarize
from vlmpost.models.loader import LoadedModel
from vlmpost.records import Example
from vlmpost.rewards import RewardSet
from vlmpost.tasks.episode import Episode
from vlmpost.tasks.task import Task
from vlmpost.tasks.verifying import table_of

BATCH_SIZE = 64
JUDGE = "generic-1"
"""Name and version of the rules that verdicts follow; other rules are another evaluation."""

Progress = Callable[[int, int], None]
"""Called with (answers so far, answers in all)."""


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
    episode: EpisodeConfig | None = None,
    own_tasks: Collection[str] = (),
    player: Player | None = None,
) -> EvalResult:
    """Returns accuracy with intervals, by level and by task; every answer is kept in the folder `out_path`.

    Answers that the folder holds already are not made again. On a GPU that runs out of memory a batch is halved.

    Args:
        loaded: From `models.loader.load(..., purpose="eval")`.
        examples: The questions; those without a reference answer and without a task's verifier are asked but not judged.
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
        episode: How questions of tasks are played, all of them. None: one reply each, and only where nothing else can judge it.
        own_tasks: Tasks of the user's that may be loaded, by address; a stored row's word is not enough to run code.
        player: Who answers. None: the model.

    Raises:
        ConfigError: There are no questions, ids repeat, greedy is asked for more than one sample, or a task has no such reward table.
        DataError: A reference answer cannot be judged, or a task's verifier cannot read a row.
        RunError: The folder holds another evaluation, or the disk refuses.
        GraderError: A reward fails.
    """
    _check(examples, num_samples=num_samples, greedy=greedy)
    played = played_tasks(examples, all_of_them=episode is not None, own_tasks=own_tasks)
    opened = opener(played, episode=episode or EpisodeConfig())
    check_verifiable(examples, opened)
    records = Records(out_path)
    settings = settings_of(loaded, generation=generation, seed=seed, instruction=instruction, rewards=rewards, greedy=greedy)
    settings["data_hash"] = hash_of(sorted(_content(example, with_meta=example.id in played) for example in examples))
    settings["episode"] = None if episode is None else episode.model_dump(mode="json")
    done = records.open(settings)
    seats = [Seat(example, sample) for example in examples for sample in range(num_samples) if (example.id, sample) not in done]
    num_done, num_all = len(examples) * num_samples - len(seats), len(examples) * num_samples
    player = player or ModelPlayer(loaded, generation=generation, instruction=instruction, greedy=greedy)
    for over in play(player, seats, opened=opened, seed=seed, batch_size=batch_size):
        records.append(row_of(one, rewards) for one in over)
        num_done += len(over)
        if progress is not None:
            progress(num_done, num_all)
    result = summarize(_wanted(records, examples, num_samples), name=name or Path(out_path).name, settings=settings)
    jsonl.replace_json(records.results_path, result.to_json())
    return result


def played_tasks(examples: Sequence[Example], *, all_of_them: bool, own_tasks: Collection[str] = ()) -> dict[str, Task]:
    """Returns example id -> task of those examples that are to be played.

    Args:
        examples: May be of no task.
        all_of_them: Play every example of a task; else only those that have no reference answer and a verifier of their own.
        own_tasks: Tasks of the user's that may be loaded, by address.
    """
    known = {*tasks.names(), *own_tasks}
    found = {example.id: tasks.find(example.task) for example in examples if example.task in known}
    if all_of_them:
        return found
    return {
        example.id: found[example.id]
        for example in examples
        if example.id in found and example.answer is None and type(found[example.id]).verify is not Task.verify
    }


def opener(played: Mapping[str, Task], *, episode: EpisodeConfig) -> Opened:
    """Returns what opens the episodes of examples; those that are not in `played` get none.

    Raises:
        ConfigError: A task does not have the reward table.
    """
    tables = {id_: table_of(task, episode.rewards) for id_, task in played.items()}

    def opened(example: Example) -> Episode | None:
        if example.id not in played:
            return None
        return Episode(played[example.id], example, verify_iterations=episode.verify_iterations, rewards=tables[example.id])

    return opened


def check_verifiable(examples: Sequence[Example], opened: Opened) -> None:
    """Lets each verifier look at its example once, before anything is generated.

    Raises:
        DataError: A row lacks what the verifier of its task needs.
    """
    for example in examples:
        episode = opened(example)
        if episode is None:
            continue
        try:
            episode.step("")
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"Example {example.id!r}: the verifier of task {example.task!r} cannot read it ({type(error).__name__}: {error}). "
                f"A row of a task keeps all fields that it was written with."
            ) from error


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


def _content(example: Example, *, with_meta: bool) -> str:
    """A hash of everything in an example that an answer or its verdict depends on; its level is not, its meta only for a verifier."""
    digest = hashlib.blake2b(digest_size=16)
    facts = [json.dumps(dict(example.meta), sort_keys=True, default=str).encode()] if with_meta else []
    for part in (*_bytes(example), *facts):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _bytes(example: Example) -> Iterator[bytes]:
    yield from (text.encode("utf-8", "surrogatepass") for text in (example.id, str(example.answer), example.answer_type, *example.choices))
    for message in example.prompt:
        yield from (str(part).encode("utf-8", "surrogatepass") for part in (message.role, *message.content))
    for ref in example.images:
        yield ref.data if ref.data is not None else Path(str(ref.path)).read_bytes()
