"""`vlmpost eval` itself: its options, the order of the work, and how the result is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, numbers_given, print_json
from vlmpost.cli.tasks.naming import MaterialOption, OptionsOption, RewardsOption

if TYPE_CHECKING:
    from vlmpost.cli.evaluation.questions import TaskPlay
    from vlmpost.evaluation import EvalResult


def evaluate(
    model: Annotated[str, typer.Argument(help="A model folder, a run folder, a hub id, or nano.", show_default=False)],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="A drawn task or stored data, asked once each; again for more.", show_default=False),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", help="A task to play, or yours: package.module:Class, path/to/file.py:Class.", show_default=False),
    ] = None,
    shift: Annotated[
        list[str] | None,
        typer.Option("--shift", help="Variant of the task: none (default), rule, visual, or all; again for more.", show_default=False),
    ] = None,
    verify_iterations: Annotated[
        int | None,
        typer.Option(help="Attempts that are graded at each state; 1: no revision. Default: the task's own.", min=1, show_default=False),
    ] = None,
    reward_table: RewardsOption = None,
    settings: OptionsOption = None,
    difficulties: Annotated[
        str | None, typer.Option(help="Difficulties to take turns with, e.g. 1,2; default: all that the task has.", show_default=False)
    ] = None,
    material: MaterialOption = None,
    split: Annotated[str, typer.Option(help="Split of every source.")] = "test",
    num_examples: Annotated[
        int | None, typer.Option(help="Questions of each source and variant; needed for drawn tasks.", min=1, show_default=False)
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
        Path | None,
        typer.Option(help="Folder for the records; a second call goes on. Default: evaluations/MODEL/TASK.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Accuracy with a confidence interval on held-out questions, by level; each answer is kept.

    With --task its problems are played: the model may try again after the verifier's message, and goes on to the states that follow.

    vlmpost eval runs/rl --data counting --num-examples 100

    vlmpost eval runs/rl --task general_points --shift all --verify-iterations 5 --num-examples 234
    """
    from vlmpost.cli.evaluation import checks
    from vlmpost.cli.evaluation.questions import model_path, stored_part, task_play
    from vlmpost.cli.evaluation.running import Sampling, run_parts
    from vlmpost.cli.tasks.naming import code_of, found_task, options_given
    from vlmpost.config.schema import GenerationConfig, ModelConfig

    for_task = {
        "--shift": shift,
        "--verify-iterations": verify_iterations,
        "--rewards": reward_table,
        "--set": settings,
        "--difficulties": difficulties,
        "--path": material,
    }
    checks.check_questions(data or (), task, for_task=for_task, for_data={"--levels": levels, "--write-levels": write_levels})
    checks.check_levels(write_levels, num_samples=num_samples)
    name = Path(model).name or model
    model_config = ModelConfig(path=model_path(model), image_max_pixels=image_max_pixels)
    sampling = Sampling(
        generation=GenerationConfig(temperature=temperature, top_p=top_p, top_k=top_k, max_completion_length=max_completion_length),
        num_samples=num_samples,
        seed=seed,
        batch_size=batch_size,
        rewards=checks.built_rewards(reward or (), max_completion_length=max_completion_length),
        instruction=instruction,
        greedy=greedy,
    )
    if task is None:
        folder = out or Path("evaluations") / name
        part = stored_part(data or (), split=split, num_examples=num_examples, seed=data_seed, levels=levels, name=name, out_path=folder)
        [result] = run_parts(model_config, [part], sampling)
        _say_result(result, folder, levels=levels, write_levels=write_levels, as_json=as_json)
        return
    found = found_task(task)
    folder = out or Path("evaluations") / name / found.name
    with code_of(found):
        played = task_play(
            found,
            options=options_given(settings),
            material=material,
            split=split,
            num_examples=num_examples,
            seed=data_seed,
            difficulties=numbers_given(difficulties),
            shifts=shift or ("none",),
            verify_iterations=verify_iterations,
            rewards=reward_table,
            out_path=folder,
        )
        results = run_parts(model_config, played.parts, sampling, episode=played.episode, own_tasks=(found.address,))
    _say_play(name, played, results, folder, as_json=as_json)


def _say_result(result: EvalResult, folder: Path, *, levels: Path | None, write_levels: Path | None, as_json: bool) -> None:
    from vlmpost import evaluation

    if write_levels is not None:
        evaluation.write_levels(write_levels, evaluation.assign_levels(result))
    if as_json:
        print_json(result.to_json())
        return
    for line in result.lines():
        print(line)
    if levels is not None and evaluation.same_runs(levels, settings=result.settings):
        print("The levels come from these very answers, so accuracy by level is circular: use another --seed.")
    print(f"records    {folder}")


def _say_play(name: str, played: TaskPlay, results: Sequence[EvalResult], folder: Path, *, as_json: bool) -> None:
    from vlmpost.reports.tables import outcome_table, render, shift_table

    by_shift = {result.name: result for result in results}
    if as_json:
        facts = {"model": name, "task": played.task.address, "episode": played.episode.model_dump(mode="json")}
        print_json({**facts, "shifts": {shift: result.to_json() for shift, result in by_shift.items()}})
        return
    episode = played.episode
    print(f"{name} on {played.task.address}, {episode.verify_iterations} graded attempt(s), rewards {episode.rewards}\n")
    print(render(shift_table(by_shift), outcome_table(by_shift)), end="")
    for measure, mean in ((f"{shift} {part}", mean) for shift, result in by_shift.items() for part, mean in result.part_means.items()):
        print(f"reward     {measure} {'does not apply' if mean is None else f'{mean:.4f}'}")
    print(f"records    {folder}")
