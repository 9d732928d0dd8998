"""Prints how long vlmpost takes to say `--help` and to refuse a bad recipe, and whether torch was imported.

    python scripts/bench/startup.py [--repeats 5]

TRL's own `trl grpo --help` is timed in turn with ours, so that a busy machine slows both. Wall seconds, whole process, median.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BAD_RECIPE = """\
model: {path: nano}
data:
  train:
    - {task: counting, num_examples: 10}
rewards:
  - {name: accuracy}
training: {lerning_rate: 1e-4}
"""


def seconds(command: list[str]) -> float:
    """Wall seconds of one command, its output thrown away."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - start


def imports_torch(arguments: list[str]) -> bool:
    """Whether `vlmpost ARGUMENTS` imports torch, seen from the interpreter's own import log."""
    command = [sys.executable, "-X", "importtime", "-m", "vlmpost", *arguments]
    log = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "vlmpost.cli.app" in log, log[-500:]
    return any(line.split("|")[-1].strip() == "torch" for line in log.splitlines() if "|" in line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    bin_dir = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder, "bad.yaml")
        recipe.write_text(BAD_RECIPE)
        ours = {"vlmpost --help": ["--help"], "vlmpost rl --help": ["rl", "--help"], "vlmpost rl bad.yaml": ["rl", str(recipe)]}
        commands = {name: [str(bin_dir / "vlmpost"), *arguments] for name, arguments in ours.items()}
        commands["trl grpo --help"] = [str(bin_dir / "trl"), "grpo", "--help"]
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(repeats + 1):  # the first round warms the disk cache and is not counted
            for name, command in commands.items():
                taken[name].append(seconds(command))
        print(f"{'command':24} {'median s':>9} {'min s':>7} {'max s':>7}  imports torch   (load {os.getloadavg()[0]:.1f})")
        for name, values in taken.items():
            values = values[1:]
            torch = ("yes" if imports_torch(ours[name]) else "no") if name in ours else "-"
            print(f"{name:24} {statistics.median(values):9.2f} {min(values):7.2f} {max(values):7.2f}  {torch}")


if __name__ == "__main__":
    main()
