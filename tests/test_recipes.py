"""Every recipe that ships loads, plans and dry-runs; those of the studies hold what the studies say, and have a small twin that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vlmpost.cli.app import main
from vlmpost.cli.prepare import kind_of
from vlmpost.cli.recipes import question_of, recipes_dir, shipped
from vlmpost.config.combine import CombineConfig
from vlmpost.config.load import load
from vlmpost.config.schema import AlgorithmConfig, RlConfig, SftConfig
from vlmpost.models.sharded_memory import fits


def command_of(recipe: Path) -> str:
    """The command that a recipe is for."""
    keys = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    return "combine" if "strategy" in keys else "curate" if isinstance(keys["data"], list) else kind_of(recipe)


ROOT = recipes_dir().resolve().parent
NAMES = sorted(shipped())
STUDIES = [name for name in NAMES if name.startswith(("memorize_generalize/", "jigsaw/", "long_cot_rewards/", "synergy/"))]
FULL_SIZE = [name for name in STUDIES if "/nano/" not in name]
TWINS = [name for name in STUDIES if "/nano/" in name]
COMBINED = [name for name in NAMES if command_of(shipped()[name]) == "combine"]
TRAINED = [name for name in NAMES if command_of(shipped()[name]) in ("sft", "rl")]
THINK = "Please reason step by step within <think> </think> tags, and put your final answer within \\boxed{}."


def run(*arguments: str) -> int:
    """The exit status of `vlmpost`, run in this process."""
    before = sys.argv
    sys.argv = ["vlmpost", *arguments]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def values_of(name: str) -> dict[str, dict[str, object]]:
    """A recipe as its file has it."""
    found: dict[str, dict[str, object]] = yaml.safe_load(shipped()[name].read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_dry_runs(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = shipped()[name]
    command = command_of(recipe)
    assert run(command, str(recipe), "--dry-run", "--out" if command == "curate" else "--run-dir", str(tmp_path / "run")) == 0
    assert "nothing was started" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", TRAINED)
def test_every_recipe_plans(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    # A plan reads the model folder's headers and downloads nothing: the shipped model stands for those of the hub.
    assert run("plan", str(shipped()[name]), "--set", "model.path=nano", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["kind"] == kind_of(shipped()[name])
    assert figures["num_steps"] > 0


@pytest.mark.parametrize("name", [name for name in TRAINED if name.startswith("synergy/") and "/nano/" not in name])
def test_training_of_the_synergy_study_fits_on_eight_gpus(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", str(shipped()[name]), "--gpus", "8", "--gpu-memory", "80", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["num_parameters"] > 8e9 and figures["num_steps"] > 0
    assert figures["sharded_memory_bytes"]
    for phase, parts in figures["sharded_memory_bytes"].items():
        assert fits(parts, gpu_bytes=80e9), phase


@pytest.mark.parametrize("name", COMBINED)
def test_every_combination_plans_its_stages_within_eight_gpus(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("combine", str(shipped()[name]), "--dry-run", "--gpus", "8", "--json") == 0
    stages = [stage for stage in json.loads(capsys.readouterr().out)["stages"] if stage["kind"] in ("sft", "rl")]
    assert stages
    for stage in stages:
        assert stage["num_steps"] > 0, stage["name"]
        assert stage["total_tokens"] > 0, stage["name"]
        for phase, parts in stage["sharded_memory_bytes"].items():
            assert fits(parts, gpu_bytes=80e9), (stage["name"], phase)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_says_what_it_asks_needs_and_gave(name: str) -> None:
    assert question_of(shipped()[name]).endswith(("?", ".yaml"))
    header = [line for line in shipped()[name].read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    said = [line.removeprefix("# ").partition(":")[0] for line in header[:5]]
    assert said == ["question", "hardware", "time", "expected", "measured"]


@pytest.mark.parametrize("name", FULL_SIZE)
def test_every_recipe_of_a_study_has_a_small_twin(name: str) -> None:
    study, _, recipe = name.partition("/")
    assert f"{study}/nano/{recipe}" in TWINS


@pytest.mark.parametrize("name", [name for name in FULL_SIZE if name.endswith("_sft")])
def test_sft_of_the_study_trains_all_components_with_its_optimizer(name: str) -> None:
    # arXiv 2501.17161, appendix C and its code: batch 128, AdamW betas 0.9 and 0.98, eps 1e-7, warm-up 0.03, all components trained.
    values = values_of(name)
    assert values["model"]["freeze_vision_tower"] is False
    assert values["model"]["freeze_multi_modal_projector"] is False
    training = values["training"]
    assert (training["examples_per_step"], training["adam_beta2"], training["warmup_share"]) == (128, 0.98, 0.03)
    assert training["learning_rate"] == (5e-7 if "_vl_" in name else 1e-6)
    assert values["trl"]["adam_epsilon"] == 1e-7


@pytest.mark.parametrize("name", [name for name in FULL_SIZE if name.startswith("memorize_generalize/") and name.endswith("_ppo")])
def test_ppo_of_the_study_has_its_clips_discounts_and_number_of_updates(name: str) -> None:
    # clip 0.1, value coefficient 0.5, gradient norm 0.01, gamma 0.9 and lambda 0.95 per reply, temperature 0.2, 512 tokens;
    # GP: 20 updates, V-IRL: 15, each of 4 passes over 2 mini-batches; lr 1e-6, V-IRL-VL 1e-7.
    values = values_of(name)
    algorithm = AlgorithmConfig.model_validate(values["algorithm"]).model_dump()
    training = values["training"]
    assert algorithm["importance_sampling_level"] == algorithm["value_at"] == "reply"
    assert (algorithm["kind"], algorithm["epsilon"], algorithm["cliprange_value"], algorithm["vf_coef"]) == ("ppo", 0.1, 0.1, 0.5)
    assert (algorithm["turn_gamma"], algorithm["turn_lam"]) == (0.9, 0.95)
    assert (values["generation"]["temperature"], values["generation"]["max_completion_length"]) == (0.2, 512)
    assert training["max_grad_norm"] == 0.01
    assert training["max_steps"] == (20 if "/gp_" in name else 15) * 4 * 2
    assert training["learning_rate"] == (1e-7 if "virl_vl" in name else 1e-6)
    assert values["episode"]["verify_iterations"] == (5 if "/gp_" in name else 2)


@pytest.mark.parametrize(("name", "prompts", "steps"), [("image", 256, 1000), ("video", 128, 1000), ("depth", 128, 800)])
def test_jigsaws_of_the_study_have_its_batches_and_steps(name: str, prompts: int, steps: int) -> None:
    # arXiv 2509.25190, section 4: groups of 16, lr 1e-6, no KL, 8192 and 2048 tokens.
    values = values_of(f"jigsaw/{name}")
    assert (values["training"]["prompts_per_step"], values["training"]["max_steps"]) == (prompts, steps)
    assert (values["algorithm"]["num_generations"], values["training"]["learning_rate"]) == (16, 1e-6)
    assert (values["data"]["max_prompt_length"], values["generation"]["max_completion_length"]) == (8192, 2048)
    assert values["rewards"] == [{"name": "permutation", "params": {"preset": "paper"}}]


@pytest.mark.parametrize(
    ("name", "generations", "epochs", "passes"),
    [
        ("classic", 8, 8, 1),
        ("cosine", 8, 8, 1),
        ("cosine_repetition", 16, 8, 2),
        ("discounts", 4, 4, 1),
        ("reward_a", 4, 4, 1),
        ("reward_b", 4, 4, 1),
        ("reward_c", 4, 4, 1),
        ("context_4k", 8, 8, 1),
        ("context_8k", 8, 8, 1),
        ("context_16k", 8, 8, 1),
        ("noisy_rewards", 4, 1, 1),
        ("noisy_rewards_filtered", 4, 1, 1),
        ("reinforce_plus_plus", 8, 8, 1),
    ],
)
def test_long_cot_rl_of_the_study_has_its_batches(name: str, generations: int, epochs: int, passes: int) -> None:
    # arXiv 2502.03373, appendix E: 512 prompts a batch, 512 completions an optimizer step, lr 5e-7, warm-up 0.03, prompts of 2048 tokens.
    config = resolved(f"long_cot_rewards/{name}")
    algorithm, training = config.algorithm, config.training
    assert (algorithm.num_generations, training.num_train_epochs, algorithm.num_iterations) == (generations, epochs, passes)
    assert training.prompts_per_step == 512
    assert training.prompts_per_step // training.num_mini_batches * algorithm.num_generations == 512
    assert (training.learning_rate, training.warmup_share, config.data.max_prompt_length) == (5e-7, 0.03, 2048)
    assert config.generation.max_completion_length == {"context_4k": 2048, "context_8k": 6144}.get(name, 14336)


def test_long_cot_rl_from_the_base_model_has_its_batches() -> None:
    # Section 6: 1024 prompts x 8, 128 completions an optimizer step, 20 epochs, lambda 0.95, 1024 + 3072 tokens; +1 / -0.5 / -1.
    config = resolved("long_cot_rewards/base_model")
    algorithm, training = config.algorithm, config.training
    assert (training.prompts_per_step, algorithm.num_generations, training.num_train_epochs, algorithm.lam) == (1024, 8, 20, 0.95)
    assert training.prompts_per_step // training.num_mini_batches * algorithm.num_generations == 128
    assert (config.data.max_prompt_length, config.generation.max_completion_length) == (1024, 3072)
    assert [(term.name, term.params) for term in config.rewards] == [("classic_length", {"preset": "section6"})]


def test_long_cot_rewards_of_the_study_are_its_own() -> None:
    def terms(name: str) -> list[tuple[str, object, float]]:
        return [(term.name, term.params.get("preset"), term.discount) for term in resolved(f"long_cot_rewards/{name}").rewards]

    cosine = ("cosine_length", "demystify", 1.0)
    assert terms("classic") == terms("reinforce_plus_plus") == [("classic_length", "demystify", 1.0)]
    assert terms("cosine") == [cosine]
    assert terms("cosine_repetition") == [cosine, ("ngram_repetition_per_token", "demystify", 0.99)]
    assert terms("discounts") == [cosine, ("ngram_repetition_per_token", "demystify", 0.999)]
    assert [terms(f"reward_{letter}") for letter in "abc"] == [[("cosine_length", f"demystify_{letter}", 1.0)] for letter in "abc"]


@pytest.mark.parametrize(("name", "epochs", "steps"), [("sft_s1", 15, 480), ("sft_s1_1", 15, 480), ("sft_eureka", 5, 5315)])
def test_sft_of_synergy_has_its_epochs_batches_and_frozen_parts(name: str, epochs: int, steps: int) -> None:
    # arXiv 2507.07562, section 3: lr 1e-5, batch 32, vision tower and connector frozen, a checkpoint each epoch.
    # Steps: ceil(1000 / 32) * 15 = 32 * 15, ceil(34000 / 32) * 5 = 1063 * 5.
    config = load("sft", shipped()[f"synergy/{name}"]).config
    assert isinstance(config, SftConfig)
    assert (config.training.learning_rate, config.training.examples_per_step, config.training.num_train_epochs) == (1e-5, 32, epochs)
    assert config.model.freeze_vision_tower
    assert config.model.freeze_multi_modal_projector
    assert config.checkpoints.save_steps * epochs == steps
    assert config.checkpoints.save_total_limit is None
    assert config.data.instruction == THINK


@pytest.mark.parametrize(("name", "beta"), [("rl", 0.005), ("rl_no_kl", 0.0), ("rl_without_easiest", 0.005)])
def test_rl_of_synergy_has_its_batches_reward_and_kl(name: str, beta: float) -> None:
    check_synergy_rl(resolved(f"synergy/{name}"), beta=beta, max_tokens=4096)


@pytest.mark.parametrize(
    ("name", "strategy", "max_tokens"),
    [
        ("two_stage", "two_stage", 16384),
        ("interleaved", "interleaved", 4096),
        ("interleaved_sft_on_all", "sft_on_all", 4096),
        ("progressive", "progressive", 16384),
        ("data_mix", "data_mix", 4096),
        ("merge", "merge", 4096),
    ],
)
def test_combinations_of_synergy_train_by_rl_as_rl_alone(name: str, strategy: str, max_tokens: int) -> None:
    config = combined(f"synergy/{name}")
    assert config.strategy == strategy
    assert config.rl is not None
    check_synergy_rl(config.rl, beta=0.005, max_tokens=max_tokens)
    assert config.rl.guidance is None or config.rl.guidance.preset == strategy


def check_synergy_rl(config: RlConfig, *, beta: float, max_tokens: int) -> None:
    """Section 3: 128 prompts x 8, mini-batches of 64 prompts, lr 1e-6, 2 epochs, temperature 1; 0.9 accuracy + 0.1 format."""
    training, algorithm = config.training, config.algorithm
    assert (training.prompts_per_step, training.num_mini_batches, training.num_train_epochs) == (128, 2, 2)
    assert (training.learning_rate, algorithm.num_generations, algorithm.beta, algorithm.loss_type) == (1e-6, 8, beta, "grpo")
    assert (config.generation.temperature, config.generation.max_completion_length) == (1.0, max_tokens)
    assert [(term.name, term.weight, term.params) for term in config.rewards] == [
        ("accuracy", 0.9, {}),
        ("format", 0.1, {"preset": "synergy"}),
    ]
    assert config.data.instruction == THINK


def test_progressive_of_synergy_hints_unsolved_questions_with_ever_shorter_prefixes() -> None:
    # Section 4.3: questions of pass rate 0 alone, the whole trace to nothing, 0.2 on prefix tokens; 8 answers measure the rates.
    config = combined("synergy/progressive")
    assert config.rl is not None
    assert config.pass_rates is not None
    guidance = config.rl.guidance
    assert guidance is not None
    assert (guidance.gate.questions, guidance.gate.pass_rate, guidance.pass_rate.source) == ("at_most", 0.0, "table")
    assert [(loss.role, loss.loss, loss.weight) for loss in guidance.losses] == [
        ("generated", "policy", 1.0),
        ("hint", "cross_entropy", 0.2),
    ]
    assert config.pass_rates.num_samples == 8


def test_mixing_and_merging_of_synergy_are_the_study_s() -> None:
    # Section 4.4: 8 answers of the RL model, long ones where it fails, SFT for 2 epochs; 4.5: three methods, five ratios.
    mixed, merged = combined("synergy/data_mix"), combined("synergy/merge")
    assert mixed.data_mix.training is not None
    assert (mixed.data_mix.num_samples, mixed.data_mix.long_cot_per_question, mixed.data_mix.start) == (8, "all", "base")
    assert (mixed.data_mix.training.num_train_epochs, mixed.data_mix.training.learning_rate) == (2, 1e-5)
    assert merged.merge.methods == ["linear", "ties", "slerp"]
    assert merged.merge.ratios == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert combined("synergy/two_stage").two_stage.start == [4 * 1063], "the fourth epoch's checkpoint"


def combined(name: str) -> CombineConfig:
    """A recipe of a combination with its defaults and presets."""
    config = load("combine", shipped()[name]).config
    assert isinstance(config, CombineConfig)
    return config


def resolved(name: str) -> RlConfig:
    """A recipe of RL with its defaults and its preset."""
    config = load("rl", shipped()[name]).config
    assert isinstance(config, RlConfig)
    return config


def dry_run_of(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A study's script asked what it would do."""
    command = [str(ROOT / "scripts" / "reproduce" / script), *arguments, "--dry-run"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable}, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "task", "iterations"), [("nano", "gp_vl", (3,)), ("study", "gp_l", (1, 3, 5, 10)), ("study", "virl_l", (2,))]
)
def test_script_of_the_first_study_goes_from_sft_to_rl_to_a_table(size: str, task: str, iterations: tuple[int, ...]) -> None:
    done = dry_run_of("memorize_generalize.sh", "--size", size, "--task", task)
    assert done.returncode == 0, done.stderr
    runs = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("run ")]
    assert [Path(run).name for run in runs] == ["sft", *(f"ppo-v{number}" for number in iterations)]
    assert done.stdout.splitlines()[-1].startswith("+ ")
    assert "shift_table.py" in done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_script_of_the_jigsaws_trains_each_and_measures_it() -> None:
    done = dry_run_of("jigsaw.sh", "--size", "nano")
    assert done.returncode == 0, done.stderr
    runs = [Path(line.split()[1]).name for line in done.stdout.splitlines() if line.startswith("run ")]
    assert runs == ["image-sft", "image", "video-sft", "video", "depth-sft", "depth"]
    assert sum("shift_table.py" in line for line in done.stdout.splitlines()) == 3


