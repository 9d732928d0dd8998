from __future__ import annotations

import pytest
import torch

from vlmpost.config.batch import plan_rl, plan_sft
from vlmpost.config.schema import OWN_KEYS
from vlmpost.errors import ConfigError, MissingError
from vlmpost.training.arguments import grpo_arguments, sft_arguments

CPU = {"device": "cpu", "dtype": torch.float32, "save_steps": 4}


def _sft(config, tmp_path):
    return sft_arguments(config, plan=plan_sft(config.training, world_size=1), output_dir=tmp_path, **CPU)


def _rl(config, tmp_path):
    plan = plan_rl(config.training, config.algorithm, world_size=1)
    return grpo_arguments(config, plan=plan, output_dir=tmp_path, weights=(1.0, 0.5), suppress_tokens=(3, 4), **CPU)


def test_trls_surprising_defaults_are_undone(sft_recipe, tmp_path):
    args = _sft(sft_recipe("nano"), tmp_path)
    assert args.max_length is None
    assert args.completion_only_loss is True
    assert args.bf16 is False and args.use_cpu is True
    assert args.gradient_checkpointing is False
    assert args.remove_unused_columns is False
    assert args.logging_nan_inf_filter is False
    assert args.report_to == []
    assert (args.per_device_train_batch_size, args.gradient_accumulation_steps) == (2, 2)


def test_every_key_of_algorithm_and_generation_reaches_trl(rl_recipe, tmp_path):
    config = rl_recipe(
        "nano",
        algorithm__loss_type="dr_grpo",
        algorithm__epsilon_high=0.28,
        algorithm__delta=4.0,
        algorithm__num_iterations=3,
        algorithm__importance_sampling_level="sequence",
        algorithm__scale_rewards="none",
        algorithm__multi_objective_aggregation="normalize_then_sum",
        algorithm__mask_truncated_completions=True,
        algorithm__top_entropy_quantile=0.2,
        generation__temperature=0.7,
        generation__top_p=0.9,
        generation__top_k=20,
        generation__min_p=0.05,
        generation__repetition_penalty=1.1,
    )
    args = _rl(config, tmp_path)
    named = config.algorithm.model_dump(exclude=set(OWN_KEYS)) | config.generation.model_dump(exclude={"seeding", "max_concurrent"})
    assert len(named) == 18
    for key, value in named.items():
        assert getattr(args, key) == value, key
    assert args.reward_weights == [1.0, 0.5]
    assert args.generation_kwargs == {"suppress_tokens": [3, 4]}
    assert args.log_multimodal is False
    assert (args.steps_per_generation, args.gradient_accumulation_steps) == (2, 1)


def test_the_trl_block_passes_on_what_is_not_ours(sft_recipe, tmp_path):
    assert _sft(sft_recipe("nano", trl={"neftune_noise_alpha": 5.0}), tmp_path).neftune_noise_alpha == 5.0


def test_a_key_that_is_ours_is_refused_in_the_trl_block(sft_recipe, tmp_path):
    with pytest.raises(ConfigError, match="vlmpost sets max_length, seed itself"):
        _sft(sft_recipe("nano", trl={"seed": 1, "max_length": 5}), tmp_path)


def test_what_trl_refuses_is_said_in_one_sentence(sft_recipe, tmp_path):
    with pytest.raises(ConfigError, match=r"SFTConfig refuses these arguments: .*no_such_key"):
        _sft(sft_recipe("nano", trl={"no_such_key": 1}), tmp_path)


def test_vllm_that_is_not_installed_is_named(rl_recipe, tmp_path):
    with pytest.raises(MissingError, match=r"trl\.use_vllm: vLLM is not installed.*vlmpost\[vllm\]"):
        _rl(rl_recipe("nano", trl={"use_vllm": True}), tmp_path)


def test_a_tracker_that_is_not_installed_is_named(sft_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"logging.report_to: wandb is not installed.*vlmpost\[tracking\]"):
        _sft(sft_recipe("nano", logging__report_to=["wandb"]), tmp_path)
