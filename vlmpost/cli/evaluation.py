"""`vlmpost eval`: how often a model is right on held-out questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, print_json

if TYPE_CHECKING:
    from vlmpost.config.schema import SourceConfig
    from vlmpost.evaluation.runner import Progress
    from vlmpost.rewards import RewardSet


def evaluate(
    model: Annotated[str, typer.Argument(help="A model folder, a run folder, a hub id, or nano.", show_default=False)],
    data: Annotated[list[str], typer.Option("--data", help="A drawn task or stored data; again for more.", show_default=False)],
    split: Annotated[str, typer.Option(help="Split of every source.")] = "test",
    num_examples: Annotated[
        int | None, typer.Option(help="Questions of each source; needed for drawn tasks.", min=1, show_default=False)
    ] = None,
    data_seed: Annotated[int, typer.Option(help="Seed of drawn tasks.", min=0)] = 0,
    num_samples: Annotated[int, typer.Option(help="Answers per question.", min=1)] = 1,
    temperature: Annotated[float, typer.Option(help="Divides the logits.", min=0.01)] = 1.0,
    top_p: Annotated[float, typer.Option(help="Smallest set of tokens whose probability reaches this is kept.", min=0.01, max=1)] = 1.0,
    top_k: Annotated[int, typer.Option(help="This many most probable tokens are kept; 0 keeps all.", min=0)] = 0,
    greedy: Annotated[bool, typer.Option("--greedy", help="Take the most probable token; one answer per question.")] = False,
    max_completion_length: Annotated[int, typer.Option(help="Tokens an answer may have.", min=1)] = 512,
    batch_size: Annotated[int, typer.Option(help="Answers made together.", min=1)] = 64,
    instruction: Annotated[str | None, typer.Option(help="Text added to each question.", show_default=False)] = None,
    reward: Annotated[
        list[str] | None, typer.Option("--reward", help="A reward to score each answer by; again for more.", show_default=False)
    ] = None,
    image_max_pixels: Annotated[int | None, typer.Option(help="Pixel budget of an image.", min=1, show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Seed of sampling.", min=0)] = 0,
    levels: Annotated[Path | None, typer.Option(help="Levels of the questions, from --write-levels.", show_default=False)] = None,
    write_levels: Annotated[
        Path | None,
        typer.Option(help="File for the questions' levels by these answers (16 samples are the reference).", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the records; a second call goes on. Default: evaluations/MODEL.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Accuracy with a confidence interval on held-out questions, by level; each answer is kept."""
    from vlmpost.config.schema import DataConfig, GenerationConfig, ModelConfig

    _check_levels(write_levels, num_samples=num_samples)
    sources = [source_of(text, split=split, num_examples=num_examples, seed=data_seed) for text in data]
    data_config = DataConfig(train=sources, instruction=instruction)
    model_config = ModelConfig(path=model_path(model), image_max_pixels=image_max_pixels)
    generation = GenerationConfig(temperature=temperature, top_p=top_p, top_k=top_k, max_completion_length=max_completion_length)
    built = _rewards(reward or (), max_completion_length=max_completion_length)

    from vlmpost import evaluation
    from vlmpost.data import build

    examples, _ = build(sources, data=data_config, base_dir=None)
    if levels is not None:
        examples = evaluation.join_levels(examples, levels)

    from vlmpost.evaluation.runner import evaluate as run
    from vlmpost.models import loader

    loaded = loader.load(model_config, purpose="eval")
    name = Path(model).name or model
    result = run(
        loaded,
        examples,
        generation=generation,
        num_samples=num_samples,
        seed=seed,
        out_path=out or Path("evaluations") / name,
        batch_size=batch_size,
        rewards=built,
        instruction=instruction,
        greedy=greedy,
        name=name,
        progress=_progress(),
    )
    if write_levels is not None:
        evaluation.write_levels(write_levels, evaluation.assign_levels(result))
    if as_json:
        print_json(result.to_json())
        return
    for line in result.lines():
        print(line)
    if levels is not None and evaluation.same_runs(levels, settings=result.settings):
        print("The levels come from these very answers, so accuracy by level is circular: use another --seed.")
    print(f"records    {out or Path('evaluations') / name}")


def source_of(text: str, *, split: str, num_examples: int | None, seed: int) -> SourceConfig:
    """The source that a `--data` argument names: a drawn task if there is one of that name, else stored data.

    Raises:
        ConfigError: It is neither, or a drawn task has no number of questions.
    """
    from vlmpost import tasks
    from vlmpost.config.hints import near
    from vlmpost.config.schema import SourceConfig
    from vlmpost.errors import ConfigError

    if text in tasks.names():
        if num_examples is None:
            raise ConfigError(f"--data {text}: a drawn task has no end: add --num-examples.")
        return SourceConfig(task=text, split=split, num_examples=num_examples, seed=seed)
    if not Path(text).exists() and text.count("/") != 1:
        hint = near(text, tasks.names()) or "."
        raise ConfigError(f"--data {text}: no such file or folder, and no drawn task{hint} Tasks: {', '.join(tasks.names())}.")
    return SourceConfig(path=text, split=split, num_examples=num_examples)


def model_path(text: str) -> str:
    """The model folder: that of a run's final model when `text` is a run folder.

    Raises:
        RunError: The run has no final model.
    """
    from vlmpost.errors import RunError
    from vlmpost.runs.directory import open_existing

    if not (Path(text) / "manifest.json").is_file():
        return text
    run = open_existing(text)
    if run.final_dir.is_dir():
        return str(run.final_dir)
    newest = run.latest_checkpoint()
    raise RunError(
        f"{text}: this run is not finished and has no final model. "
        + (f"Give a checkpoint, e.g. {newest}, or finish it with --resume." if newest else "Finish it with --resume.")
    )


def _check_levels(write_levels: Path | None, *, num_samples: int) -> None:
    """Says before the work that it would be too little.

    Raises:
        ConfigError: Levels are asked for from too few samples.
    """
    from vlmpost.errors import ConfigError
    from vlmpost.evaluation.levels import MIN_RUNS, REFERENCE_RUNS

    if write_levels is not None and num_samples < MIN_RUNS:
        message = f"--write-levels needs at least {MIN_RUNS} samples per question, got {num_samples}"
        raise ConfigError(f"{message}: add --num-samples {REFERENCE_RUNS}.")


def _rewards(names: Sequence[str], *, max_completion_length: int) -> RewardSet | None:
    """The rewards to score each answer by; None where none is named.

    Raises:
        ConfigError: A reward is wrong, or values all answers to a question together.
    """
    from vlmpost import rewards
    from vlmpost.config.schema import RewardTermConfig
    from vlmpost.errors import ConfigError

    if not names:
        return None
    built = rewards.build([RewardTermConfig(name=name) for name in names], max_completion_length=max_completion_length)
    if built.per_group:
        raise ConfigError("--reward: a reward that values all answers to a question together is for training and `vlmpost reward score`.")
    return built


def _progress() -> Progress:
    """Says how far it is on standard error: in place on a terminal, else a line every ten seconds."""
    import sys
    import time

    start = said = time.monotonic()
    on_terminal = sys.stderr.isatty()

    def say(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if not on_terminal and now - said < 10.0 and done < total:
            return
        said = now
        print(
            f"evaluated {done}/{total} answers in {now - start:.0f} s", file=sys.stderr, end="\r" if on_terminal and done < total else "\n"
        )

    return say
