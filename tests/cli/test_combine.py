"""`vlmpost combine` from the command line: what it refuses, what it plans without torch, what it says without a recipe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from vlmpost.cli.combine import known_strategy, strategies_json
from vlmpost.config.combine import STRATEGIES
from vlmpost.errors import ConfigError

STAGE = "data: {train: [{task: counting, num_examples: 16}]}"
RECIPE = f"""\
strategy: two_stage
sft:
  {STAGE}
  training: {{learning_rate: 1.0e-3, examples_per_step: 8, max_steps: 10}}
rl:
  {STAGE}
  rewards: [{{name: accuracy}}]
  algorithm: {{beta: 0.5}}
  generation: {{max_completion_length: 8}}
  training: {{learning_rate: 1.0e-4, prompts_per_step: 4, max_steps: 30, lr_scheduler_type: constant}}
"""


@pytest.fixture
def combined(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(RECIPE)
    return path


def test_a_dry_run_imports_no_torch_and_starts_nothing(combined: Path) -> None:
    program = f"""
import sys
from vlmpost.cli.app import main
sys.argv = ["vlmpost", "combine", {str(combined)!r}, "--dry-run", "--run-dir", {str(combined.parent / "run")!r}]
try:
    main()
except SystemExit:
    pass
print(sorted(name for name in ("torch", "transformers", "trl", "peft") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "nothing was started (--dry-run)" in done.stdout
    assert not (combined.parent / "run").exists()


def test_a_dry_run_shows_the_stages_with_steps_and_what_they_wait_for(cli: Cli, combined: Path) -> None:
    lines = [line.split() for line in cli("combine", "c.yaml", "--dry-run").stdout.splitlines()]
    assert next(line for line in lines if line[:1] == ["01_sft"])[:4] == ["01_sft", "sft", "10", "8"]
    rl = next(line for line in lines if line[:1] == ["02_rl"])
    assert (rl[:4], rl[-1]) == (["02_rl", "rl", "30", "32"], "01")  # 4 prompts x 8 completions


def test_schedules_of_both_stages_lie_one_after_the_other(cli: Cli, combined: Path) -> None:
    found = json.loads(cli("combine", "c.yaml", "--dry-run", "--json").stdout)["schedules"]
    policy = found["weights of the losses"]["policy on generated"]
    assert (policy[0], policy[-1]) == ([10.0, 1.0], [40.0, 1.0])
    assert found["weights of the losses"]["KL to the reference"][0] == [10.0, 0.5]
    assert found["weights of the losses"]["cross-entropy on solutions"][-1] == [10.0, 1.0]
    rate = {step: value for step, value in found["learning rate"]["learning rate"] if value is not None}
    # Cosine over 10 steps: at step 5 half of 1e-3; then RL's constant 1e-4.
    assert rate[5.0] == pytest.approx(5e-4)
    assert (rate[11.0], rate[40.0]) == (1e-4, 1e-4)


def test_memory_of_gpus_that_share_says_whether_it_fits(cli: Cli, combined: Path) -> None:
    said = cli("combine", "c.yaml", "--dry-run", "--gpus", "2", "--gpu-memory", "80").stdout
    assert "memory of each of 2 GPUs" in said
    assert said.count("fits in 80 GB") == 3  # the update of SFT; sampling and update of RL
    large = ["--set", "model.path=Qwen/Qwen2.5-VL-7B-Instruct", "--gpus", "1"]
    done = cli("combine", "c.yaml", "--dry-run", *large)
    assert done.stdout.count("does not fit in 80 GB") == 3, done.stderr  # 7.6e9 trained parameters x 16 bytes are 122 GB


def test_a_picture_is_drawn_and_other_endings_are_refused(cli: Cli, combined: Path) -> None:
    assert cli("combine", "c.yaml", "--dry-run", "--picture", "plan.svg").returncode == 0
    assert (combined.parent / "plan.svg").read_text().startswith("<svg")
    done = cli("combine", "c.yaml", "--dry-run", "--picture", "plan.pdf")
    assert (done.returncode, done.stderr.strip()) == (2, "error: --picture plan.pdf: expected a name that ends in .png or .svg.")


def test_without_a_recipe_the_shipped_one_is_taken_and_that_is_said(cli: Cli) -> None:
    done = cli("combine", "--strategy", "progressive", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "no recipe given: running the shipped " in done.stderr
    assert "recipes/demo/progressive.yaml" in done.stderr
    assert "(combine, progressive)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give a recipe, or --strategy NAME for the shipped one."),
        (["--strategy", "progresive"], "there is no strategy 'progresive'; did you mean progressive?"),
        (["--strategy", "bread"], "there is no shipped recipe for bread; write one with `strategy: bread`"),
        (["c.yaml", "--strategy", "data-mix"], "--strategy data_mix: c.yaml has strategy: two_stage."),
        (["none.yaml"], "none.yaml: no such recipe."),
        (["c.yaml", "--dry-run", "--gpus", "3"], "01_sft: training.examples_per_step: 8 examples per optimizer step do not divide among 3"),
        (["c.yaml", "--picture", "p.svg"], "--picture: only with --dry-run; leave it out."),
        (["c.yaml", "--dry-run", "--picture", "none/p.svg"], "--picture none/p.svg: there is no folder none; make it, or choose another."),
        (["c.yaml", "--dry-run", "--set", "sft.training.examples_per_step=0"], "sft.training.examples_per_step: expected whole number > 0"),
        (["c.yaml", "--dry-run", "--set", "rl.rewards.0.name=acuracy"], "rl.rewards.0: "),
        (["c.yaml", "--dry-run", "--set", "rl.data.train.0.task=countng"], "rl.data.train.0.task: "),
        (["c.yaml", "--dry-run", "--set", "two_stage.start=[7]"], "two_stage.start: SFT leaves no checkpoint at step 7"),
        (["c.yaml", "--resume", "--run-dir", "nowhere"], "no such folder"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error(cli: Cli, combined: Path, arguments: list[str], said: str) -> None:
    done = cli("combine", *arguments)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reward_of_a_whole_group_is_refused_where_traces_are_scored_alone(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "luffy.yaml"
    path.write_text(f"{STAGE}\nrewards: [{{name: accuracy}}, {{name: length_group}}]\nguidance: {{preset: luffy}}\n")
    refused = cli("rl", str(path), "--dry-run")
    assert refused.returncode == 2
    assert "rewards.1: compares a whole group, and guidance.grouping.kind: with_trace scores each trace by itself" in refused.stderr
    path.write_text(path.read_text().replace("luffy", "interleaved"))
    assert cli("rl", str(path), "--dry-run").returncode == 0


def test_strategies_are_listed_with_what_is_unverified(cli: Cli) -> None:
    lines = cli("combine", "--strategies").stdout.splitlines()
    assert [line.partition("\t")[0] for line in lines] == list(STRATEGIES)
    marked = {line.partition("\t")[0] for line in lines if "(partly unverified)" in line}
    assert marked >= {"srft", "bread", "ghpo", "sasr"}
    assert not marked & {"two_stage", "progressive", "hpt", "luffy"}
    shown = cli("combine", "--strategies", "--strategy", "sasr").stdout
    assert all(part in shown for part in ("Source: SASR", "Loss: ", "Unverified:", "the formula", "kind: drawn"))


def test_every_strategy_says_its_meaning_source_and_formula() -> None:
    rows = strategies_json()
    assert [row["name"] for row in rows] == list(STRATEGIES)
    assert all(row["meaning"] and row["source"] and row["formula"] for row in rows)


def test_a_strategy_may_be_written_with_hyphens() -> None:
    assert known_strategy("two-stage") == "two_stage"
    with pytest.raises(ConfigError):
        known_strategy("three-stage")


def test_the_keys_of_a_recipe_are_described(cli: Cli) -> None:
    lines = cli("config", "combine", "two_stage").stdout.splitlines()
    assert "two_stage.start\tfinal | best | all, or list of whole numbers" in lines[2]
