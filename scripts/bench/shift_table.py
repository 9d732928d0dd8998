"""Prints what several models do on one task in each of its variants, with intervals and paired differences against the first.

The miniature of arXiv 2501.17161, "SFT memorizes, RL generalizes":

    python scripts/bench/shift_table.py --task general_points --set mode=vision --model base=nano --model SFT=runs/sft \
        --model RL=runs/rl --verify-iterations 3 --num-examples 300

A model is a folder, a run or a hub id. Records go to a folder, so that a second call goes on and a changed table asks nothing again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vlmpost.cli.evaluation.questions import TaskPlay, model_path, task_play
from vlmpost.cli.evaluation.running import Sampling, run_parts
from vlmpost.cli.options import numbers_given
from vlmpost.cli.tasks.naming import found_task, options_given
from vlmpost.config.schema import GenerationConfig, ModelConfig
from vlmpost.errors import ConfigError, VlmpostError
from vlmpost.evaluation import EvalResult
from vlmpost.evaluation.shifts import MEASURES, estimate_of, figures_row, paired
from vlmpost.reports.tables import model_shift_table, render, shift_difference_table

ByShift = dict[str, EvalResult]


def main() -> int:
    given = arguments()
    try:
        models = named_models(given.model)
        results = {name: measured(name, path, given) for name, path in models.items()}
    except VlmpostError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print_tables(results, measures=given.measure or list(MEASURES), markdown=given.markdown)
    if given.json is not None:
        given.json.write_text(json.dumps(facts_of(results), indent=1) + "\n", encoding="utf-8")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--model", action="append", required=True, metavar="NAME=PATH", help="the first is what others are compared to")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", dest="options")
    parser.add_argument("--shift", action="append", help="none, rule, visual or all; default all")
    parser.add_argument("--verify-iterations", type=int)
    parser.add_argument("--rewards", metavar="TABLE")
    parser.add_argument("--difficulties", help="e.g. 1,2")
    parser.add_argument("--path", help="stored material to pose the task on")
    parser.add_argument("--split", default="test")
    parser.add_argument("--num-examples", type=int, required=True)
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--num-samples", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of sampling")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--greedy", action="store_true")
    parser.add_argument("--max-completion-length", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--instruction")
    parser.add_argument("--out", type=Path, default=Path("evaluations"), help="records go to OUT/NAME/TASK/SHIFT")
    parser.add_argument("--measure", action="append", choices=MEASURES, help="again for more; default all")
    parser.add_argument("--markdown", action="store_true", help="draw the tables as Markdown")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    return parser.parse_args()


def named_models(texts: Sequence[str]) -> dict[str, str]:
    """Name -> folder of the `--model` arguments.

    Raises:
        ConfigError: One is not NAME=PATH, or a name is given twice.
    """
    pairs = [text.partition("=")[::2] for text in texts]
    wrong = [text for text, (name, path) in zip(texts, pairs, strict=True) if not name or not path]
    if wrong or len(dict(pairs)) < len(pairs):
        raise ConfigError(f"--model: give NAME=PATH with names of their own, got {', '.join(wrong or texts)}.")
    return {name: model_path(path) for name, path in pairs}


def questions(given: argparse.Namespace, folder: Path) -> TaskPlay:
    """The task's questions, the same for every model."""
    return task_play(
        found_task(given.task),
        options=options_given(given.options),
        material=given.path,
        split=given.split,
        num_examples=given.num_examples,
        seed=given.data_seed,
        difficulties=numbers_given(given.difficulties),
        shifts=given.shift or ("all",),
        verify_iterations=given.verify_iterations,
        rewards=given.rewards,
        out_path=folder,
    )


def measured(name: str, path: str, given: argparse.Namespace) -> ByShift:
    """One model's result on each variant."""
    start = time.monotonic()
    played = questions(given, given.out / name / found_task(given.task).name)
    sampling = Sampling(
        generation=GenerationConfig(temperature=given.temperature, max_completion_length=given.max_completion_length),
        num_samples=given.num_samples,
        seed=given.seed,
        batch_size=given.batch_size,
        instruction=given.instruction,
        greedy=given.greedy,
    )
    results = run_parts(ModelConfig(path=path), played.parts, sampling, episode=played.episode, own_tasks=(played.task.address,))
    print(f"{name}: {len(results)} variants in {time.monotonic() - start:.0f} s", file=sys.stderr)
    return {result.name: result for result in results}


def print_tables(results: Mapping[str, ByShift], *, measures: Sequence[str], markdown: bool) -> None:
    """Prints, for each measure that is known, the models' figures and their differences from the first."""
    for measure in measures:
        if all(estimate_of(result, measure) is None for own in results.values() for result in own.values()):
            continue
        print(render(model_shift_table(results, measure=measure, markdown=markdown)))
        if len(results) > 1:
            print(render(shift_difference_table(results, measure=measure, markdown=markdown)))


def facts_of(results: Mapping[str, ByShift]) -> dict[str, object]:
    """All figures as JSON values, with the differences from the first model."""
    base = next(iter(results))
    facts: dict[str, object] = {}
    for name, own in results.items():
        for shift, result in own.items():
            facts[f"{name}/{shift}"] = figures_row(result)
            for measure in MEASURES if name != base else ():
                difference = paired(results[base][shift], result, measure=measure)
                if difference is not None:
                    facts[f"{name} - {base}/{shift}/{measure}"] = [difference.mean, difference.low, difference.high]
    return facts


if __name__ == "__main__":
    sys.exit(main())
