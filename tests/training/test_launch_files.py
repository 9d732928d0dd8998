"""The accelerate and Slurm files, as far as a machine without a GPU can check them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser

SCRIPTS = Path(__file__).parents[2] / "scripts"
CONFIGS = sorted((SCRIPTS / "accelerate").glob("*.yaml"))
LAUNCHER_KEYS = {action.dest for action in launch_command_parser()._actions}
BATCH_FILES = sorted((SCRIPTS / "slurm").glob("*.sbatch"))


def test_the_four_layouts_and_two_batch_files_are_there():
    assert [path.stem for path in CONFIGS] == ["ddp", "fsdp2", "zero2", "zero3"]
    assert [path.stem for path in BATCH_FILES] == ["many_nodes", "one_node"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_reads_each_file_and_knows_every_key(path):
    config = load_config_from_file(str(path))
    types = {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}
    assert config.distributed_type.value == types[path.stem]
    assert config.num_processes == 8
    assert config.use_cpu is False


def test_the_fsdp_file_sets_version_2_and_only_keys_of_the_launcher():
    keys = yaml.safe_load((SCRIPTS / "accelerate" / "fsdp2.yaml").read_text())["fsdp_config"]
    assert set(keys) <= LAUNCHER_KEYS
    assert keys["fsdp_version"] == 2
    assert "fsdp_use_orig_params" not in keys


@pytest.mark.parametrize("stage", [2, 3])
def test_the_zero_files_set_their_stage_and_leave_the_batch_to_the_recipe(stage):
    keys = yaml.safe_load((SCRIPTS / "accelerate" / f"zero{stage}.yaml").read_text())["deepspeed_config"]
    assert set(keys) <= LAUNCHER_KEYS
    assert keys["zero_stage"] == stage
    assert keys["gradient_accumulation_steps"] == keys["gradient_clipping"] == "auto"


@pytest.mark.parametrize("path", BATCH_FILES, ids=lambda path: path.stem)
def test_each_batch_file_is_bash_saves_before_its_limit_and_goes_on_when_queued_again(path):
    text = path.read_text()
    assert subprocess.run(["bash", "-n", str(path)], capture_output=True, check=False).returncode == 0
    options = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]
    assert any(option.startswith("--signal=") and option.endswith("TERM@300") for option in options)
    assert "--requeue" in options and "--time=12:00:00" in options
    assert "--resume" in text and "scontrol requeue" in text
    assert "-m vlmpost" in text and "scripts/accelerate/${LAYOUT}.yaml" in text
