"""From a recipe to TRL's own configuration objects: every default of TRL that would surprise is set here.

TRL cuts at 1024 tokens, trains in bfloat16 and gathers images for its log unless told otherwise; we tell it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig, SFTConfig

from vlmpost.config.batch import BatchPlan
from vlmpost.config.schema import OWN_KEYS, DataConfig, LoggingConfig, RlConfig, SftConfig, TrainingConfig
from vlmpost.errors import ConfigError, MissingError
from vlmpost.training.rollouts.vllm_install import check_installed, check_recipe
from vlmpost.training.seams import PolicyArguments

_QUIET = {"log_level": "error", "log_level_replica": "error"}
"""What a `trl` block may still change: transformers' own log."""

Arguments = dict[str, Any]  # Any: the values of TRL's dataclasses


def sft_arguments(config: SftConfig, *, plan: BatchPlan, device: str, dtype: torch.dtype, output_dir: Path, save_steps: int) -> SFTConfig:
    """TRL's configuration for SFT.

    Raises:
        ConfigError: The `trl` block sets what vlmpost sets, or something TRL refuses.
        MissingError: A tracker of logging.report_to is not installed.
    """
    own = _shared(config.training, config.data, config.logging, plan=plan, device=device, dtype=dtype)
    own |= {"output_dir": str(output_dir), "save_steps": save_steps, "max_length": None, "completion_only_loss": True}
    return _build(SFTConfig, own, passed=config.trl)


def grpo_arguments(
    config: RlConfig,
    *,
    plan: BatchPlan,
    device: str,
    dtype: torch.dtype,
    output_dir: Path,
    save_steps: int,
    weights: Sequence[float],
    suppress_tokens: Sequence[int],
) -> GRPOConfig:
    """TRL's configuration for GRPO.

    Args:
        weights: Of the reward terms, in order.
        suppress_tokens: Never sampled: vision placeholders would not match the images.

    Raises:
        ConfigError: The `trl` block sets what vlmpost sets, or something TRL refuses.
        MissingError: A tracker of logging.report_to is not installed, or vLLM, or one that fits.
    """
    if config.trl.get("use_vllm"):
        check_recipe(config.trl, config.generation)
        check_installed()
    algorithm, generation = config.algorithm, config.generation
    own = _shared(config.training, config.data, config.logging, plan=plan, device=device, dtype=dtype)
    own |= {"output_dir": str(output_dir), "save_steps": save_steps}
    own |= algorithm.model_dump(exclude=set(OWN_KEYS))
    if algorithm.importance_sampling_level == "reply":
        own["importance_sampling_level"] = "sequence"  # the loss is ours; TRL only looks at the word
    own |= generation.model_dump(exclude={"seeding", "max_concurrent"})
    own |= {
        "per_device_train_batch_size": plan.per_device_train_batch_size * plan.gradient_accumulation_steps,
        "gradient_accumulation_steps": 1,  # an optimizer step is one training_step, which cuts it into forward passes by itself
        "steps_per_generation": plan.num_mini_batches,
        "reward_weights": list(weights),
        "generation_kwargs": {"suppress_tokens": list(suppress_tokens)},
        "shuffle_dataset": True,
        "log_completions": False,
        "log_multimodal": False,
    }
    return _build(PolicyArguments, own, passed=config.trl)


def _check_trackers(names: Sequence[str]) -> None:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingError(
            f"logging.report_to: {', '.join(missing)} is not installed. Install it with `pip install 'vlmpost[tracking]'`, or leave it out."
        )


def _shared(
    training: TrainingConfig, data: DataConfig, logging: LoggingConfig, *, plan: BatchPlan, device: str, dtype: torch.dtype
) -> Arguments:
    _check_trackers(logging.report_to)
    on_cpu = device == "cpu"
    return {
        "per_device_train_batch_size": plan.per_device_train_batch_size,
        "gradient_accumulation_steps": plan.gradient_accumulation_steps,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.lr_scheduler_type,
        "warmup_steps": training.warmup_share,
        "weight_decay": training.weight_decay,
        "adam_beta1": training.adam_beta1,
        "adam_beta2": training.adam_beta2,
        "max_grad_norm": training.max_grad_norm,
        "num_train_epochs": training.num_train_epochs,
        "max_steps": training.max_steps or -1,
        "gradient_checkpointing": training.gradient_checkpointing,
        "seed": training.seed,
        "data_seed": training.seed,
        "optim": training.optim,
        "bf16": dtype == torch.bfloat16,
        "fp16": dtype == torch.float16,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "dataloader_num_workers": data.num_workers,
        "remove_unused_columns": False,
        "save_strategy": "steps",
        "save_total_limit": None,
        "logging_strategy": "steps",
        "logging_steps": logging.logging_steps,
        "logging_nan_inf_filter": False,
        "report_to": list(logging.report_to) or "none",
        "disable_tqdm": True,
    }


def _build(kind: type[Any], own: Arguments, *, passed: dict[str, Any]) -> Any:  # Any: SFTConfig or GRPOConfig
    taken = sorted(set(own) & set(passed))
    if taken:
        raise ConfigError(f"trl: vlmpost sets {', '.join(taken)} itself; use the recipe's own key (`vlmpost config` lists them).")
    try:
        return kind(**_QUIET | own | passed)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"trl: {kind.__name__} refuses these arguments: {str(error).splitlines()[0]}") from None
