"""Losses of two gloo processes against one, same global batch: `python scripts/bench/two_processes.py [--steps 5]`.

Passes when no loss differs by more than 1e-5, for SFT, GRPO and RL guided by stored traces in several ways.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import launch

TOLERANCE = 1e-5


def main() -> int:
    """Prints both series and the largest difference; 1 when it is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    steps = parser.parse_args().steps
    recipes = {
        "sft": launch.sft_recipe(max_steps=steps, examples_per_step=16, save_steps=steps),
        "rl": launch.rl_recipe(max_steps=steps, prompts_per_step=4, save_steps=steps),
        **{name: launch.guided_recipe(name, max_steps=steps, prompts_per_step=4, save_steps=steps) for name in launch.GUIDED},
    }
    worst = 0.0
    with tempfile.TemporaryDirectory(prefix="vlmpost-two-") as folder:
        for kind, recipe in recipes.items():
            path = launch.write_recipe(recipe, Path(folder) / f"{kind}.yaml")
            series = []
            for num_processes in (1, 2):
                run_dir = Path(folder) / f"{kind}-{num_processes}"
                launch.run("sft" if kind == "sft" else "rl", path, run_dir, num_processes=num_processes)
                series.append([float(str(row["loss"])) for row in launch.metrics(run_dir)])
                print(
                    f"{kind:3s} {num_processes} process{'es' if num_processes > 1 else '  '}  " + "  ".join(f"{x: .8f}" for x in series[-1])
                )
            difference = max(abs(one - two) for one, two in zip(*series, strict=True))
            print(f"{kind:3s} largest difference {difference:.1e} over {len(series[0])} steps (limit {TOLERANCE:.0e})", flush=True)
            worst = max(worst, difference)
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
