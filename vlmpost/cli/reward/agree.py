"""`vlmpost reward agree`: how far teacher responses agree with a silver answer, written into the rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, print_json
from vlmpost.cli.reward.score import MAX_FAULTS, written_beside

if TYPE_CHECKING:
    from collections.abc import Iterator


def agree(
    file: Annotated[Path, typer.Argument(help="Rows with `responses` (a list of texts) and `gold` (JSONL).", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the rows that are kept (JSONL).", show_default=False)],
    min_agreement: Annotated[float, typer.Option(help="Rows below this share are left out; 0 keeps all.", min=0, max=1)] = 0.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file if it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how many of a teacher's responses give each row's answer, for the reward silver_accuracy.

    Each row gets `agreement`, a share from 0 to 1. The Demystifying Long CoT study keeps rows with 1 of 2 or more: --min-agreement 0.5.
    """
    from vlmpost import jsonl
    from vlmpost.errors import ConfigError, DataError

    if output.exists() and not overwrite:
        raise ConfigError(f"{output} is there already. Add --overwrite, or choose another --output.")
    faults: list[str] = []
    shares: list[float] = []
    num_kept = 0

    def kept() -> Iterator[str]:
        nonlocal num_kept
        for number, row in jsonl.read_each(file):
            try:
                share = _share(row, f"{file}:{number}")
            except DataError as error:
                faults.append(str(error))
                continue
            shares.append(share)
            if share >= min_agreement:
                num_kept += 1
                assert not isinstance(row, DataError), "it has a share"
                yield jsonl.dump({**row, "agreement": share})

    written_beside(output, kept())
    if as_json:
        print_json({"num_rows": len(shares), "num_kept": num_kept, "mean_agreement": sum(shares) / max(1, len(shares)), "faults": faults})
    else:
        mean = f"{sum(shares) / len(shares):.3f}" if shares else "-"
        typer.echo(f"{len(shares)} rows measured, mean agreement {mean}; {num_kept} written to {output}")
        for fault in faults[:MAX_FAULTS]:
            typer.echo(f"not measured: {fault}", err=True)
        if len(faults) > MAX_FAULTS:
            typer.echo(f"not measured: {len(faults) - MAX_FAULTS} more rows; --json lists all", err=True)
    if not shares:
        raise DataError(f"{file}: no row could be measured.")


def _share(row: object, where: str) -> float:
    """The agreement of one row.

    Raises:
        DataError: The row is broken, has no responses or no reference answer, or nothing in it could be compared.
    """
    from vlmpost.answers import reference_of
    from vlmpost.errors import DataError, GraderError
    from vlmpost.rewards.rows import rollout_of
    from vlmpost.rewards.silver import agreement_of

    if isinstance(row, DataError):
        raise row
    assert isinstance(row, dict), "a line is a row or its error"
    responses = row.get("responses")
    if not isinstance(responses, list) or not responses or not all(isinstance(text, str) for text in responses):
        raise DataError(f"{where}: responses must be a list of texts, got {responses!r:.80}.")
    example = rollout_of({**row, "output": ""}, where=where).example
    try:
        share = agreement_of(responses, reference_of(example)).share
    except GraderError as error:
        raise DataError(f"{where}: {error}") from None
    if share is None:
        raise DataError(f"{where}: no response could be compared with the answer.")
    return share
