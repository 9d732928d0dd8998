"""One setting, two sides: the same model, rows, seed and lengths for `vlmpost` and for the shortest plain TRL script.

`measure` starts one side as a process of its own, on a CPU with one thread, and gives back the rows of its `StepClock`; `alternated`
starts several in turn, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import launch

HERE = Path(__file__).parent
PLAIN = "plain TRL"
OURS = "vlmpost"
OFF = "vlmpost, shared_prompt off"
Row = dict[str, Any]
"""One step of one side, as `StepClock` writes it. Any: numbers, and numbers by phase."""


@dataclass(frozen=True)
class Setting:
    """What both sides do."""

    kind: Literal["sft", "grpo", "ppo"]
    model: str
    """A folder; with random_weights it needs no weight file."""
    rows: str
    """rows.jsonl beside own_reward.py, as `equal_lengths.write_rows` writes them."""
    steps: int
    prompts_per_step: int
    num_generations: int = 1
    """Completions of a prompt; 1 for SFT."""
    num_completion_tokens: int = 0
    """What every completion has; 0 for SFT."""
    rows_per_forward: int = 64
    """Sequences in one forward pass of the update."""
    device: Literal["cpu", "cuda"] = "cpu"
    train_vision: bool = True
    gradient_checkpointing: bool = False
    random_weights: bool = False
    learning_rate: float = 1e-5
    seed: int = 42
    memory_step: int | None = None
    """The step in which a CPU's allocations are recorded; a GPU's are in every step."""

    @property
    def num_sequences(self) -> int:
        """Sequences behind one optimizer step."""
        return self.prompts_per_step * self.num_generations


def recipe_of(setting: Setting, training: Mapping[str, object]) -> launch.Recipe:
    """The recipe of vlmpost's side, with further keys of its `training` section."""
    recipe: dict[str, Any] = {  # Any: the sections of a recipe
        "model": {
            "path": setting.model,
            "device": setting.device,
            "freeze_vision_tower": not setting.train_vision,
            "freeze_multi_modal_projector": not setting.train_vision,
        },
        "data": {"train": [{"path": setting.rows}]},
        "training": {
            "max_steps": setting.steps,
            "learning_rate": setting.learning_rate,
            "per_device_train_batch_size": setting.rows_per_forward,
            "gradient_checkpointing": setting.gradient_checkpointing,
            "seed": setting.seed,
            **training,
        },
        "checkpoints": {"save_steps": 10 * setting.steps},
        "logging": {"num_logged_rollouts": 0} if setting.kind != "sft" else {},
    }
    if setting.kind == "sft":
        recipe["training"]["examples_per_step"] = setting.prompts_per_step
        return recipe
    recipe["training"]["prompts_per_step"] = setting.prompts_per_step
    recipe["rewards"] = [{"name": f"{Path(setting.rows).with_name('own_reward.py')}:hashed"}]
    recipe["algorithm"] = {"kind": setting.kind, "num_generations": setting.num_generations}
    recipe["generation"] = {"max_completion_length": setting.num_completion_tokens}
    return recipe


@dataclass(frozen=True)
class Side:
    """One of the programs that are compared."""

    name: str
    training: Mapping[str, object] = field(default_factory=dict)
    """Further keys of the recipe's `training` section; nothing for plain TRL."""


SIDES = (Side(PLAIN), Side(OURS), Side(OFF, {"shared_prompt": "off"}))


def measure(side: Side, setting: Setting) -> list[Row]:
    """One run of one side; ends the script with the run's last lines when it fails, or when its completions are not as long as asked."""
    with tempfile.TemporaryDirectory(prefix="vlmpost-side-") as name:
        folder, out = Path(name), Path(name) / "steps.json"
        if side.name == PLAIN:
            (folder / "setting.json").write_text(json.dumps(asdict(setting)), encoding="utf-8")
            command = [str(HERE / "side_trl.py"), str(folder / "setting.json"), str(out)]
        else:
            recipe = launch.write_recipe(recipe_of(setting, side.training), folder / "recipe.yaml")
            options = [] if setting.memory_step is None else ["--memory-step", str(setting.memory_step)]
            options += ["--random-weights"] if setting.random_weights else []
            kind = "sft" if setting.kind == "sft" else "rl"
            command = [str(HERE / "side_vlmpost.py"), str(out), *options, kind, str(recipe), "--run-dir", str(folder / "run")]
        _run(side.name, command, one_thread=setting.device == "cpu")
        rows: list[Row] = json.loads(out.read_text(encoding="utf-8"))
    _check(side.name, rows, setting)
    return rows


def _run(name: str, command: Sequence[str], *, one_thread: bool) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **({"OMP_NUM_THREADS": "1"} if one_thread else {})}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, errors="replace")
    if done.returncode:
        sys.exit(f"{name} ended with {done.returncode}:\n" + "\n".join((done.stdout + done.stderr).splitlines()[-30:]))


def _check(name: str, rows: Sequence[Row], setting: Setting) -> None:
    if len(rows) != setting.steps:
        sys.exit(f"{name}: {len(rows)} steps logged, {setting.steps} asked for")
    lengths = {row["length"] for row in rows}
    if setting.num_completion_tokens and lengths != {setting.num_completion_tokens}:
        sys.exit(f"{name}: completions of {lengths} tokens, not all of {setting.num_completion_tokens}: the comparison would not be fair")


def alternated(sides: Iterable[Side], setting: Setting, *, repeats: int, num_warmup_steps: int) -> dict[str, list[list[Row]]]:
    """Runs the sides in turn; for each the rows of its steps after the first ones, run by run."""
    sides = list(sides)
    runs: dict[str, list[list[Row]]] = {side.name: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            runs[side.name].append(measure(side, setting)[num_warmup_steps:])
    return runs


def median_of(runs: Sequence[Sequence[Row]], clock: str, phase: str | None = None) -> float:
    """The median over runs of the median over their steps, in seconds; a step whose allocations a CPU recorded does not count.

    Args:
        runs: Rows of each run.
        clock: "wall" or "cpu".
        phase: None: the whole step.
    """
    key = "phases" if clock == "wall" else "phases_cpu"
    timed = [[row for row in rows if not row["recorded"]] for rows in runs]
    return statistics.median(statistics.median(row[clock] if phase is None else row[key].get(phase, 0.0) for row in rows) for rows in timed)


def phases_of(runs: Sequence[Sequence[Row]]) -> list[str]:
    """The phases that occurred, in the order in which they first did."""
    return list(dict.fromkeys(name for rows in runs for row in rows for name in row["phases"]))
