"""`vlmpost data`: what a recipe or a data file holds, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from vlmpost.config.schema import DataConfig, ModelConfig
    from vlmpost.data import Ledger
    from vlmpost.records import Example

app = typer.Typer(help="Look at data before training on it.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at data before training on it."""


@app.command("check")
def check(
    what: Annotated[str, typer.Argument(metavar="RECIPE_OR_DATA", help="A recipe (.yaml), or a data file, folder or hub id.")],
    model: Annotated[str, typer.Option(help="Model folder whose processor counts; the recipe's own if left out, else nano.")] = "",
    split: Annotated[str, typer.Option(help="Split of a data folder or hub id; recipes name theirs.")] = "train",
    set_: Annotated[list[str], typer.Option("--set", help="key.sub=value, over the recipe.")] = [],  # noqa: B006
    max_drop_share: Annotated[float | None, typer.Option(help="Share of rows that may be dropped.", min=0, max=1)] = None,
    ledger: Annotated[Path | None, typer.Option(help="JSONL file for the ledger: every row kept or dropped, with its counts.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print totals as JSON.")] = False,
) -> None:
    """Open every image, count text and image tokens of every row, and say what is dropped and why."""
    from vlmpost import jsonl
    from vlmpost.cli.rows_progress import rows_progress
    from vlmpost.data import collect
    from vlmpost.data.audit import audit
    from vlmpost.errors import DataError

    model_config, parts, is_sft = _plan(what, model=model, split=split, overrides=set_, max_drop_share=max_drop_share)
    with rows_progress() as progress:
        read = {name: collect(data.train, base_dir=None, progress=progress) for name, data in parts.items()}
        processor = _processor(model_config)
        checked: dict[str, tuple[list[Example], Ledger]] = {}
        for name, data in parts.items():
            examples, first = read[name]
            # Rows of a bare data file are counted as SFT would if they can be; held-out rows are answered, never imitated.
            with_solution = is_sft if name == "train" else name == "data" and all(example.solution is not None for example in examples)
            kept, second = audit(examples, processor, data, with_solution=with_solution, progress=progress)
            checked[name] = (kept, first.joined(second))
    if ledger is not None:
        rows = ({"part": name, **row} for name, (_, entries) in checked.items() for row in entries.to_rows())
        jsonl.replace_text(ledger, "".join(jsonl.dump(row) for row in rows))
    if as_json:
        totals = {name: next(iter(entries.to_rows())) for name, (_, entries) in checked.items()}
        typer.echo(jsonl.dump(totals), nl=False)
    else:
        for name, (kept, entries) in checked.items():
            _show(name, kept, entries)
        typer.echo(f"Ledger: {ledger}" if ledger is not None else "Every row's fate in a file: --ledger FILE")
    for name, data in parts.items():
        refusal = checked[name][1].refusal(max_drop_share=data.max_drop_share)
        if refusal is not None:
            raise DataError(f"{name}: {refusal}")


def _plan(
    what: str, *, model: str, split: str, overrides: list[str], max_drop_share: float | None
) -> tuple[ModelConfig, dict[str, DataConfig], bool]:
    """The model, what to check by name ("train", "eval" or "data"), and whether it is a recipe of SFT."""
    from vlmpost.config.schema import DataConfig, ModelConfig, SourceConfig
    from vlmpost.errors import ConfigError

    if Path(what).suffix not in (".yaml", ".yml"):
        if overrides:
            raise ConfigError("--set changes a recipe; for a data file use --split, --model and --max-drop-share.")
        data = DataConfig(train=[SourceConfig(path=what, split=split)])
        parts = {"data": data}
        chosen, is_sft = ModelConfig(path=model or "nano"), False
    else:
        from vlmpost.config.load import load

        kind = _kind(Path(what))
        loaded = load(kind, what, overrides)
        data, chosen, is_sft = loaded.config.data, loaded.config.model, kind == "sft"
        parts = {"train": data}
        if data.eval:
            parts["eval"] = data.model_copy(update={"train": data.eval})
        if model:
            chosen = chosen.model_copy(update={"path": model})
    if max_drop_share is not None:
        parts = {name: part.model_copy(update={"max_drop_share": max_drop_share}) for name, part in parts.items()}
    return chosen, parts, is_sft


def _kind(path: Path) -> Literal["sft", "rl"]:
    """A recipe with rewards is one of RL."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return "sft"
    return "rl" if any(line.startswith("rewards:") for line in text.splitlines()) else "sft"


def _processor(config: ModelConfig) -> object:
    import transformers

    from vlmpost.models.loader import load_processor

    transformers.logging.set_verbosity_error()
    return load_processor(config)


def _show(name: str, kept: list[Example], ledger: Ledger) -> None:
    from collections import Counter

    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{name}[/bold]: {ledger.summary()[0]}", markup=True)
    for line in ledger.summary()[1:]:
        console.print(line, markup=False)
    quantiles = ledger.statistics.get("quantiles")
    if isinstance(quantiles, dict) and quantiles:
        columns = ("min", "p50", "p90", "p99", "max")
        table = Table("tokens per row", *columns, "all rows")
        for row, values in quantiles.items():
            table.add_row(row, *(f"{values[column]:,}" for column in columns), f"{ledger.statistics[f'total_{row}']:,}")
        console.print(table)
    counts: dict[str, Counter[object]] = {
        "answers": Counter(example.answer_type if example.answer is not None else "none" for example in kept),
        "images per row": Counter(len(example.images) for example in kept),
        "levels": Counter(f"L{example.level}" if example.level else "none" for example in kept),
        "with solution": Counter("yes" if example.solution is not None else "no" for example in kept),
    }
    for title, counter in counts.items():
        console.print(f"  {title}: " + ", ".join(f"{key} {number}" for key, number in sorted(counter.items(), key=str)), markup=False)