@pytest.mark.slow
def test_script_of_long_cot_rewards_trains_each_recipe_and_compares_them_with_the_start() -> None:
    done = dry_run_of("long_cot_rewards.sh", "--size", "study", "--recipe", "cosine", "--recipe", "reinforce_plus_plus", "--model", "nano")
    assert done.returncode == 0, done.stderr
    runs = [Path(line.split()[1]).name for line in done.stdout.splitlines() if line.startswith("run ")]
    assert runs == ["cosine", "reinforce_plus_plus"]
    assert "--model start=nano --model cosine=" in done.stdout.splitlines()[-1]
    unknown = dry_run_of("long_cot_rewards.sh", "--recipe", "cosinus")
    assert unknown.returncode == 2
    assert "has no cosinus.yaml; there are: base_model classic context_16k" in unknown.stderr


@pytest.mark.slow
def test_script_of_synergy_trains_combines_and_measures_by_levels_of_other_answers() -> None:
    done = dry_run_of("synergy.sh", "--size", "nano")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    runs = [Path(line.split()[1]).name for line in lines if line.startswith("run ")]
    assert runs == [
        *("sft_s1", "sft_s1_1", "sft_eureka", "rl", "rl_no_kl", "rl_without_easiest"),
        *("two_stage", "interleaved", "interleaved_sft_on_all", "progressive", "data_mix", "merge"),
    ]
    asked = [line for line in lines if line.startswith("+ ") and " eval " in line]
    assert sum("--num-samples 16 --seed 0" in line for line in asked) == 1
    assert sum("--num-samples 4 --seed 1" in line for line in asked) == 13
    assert "strategy_table.py --levels" in lines[-1]
    unknown = dry_run_of("synergy.sh", "--part", "sfft")
    assert unknown.returncode == 2
    assert "--part: sft, curate, rl, combine, levels or measure, got sfft" in unknown.stderr


