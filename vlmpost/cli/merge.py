"""`vlmpost merge`: several models, or adapters, into one by arithmetic on their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlmpost.cli.options import JsonOption


def merge(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Model folders, adapter folders or hub ids; the first one's files travel along.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for the merged model.", show_default=False)],
    method: Annotated[
        str, typer.Option(help="dare_linear, dare_ties, della, linear, slerp, slerp_task, task_arithmetic or ties.")
    ] = "linear",
    weights: Annotated[
        str | None, typer.Option(help="A weight for each model, e.g. 0.25,0.75; default: equal shares of 1.", show_default=False)
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="The model that the others were trained from; needed for all but linear and slerp.", show_default=False),
    ] = None,
    density: Annotated[
        float | None, typer.Option(help="ties, dare, della: share of each difference that is kept; default 0.5.", show_default=False)
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(help="della: width of the band of keep-probabilities around the density; default 0.1.", show_default=False),
    ] = None,
    lam: Annotated[
        float | None, typer.Option("--lam", help="Scale of the merged difference from the base; default 1.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="dare, della: decides what is dropped; default 0.", min=0, show_default=False)] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Save as bfloat16, float16 or float32; default: as the first model.", show_default=False)
    ] = None,
    vision: Annotated[
        str, typer.Option(help="The vision tower: merge, keep (the base's), or a model's number, 1 for the first.")
    ] = "merge",
    as_json: JsonOption = False,
) -> None:
    r"""Merge models of one architecture into a new folder, shard by shard; arithmetic is float32.

    vlmpost merge runs/sft/final runs/rl/final --weights 0.25,0.75 --out merged

    vlmpost merge runs/sft/final runs/rl/final --method ties --base nano --density 0.2 --out merged
    """
    given = None if weights is None else _numbers(weights)
    from vlmpost.cli.options import print_json
    from vlmpost.cli.rows_progress import rows_progress
    from vlmpost.models.merge import MergePlan, checked_formula
    from vlmpost.models.merge import merge as merge_models

    formula = checked_formula(method, num_models=len(models), weights=given, density=density, epsilon=epsilon, lam=lam, seed=seed)
    plan = MergePlan(models=tuple(models), formula=formula, base=base, vision=vision, dtype=dtype)
    with rows_progress() as progress:
        result = merge_models(plan, out, progress=progress)
    if as_json:
        print_json({"folder": str(result.folder), **result.record})
        return
    for note in result.notes:
        print(note)
    shares = ", ".join(f"{weight:g} {model}" for weight, model in zip(formula.weights, models, strict=True))
    print(f"merged {len(models)} models by {method} ({shares}) into {result.folder}")


def _numbers(text: str) -> list[float]:
    from vlmpost.errors import ConfigError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--weights: expected numbers with commas between, e.g. 0.25,0.75, got {text!r}.") from None
