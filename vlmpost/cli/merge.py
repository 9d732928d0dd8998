"""`vlmpost merge`: several models, or adapters, into one by arithmetic on their weights; or a grid of merges, measured and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption

if TYPE_CHECKING:
    from vlmpost.models.merge import MergePlan

GRID = "Grid (--sweep)"
QUESTIONS = "Questions that each merge of the grid is asked"
_NORMALIZE = "Divide by the sum of the weights; default: linear, ties and della do, task_arithmetic and dare do not."


def merge(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Model folders, adapter folders or hub ids; the first one's files travel along.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for the merged model, or for a grid of them.", show_default=False)],
    method: Annotated[
        str | None,
        typer.Option(
            help="dare_linear, dare_ties, della, linear, slerp, slerp_task, task_arithmetic or ties; default linear.", show_default=False
        ),
    ] = None,
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
    normalize: Annotated[bool | None, typer.Option("--normalize/--no-normalize", help=_NORMALIZE, show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="dare, della: decides what is dropped; default 0.", min=0, show_default=False)] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Save as bfloat16, float16 or float32; default: as the first model.", show_default=False)
    ] = None,
    vision: Annotated[
        str, typer.Option(help="The vision tower: merge, keep (the base's), or a model's number, 1 for the first.")
    ] = "merge",
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Merge two models in a grid, measure each and draw it.", rich_help_panel=GRID)
    ] = False,
    methods: Annotated[
        str | None, typer.Option(help="With commas between; default linear,ties,slerp.", show_default=False, rich_help_panel=GRID)
    ] = None,
    ratios: Annotated[
        str | None,
        typer.Option(help="Weights of the second model; default 0,0.25,0.5,0.75,1.", show_default=False, rich_help_panel=GRID),
    ] = None,
    densities: Annotated[
        str | None, typer.Option(help="For ties, dare and della; default 0.2,0.5,1.", show_default=False, rich_help_panel=GRID)
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="Merged weights that stay: best (default), all or none.", show_default=False, rich_help_panel=GRID),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="A drawn task or stored data; again for more.", show_default=False, rich_help_panel=QUESTIONS),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split of every source; default validation, since the best is chosen by it.", show_default=False, rich_help_panel=QUESTIONS
        ),
    ] = None,
    num_examples: Annotated[
        int | None,
        typer.Option(help="Questions of each source; needed for drawn tasks.", min=1, show_default=False, rich_help_panel=QUESTIONS),
    ] = None,
    num_samples: Annotated[
        int | None, typer.Option(help="Answers per question; default 1.", min=1, show_default=False, rich_help_panel=QUESTIONS)
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Divides the logits; default 1.", min=0.01, show_default=False, rich_help_panel=QUESTIONS)
    ] = None,
    max_completion_length: Annotated[
        int | None, typer.Option(help="Tokens an answer may have; default 512.", min=1, show_default=False, rich_help_panel=QUESTIONS)
    ] = None,
    instruction: Annotated[
        str | None, typer.Option(help="Text added to each question.", show_default=False, rich_help_panel=QUESTIONS)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Merge models of one architecture into a new folder, block by block; arithmetic is float32.

    vlmpost merge runs/rl/final runs/sft/final --weights 0.75,0.25 --out merged

    vlmpost merge runs/rl/final runs/sft/final --method ties --base nano --density 0.2 --out merged

    vlmpost merge runs/rl/final runs/sft/final --sweep --base nano --data counting --num-examples 200 --out merges
    """
    of_one: dict[str, object] = {
        "--method": method,
        "--weights": weights,
        "--density": density,
        "--epsilon": epsilon,
        "--lam": lam,
        "--normalize": normalize,
        "--seed": seed,
    }
    of_grid: dict[str, object] = {
        "--methods": methods,
        "--ratios": ratios,
        "--densities": densities,
        "--keep": keep,
        "--data": data,
        "--split": split,
        "--num-examples": num_examples,
        "--num-samples": num_samples,
        "--temperature": temperature,
        "--max-completion-length": max_completion_length,
        "--instruction": instruction,
    }
    _check_kind(of_one if sweep else of_grid, is_sweep=sweep)
    if sweep:
        from vlmpost.cli.merge_sweep import Asked, Grid, run_sweep

        grid = Grid(tuple(models), methods, ratios, densities, keep or "best", base, vision, dtype)
        asked = Asked(
            data or (), split or "validation", num_examples, num_samples or 1, temperature or 1.0, max_completion_length or 512, instruction
        )
        run_sweep(grid, asked, out, as_json=as_json)
        return
    from vlmpost.models.merge import MergePlan, checked_formula

    given = None if weights is None else numbers(weights, option="--weights")
    formula = checked_formula(
        method or "linear",
        num_models=len(models),
        weights=given,
        density=density,
        epsilon=epsilon,
        lam=lam,
        seed=seed,
        normalize=normalize,
    )
    _merge_one(MergePlan(models=tuple(models), formula=formula, base=base, vision=vision, dtype=dtype), out, as_json=as_json)


def _merge_one(plan: MergePlan, out: Path, *, as_json: bool) -> None:
    """Merges, and says what was done."""
    from vlmpost.cli.options import print_json
    from vlmpost.cli.rows_progress import rows_progress
    from vlmpost.models.merge import merge as merge_models

    with rows_progress() as progress:
        result = merge_models(plan, out, progress=progress)
    if as_json:
        print_json({"folder": str(result.folder), **result.record})
        return
    for note in result.notes:
        print(note)
    formula = plan.formula
    shares = ", ".join(f"{weight:g} {model}" for weight, model in zip(formula.weights, plan.models, strict=True))
    print(f"merged {len(plan.models)} models by {formula.method.name} ({shares}) into {result.folder}")


def numbers(text: str, *, option: str) -> list[float]:
    """The numbers of an option.

    Raises:
        ConfigError: They are not numbers with commas between.
    """
    from vlmpost.errors import ConfigError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option}: expected numbers with commas between, e.g. 0.25,0.75, got {text!r}.") from None


def _check_kind(others: dict[str, object], *, is_sweep: bool) -> None:
    """Refuses options that belong to the other kind of merge."""
    from vlmpost.errors import ConfigError

    given = [option for option, value in others.items() if value is not None and value != []]
    if given and is_sweep:
        raise ConfigError(f"{', '.join(given)}: for one merge, not for --sweep, which takes --methods, --ratios and --densities.")
    if given:
        raise ConfigError(f"{', '.join(given)}: only with --sweep.")