@pytest.mark.slow
def test_script_of_synergy_asks_the_study_s_benchmarks_as_the_study() -> None:
    done = dry_run_of("synergy.sh", "--size", "study", "--part", "levels", "--part", "measure")
    assert done.returncode == 0, done.stderr
    asked = [line for line in done.stdout.splitlines() if line.startswith("+ ") and " eval " in line]
    assert len(asked) == 5 + 5 * 13
    for line in asked:
        assert "--temperature 0.6 --top-p 0.95 --top-k 20 --max-completion-length 24576" in line
        of_base = " eval Qwen/Qwen2.5-VL-7B-Instruct " in line
        assert ("--instruction" in line) != of_base, "the base is asked with the benchmark's own prompt"
    assert sum("--data JierunChen/MMStar_with_difficulty_level" in line for line in asked) == 14


@pytest.mark.slow
def test_script_names_what_it_does_not_know() -> None:
    done = dry_run_of("memorize_generalize.sh", "--size", "huge")
    assert done.returncode == 2
    assert "nano or study, got huge" in done.stderr


@pytest.mark.train
def test_a_small_twin_trains(tmp_path: Path) -> None:
    recipe = shipped()["memorize_generalize/nano/gp_l_sft"]
    assert run("sft", str(recipe), "--run-dir", str(tmp_path / "run"), "--set", "training.max_steps=2") == 0
    assert (tmp_path / "run" / "final" / "config.json").is_file()
