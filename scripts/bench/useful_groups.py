"""Useful groups for the tokens they cost, plain against pools and dynamic sampling: `python scripts/bench/useful_groups.py [--steps 40]`.

GRPO of the nano VLM on drawn cards of mixed difficulty: few it gets right now and then, many it always gets wrong (by another rule) or
nearly always right (one card). A group is useful when its completions do not all earn the same; tokens are those of all groups that were
sampled, refills included. Passes when signal gives at least twice as many useful groups per 1000 tokens over the whole run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import launch

TARGET = 2.0
SIGNAL = {"prompt_pools": True, "dynamic_sampling": True}


def main() -> int:
    """Prints useful groups, tokens and their ratio by half and whole of each run; 1 when the ratio of the runs is too small."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--prompts-per-step", type=int, default=12)
    args = parser.parse_args()
    rates = {}
    print("          steps    useful groups    tokens sampled    useful groups per 1000 tokens")
    with tempfile.TemporaryDirectory(prefix="vlmpost-useful-") as folder:
        for name, signal in (("plain", {}), ("signal", SIGNAL)):
            recipe = mixed_recipe(signal, steps=args.steps, prompts_per_step=args.prompts_per_step)
            run_dir = Path(folder) / name
            launch.run("rl", launch.write_recipe(recipe, Path(folder) / f"{name}.yaml"), run_dir)
            rows = launch.metrics(run_dir)
            half = len(rows) // 2
            for part in (rows[:half], rows[half:], rows):
                rates[name] = rate(part)
                steps = f"{part[0]['step']}-{part[-1]['step']}"
                print(
                    f"{name:8s}{steps:>7s}{total(part, 'useful_groups'):17.0f}{total(part, 'sampled_tokens'):18.0f}{rates[name]:33.2f}",
                    flush=True,
                )
    ratio = rates["signal"] / rates["plain"]
    print(f"signal / plain over all steps: {ratio:.2f} (target {TARGET})")
    return int(ratio < TARGET)


def mixed_recipe(signal: dict[str, object], *, steps: int, prompts_per_step: int) -> launch.Recipe:
    """GRPO on 240 problems: 24 of 1 to 5 cards, 16 of one card, 200 by a rule that the nano VLM does not know."""
    recipe = launch.rl_recipe(max_steps=steps, prompts_per_step=prompts_per_step, save_steps=steps)
    sources = [
        {"task": "card_sums", "num_examples": 24},
        {"task": "card_sums", "num_examples": 16, "difficulties": [1], "seed": 1},
        {"task": "card_sums", "num_examples": 200, "difficulties": [3, 4, 5], "options": {"rule": "red_minus"}, "seed": 2},
    ]
    return recipe | {"data": {"train": sources}, "signal": signal}


def rate(rows: list[dict[str, object]]) -> float:
    """Useful groups per 1000 sampled tokens."""
    return 1000 * total(rows, "useful_groups") / total(rows, "sampled_tokens")


def total(rows: list[dict[str, object]], name: str) -> float:
    """The sum of a figure over rows."""
    return sum(float(str(row[name])) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
