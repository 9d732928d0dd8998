"""`vlmpost reward curve`: what a reward gives for right and wrong answers of every length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmpost.cli.options import JsonOption, print_json
from vlmpost.cli.reward.terms import BudgetOption, ParamsOption, built

if TYPE_CHECKING:
    from vlmpost.records import Rollout
    from vlmpost.rewards import RewardSet

NUM_COLUMNS, NUM_LINES = 72, 15
Point = tuple[float, float]


def curve(
    reward: Annotated[str, typer.Argument(help="A reward or sum of `vlmpost reward ls`, or yours.", show_default=False)],
    params: ParamsOption = None,
    max_completion_length: BudgetOption = 1024,
    out: Annotated[Path | None, typer.Option("--out", help="Draw into this file too (SVG).", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw a reward against the length of the answer in tokens, right and wrong answers apart.

    The answers are made up: "\\boxed{7}" to a question whose answer is 7 or 8, in a thinking block's form, every token another one, a token
    four characters. A group reward sees all lengths of a curve as one group.
    """
    from vlmpost.errors import ConfigError

    rewards = built([reward], params, max_completion_length=max_completion_length)
    assert rewards is not None, "one reward is named"
    if max_completion_length is None:
        raise ConfigError("--max-completion-length is needed: it is the length that the curve is drawn to.")
    lengths = _lengths(max_completion_length)
    lines = [(name, _values(rewards, lengths, answer)) for name, answer in (("right", "7"), ("wrong", "8"))]
    if out is not None:
        _draw(out, lines, reward)
    if as_json:
        print_json({name: [{"length": length, "value": value} for length, value in points] for name, points in lines})
        return
    print(_plot(lines))
    if out is not None:
        print(f"drawn to {out}")


def _lengths(budget: int) -> list[int]:
    """0 to the budget in even steps, with the lengths beside the ends, where rewards jump."""
    edges = {0, 1, budget - 17, budget - 16, budget - 15, budget - 1, budget}
    return sorted({round(step * budget / 200) for step in range(201)} | {edge for edge in edges if edge >= 0})


def _values(rewards: RewardSet, lengths: Sequence[int], answer: str) -> list[Point]:
    scores = rewards.score_all([_rollout(length, answer) for length in lengths])
    return [(float(length), score.total) for length, score in zip(lengths, scores, strict=True) if score.total is not None]


def _rollout(length: int, answer: str) -> Rollout:
    from vlmpost.records import Example, Rollout

    text = "<think> ... </think> \\boxed{7}" if length else ""
    words = " ".join(f"{number:03}" for number in range(max(0, length - len(text) // 4)))
    text = text.replace("...", words) if length else "7"
    example = Example(id="curve", task="curve", prompt=(), answer=answer, answer_type="number")
    return Rollout(example, text, tuple(range(length)), "stop")


def _draw(path: Path, lines: Sequence[tuple[str, Sequence[Point]]], reward: str) -> None:
    from vlmpost import jsonl
    from vlmpost.reports.charts import curve as chart

    svg = chart(lines, title=f"{reward}: {', '.join(name for name, _ in lines)}")
    jsonl.replace_text(
        path, svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="10"', 1) + "\n"
    )


def _plot(lines: Sequence[tuple[str, Sequence[Point]]]) -> str:
    """The curves in characters: + right, - wrong, # both."""
    points = [point for _, line in lines for point in line]
    if not points:
        return "The reward does not apply to these answers."
    right, low, high = max(x for x, _ in points), min(y for _, y in points), max(y for _, y in points)
    height = (high - low) or 1.0
    grid = [[" "] * NUM_COLUMNS for _ in range(NUM_LINES)]
    for mark, (_, line) in zip("+-", lines, strict=True):
        for column in range(NUM_COLUMNS if line else 0):
            _, y = min(line, key=lambda point: abs(point[0] - column / (NUM_COLUMNS - 1) * right))
            row = round((high - y) / height * (NUM_LINES - 1))
            grid[row][column] = mark if grid[row][column] == " " else "#"
    drawn = []
    for number, cells in enumerate(grid):
        drawn.append(f"{high - number * height / (NUM_LINES - 1):>9.3g} |{''.join(cells).rstrip()}")
    axis = f"{'':9} +{'-' * NUM_COLUMNS}\n{'':11}0{f'{right:g} tokens':>{NUM_COLUMNS - 1}}"
    return "\n".join([*drawn, axis, "+ right   - wrong   # both"])
