"""`vlmpost curate`: questions answered by a teacher, and the answers that are worth training on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vlmpost.cli.options import JsonOption, RecipeArgument, SetOption, print_json, print_table

INTERRUPTED: Final = 130
"""Exit code of a call that Ctrl-C stopped."""

if TYPE_CHECKING:
    from vlmpost.config.curate import CurateConfig
    from vlmpost.curation.ledger import Ledger, Tally


def curate(
    recipe: RecipeArgument,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the rows; a second call goes on.", show_default=False)],
    set_: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which questions would be asked; load no model.")] = False,
    as_json: JsonOption = False,
) -> None:
    r"""Answers worth training on: a teacher answers each question several times, the judge and filters choose.

    Rejection sampling keeps a model's own right answers:

    vlmpost recipes cp start/curate mine.yaml

    vlmpost curate mine.yaml --out data/mine --set num_samples=16 --set keep.which=shortest

    Distillation keeps those of a larger model, loaded here (model.path) or behind an OpenAI-compatible server:

    vlmpost curate mine.yaml --out data/large --set teacher.kind=endpoint --set teacher.name=large

    Action prompting (teacher.prompting: actions) builds long solutions thought by thought. All keys: vlmpost config curate.

    OUT/train.jsonl holds the rows, for data.train of an SFT recipe. What became of every question and answer: ledger.json, fates.jsonl.

    Stopped or killed, the same call goes on; what failed is asked again. What the teacher refused for good (failure in OUT/samples.jsonl)
    is asked again once its lines are removed there.
    """
    from vlmpost.cli.rows_progress import rows_progress
    from vlmpost.config.curate import CurateConfig
    from vlmpost.config.load import load

    config = load("curate", recipe, set_ or ()).config
    assert isinstance(config, CurateConfig), type(config)
    if dry_run:
        _say_plan(config, out, as_json=as_json)
        return
    from vlmpost.curation import curate as curated

    try:
        with rows_progress() as progress:
            result = curated(config, out, progress=progress)
    except KeyboardInterrupt:
        print(f"interrupted: what came is in {out}, and the same call goes on.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json({"folder": str(result.folder), "train": str(result.train_path), **result.ledger.to_json()})
        return
    _say_ledger(result.ledger)
    print(f"{result.ledger.num_rows} rows in {result.train_path}")
    if not result.ledger.finished:
        print("Some answers failed; the same call asks for them again.")


def _say_ledger(ledger: Ledger) -> None:
    tallies: list[tuple[str, Tally | None]] = [
        ("questions", ledger.questions),
        ("answers without images", ledger.without_images),
        ("answers", ledger.samples),
    ]
    rows = []
    for name, tally in tallies:
        if tally is not None:
            rows.append([name, str(tally.num_all), "in all", ""])
            rows += [["", str(number), fate, reason] for fate, reasons in tally.bins.items() for reason, number in reasons.items()]
    print_table(["", "number", "fate", "why"], rows, flexible="why")


def _say_plan(config: CurateConfig, out: Path, *, as_json: bool) -> None:
    """Which questions would be asked, and how many answers are there already."""
    from collections import Counter

    from vlmpost.cli.rows_progress import rows_progress
    from vlmpost.curation.selection import select
    from vlmpost.curation.store import Store

    with rows_progress() as progress:
        selection = select(config, base_dir=None, progress=progress)
    refused = Counter(refusal.reason for refusal in selection.refused.values())
    refused.update(f"row: {drop.reason}" for drop in selection.unreadable)
    num_asked = len(selection.wanted)
    num_there = sum(purpose == "answer" for purpose, _, _ in Store(out).read().samples)
    facts = {"questions": selection.num_rows, "asked": num_asked, "answers": num_asked * config.num_samples, "answers_there": num_there}
    if as_json:
        print_json({**facts, "not_asked": dict(refused)})
        return
    teacher = config.model.path if config.teacher.kind == "model" else f"{config.teacher.name} at its endpoint"
    print(f"{selection.num_rows} questions, {num_asked} asked, {config.num_samples} answers each by {teacher} ({config.teacher.prompting})")
    print(f"{num_asked * config.num_samples} answers, {num_there} of them in {out} already")
    if config.questions.needs_image:
        print(f"{num_asked * config.questions.needs_image_samples} answers without images before; questions answered right are not asked")
    for reason, number in refused.most_common():
        print(f"{number} not asked: {reason}")
    print("Dry run: nothing was started.")
