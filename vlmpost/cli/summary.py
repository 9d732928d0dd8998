"""What `--dry-run` prints: the resolved recipe in a screenful, without importing torch or drawing an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vlmpost.cli.prepare import Prepared
from vlmpost.config.schema import DataConfig, RlConfig, SignalConfig, SourceConfig
from vlmpost.runs.directory import world_size


def print_summary(prepared: Prepared, *, run_folder: Path) -> None:
    """Prints what the recipe would do.

    Raises:
        DataError: Stored data cannot be read, or too many rows are dropped.
    """
    for line in summary_lines(prepared, run_folder=run_folder):
        print(line)


def summary_lines(prepared: Prepared, *, run_folder: Path) -> list[str]:
    """The lines of `print_summary`."""
    config, batch = prepared.config, prepared.batch
    num_examples, data_lines = count_examples(config.data)
    steps = batch.num_steps(
        num_examples=num_examples, num_train_epochs=config.training.num_train_epochs, max_steps=config.training.max_steps
    )
    lines = [
        f"recipe    {prepared.loaded.path} ({prepared.loaded.kind})",
        f"run       {run_folder}{' (exists)' if run_folder.exists() else ''}",
        f"model     {config.model.path}{f', LoRA r={config.model.lora_r}' if config.model.use_peft else ''}",
        *_under("data", data_lines),
    ]
    if isinstance(config, RlConfig):
        lines += _under("rewards", _reward_lines(config))
        algorithm = config.algorithm
        kind = algorithm.kind if algorithm.advantage_estimator == "group" else algorithm.advantage_estimator
        preset = "" if algorithm.preset is None else f" (preset {algorithm.preset})"
        lines.append(
            f"loss      {kind}{preset}, {algorithm.loss_type}, beta {algorithm.beta:g}, clip {algorithm.epsilon:g}, "
            f"{algorithm.num_iterations} pass(es){f', {algorithm.critic} critic' if algorithm.kind == 'ppo' else ''}"
        )
        lines += _under("signal", _signal_lines(config.signal))
    lines += _under("batch", batch.lines())
    lines.append(f"steps     {steps} over {num_examples} examples, {world_size()} process(es)")
    if num_examples < batch.prompts_per_step and isinstance(config, RlConfig):
        lines.append(f"          too few: one step needs {batch.prompts_per_step} prompts; lower training.prompts_per_step or add data")
    lines.append("nothing was started (--dry-run)")
    return lines


def count_examples(data: DataConfig) -> tuple[int, list[str]]:
    """How many examples training has, and a line per source; stored data is read, drawn tasks are only counted.

    Raises:
        DataError: Stored data cannot be read, or too many rows are dropped.
    """
    lines, total = [], 0
    for part, sources in (("train", data.train), ("eval", data.eval)):
        for source in sources:
            number = _num_examples(source, data)
            total += number if part == "train" else 0
            origin = (
                f"drawn {source.task}, seed {source.seed}" if source.path is None else " on ".join(filter(None, (source.task, source.path)))
            )
            lines.append(f"{part:5} {number:>7} from {origin}, {source.split}")
    return total, lines


def _num_examples(source: SourceConfig, data: DataConfig) -> int:
    if source.task is not None and source.num_examples is not None:
        return source.num_examples
    from vlmpost.data import build

    examples, _ = build([source], data=data, base_dir=None)
    return len(examples)


def _reward_lines(config: RlConfig) -> Iterator[str]:
    from vlmpost import rewards

    bound = rewards.build(
        config.rewards, max_completion_length=config.generation.max_completion_length, pixel_budget=config.model.pixel_budget
    )
    for term in bound.terms:
        arguments = ", ".join(f"{key}={value}" for key, value in term.arguments.items())
        yield f"{term.weight:g} x {term.name}{f' ({arguments})' if arguments else ''}"


def _signal_lines(signal: SignalConfig) -> Iterator[str]:
    """What is done so that rollouts teach; nothing where nothing is."""
    given = signal.model_dump(exclude_defaults=True)
    if given:
        yield ", ".join(name if value is True else f"{name} {value}" for name, value in given.items())


def _under(title: str, lines: Sequence[str] | Iterator[str]) -> list[str]:
    return [f"{title if index == 0 else '':9} {line}" for index, line in enumerate(lines)]
