"""`vlmpost reward`: the rewards there are, and what one gives for a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vlmpost.cli.options import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from vlmpost.records import Rollout
    from vlmpost.rewards import RewardSet
    from vlmpost.rewards.binding import Parameter

MAX_FAULTS = 20
"""Rows that could not be scored, listed by name."""

app = typer.Typer(help="Rewards: list, try on a text.", no_args_is_help=True)


@app.command("ls")
def list_rewards(as_json: JsonOption = False) -> None:
    """List the rewards with their parameters."""
    from vlmpost.rewards.binding import Schema, schema_of
    from vlmpost.rewards.table import find, names

    rows = []
    for name in names():
        function = find(name)
        schema = schema_of(function)
        assert isinstance(schema, Schema), schema
        first_line = (function.__doc__ or "").strip().partition("\n")[0]
        rows.append([name, ", ".join(_parameter(parameter) for parameter in schema.parameters) or "-", first_line])
    if as_json:
        print_json([dict(zip(("name", "parameters", "meaning"), row, strict=True)) for row in rows])
        return
    print_table(["name", "parameters", "meaning"], rows, flexible="meaning")


@app.command("test")
def test(
    name: Annotated[str, typer.Argument(help="A reward of `vlmpost reward ls`, or your own as file.py:function.", show_default=False)],
    text: Annotated[str, typer.Option(help="The completion to score.", show_default=False)],
    answer: Annotated[str | None, typer.Option(help="The reference answer.", show_default=False)] = None,
    answer_type: Annotated[Literal["number", "choice", "text", "latex"], typer.Option(help="What kind of answer it is.")] = "text",
    choices: Annotated[list[str] | None, typer.Option("--choice", help="One option text; again for more.", show_default=False)] = None,
    params: Annotated[
        list[str] | None, typer.Option("--set", metavar="PARAM=VALUE", help="A parameter of the reward.", show_default=False)
    ] = None,
    max_completion_length: Annotated[int | None, typer.Option(help="Token budget, for rewards that know one.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Score one completion, and say what was read as its answer."""
    from vlmpost import rewards
    from vlmpost.answers import judge
    from vlmpost.config.schema import RewardTermConfig
    from vlmpost.records import Example, Message, Rollout

    bound = rewards.build([RewardTermConfig(name=name, params=_params(params))], max_completion_length=max_completion_length)
    example = Example(
        id="command-line",
        task="command-line",
        prompt=(Message("user", ("",)),),
        answer=answer,
        answer_type=answer_type,
        choices=tuple(choices or ()),
    )
    score = bound.score(Rollout(example=example, text=text, token_ids=tuple(range(len(text.split()))), stop_reason="stop"))
    verdict = None if answer is None else judge(text, answer=answer, answer_type=answer_type, choices=tuple(choices or ()))
    if as_json:
        judged = None if verdict is None else {"outcome": verdict.outcome, "extracted": verdict.extracted, "rule": verdict.rule}
        print_json({"parts": dict(score.parts), "verdict": judged})
        return
    for part, value in score.parts.items():
        print(f"{part}: {'does not apply' if value is None else f'{value:g}'}")
    if verdict is not None:
        print(f"answer: {verdict.outcome}, read {verdict.extracted!r} by {verdict.rule}")


@app.command("score")
def score_file(
    file: Annotated[Path, typer.Argument(help="Rollouts, predictions, or rows with output and gold (JSONL).", show_default=False)],
    reward: Annotated[
        list[str] | None, typer.Option("--reward", help="A reward; again for more. Default: accuracy.", show_default=False)
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first rows.", min=1, show_default=False)] = None,
    max_completion_length: Annotated[int | None, typer.Option(help="Token budget, for rewards that know one.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Score stored answers: what was read, by which rule, what each reward gives. Rows that cannot be scored are listed."""
    from itertools import islice

    from vlmpost import jsonl, rewards
    from vlmpost.config.schema import RewardTermConfig
    from vlmpost.errors import DataError, GraderError
    from vlmpost.rewards.rows import rollout_of

    bound = rewards.build([RewardTermConfig(name=name) for name in reward or ["accuracy"]], max_completion_length=max_completion_length)
    scored: list[dict[str, object]] = []
    faults: list[str] = []
    for number, row in islice(jsonl.read(file), limit):
        where = f"{file}:{number}"
        try:
            scored.append(_scored(rollout_of(row, where=where), bound))
        except (DataError, GraderError) as error:
            faults.append(str(error) if str(error).startswith(where) else f"{where}: {error}")
    if as_json:
        print_json({"rows": scored, "faults": faults})
    else:
        columns = ["id", "answer", "extracted", "outcome", "rule", *bound.names]
        print_table(columns, [[_cell(row[column]) for column in columns] for row in scored], flexible="extracted")
    for fault in faults[:MAX_FAULTS]:
        typer.echo(f"not scored: {fault}", err=True)
    if len(faults) > MAX_FAULTS:
        typer.echo(f"not scored: {len(faults) - MAX_FAULTS} more rows; --json lists all", err=True)
    if not scored:
        raise DataError(f"{file}: no row could be scored.")


def _scored(rollout: Rollout, bound: RewardSet) -> dict[str, object]:
    """What was read in an answer and what it is worth; one key per reward beside `total`."""
    from vlmpost.rewards.correctness import verdict_of

    verdict, score = verdict_of(rollout), bound.score(rollout)
    return {
        "id": rollout.example.id,
        "sample": rollout.sample,
        "answer": rollout.example.answer,
        "outcome": None if verdict is None else verdict.outcome,
        "extracted": None if verdict is None else verdict.extracted,
        "rule": None if verdict is None else verdict.rule,
        **score.parts,
        "total": score.total,
    }


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())[:60]


def _parameter(parameter: Parameter) -> str:
    return parameter.name if parameter.required else f"{parameter.name}={parameter.default!r}"


def _params(given: list[str] | None) -> dict[str, object]:
    """The parameters of `--set`, their values in YAML.

    Raises:
        ConfigError: An argument is not PARAM=VALUE.
    """
    import yaml

    from vlmpost.config.yaml_text import parse_value
    from vlmpost.errors import ConfigError

    result = {}
    for argument in given or ():
        name, equals, text = argument.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {argument}: write it as PARAM=VALUE.")
        try:
            result[name] = parse_value(text)
        except (yaml.YAMLError, ValueError):
            raise ConfigError(f"--set {argument}: the value is not YAML; put it in quotes.") from None
    return result
