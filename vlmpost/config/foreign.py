"""Where a key of another tool, or of another place, belongs in a recipe: words for error messages, never aliases.

Names come from TRL / transformers, LLaMA-Factory, ms-swift, EasyR1, verl and axolotl.
"""

from __future__ import annotations

from typing import Final

FOREIGN: Final[dict[str, str]] = {
    # model
    "model_name_or_path": "model.path",
    "model_path": "model.path",
    "model_id": "model.path",
    "base_model": "model.path",
    "model_revision": "model.revision",
    "torch_dtype": "model.dtype",
    "bf16": "model.dtype",
    "fp16": "model.dtype",
    "pure_bf16": "model.dtype",
    "use_cpu": "model.device",
    "no_cuda": "model.device",
    "flash_attn": "model.attn_implementation",
    "attn_impl": "model.attn_implementation",
    "use_flash_attention_2": "model.attn_implementation",
    "max_pixels": "model.image_max_pixels",
    "MAX_PIXELS": "model.image_max_pixels",
    "min_pixels": "model.image_min_pixels",
    "MIN_PIXELS": "model.image_min_pixels",
    "freeze_vit": "model.freeze_vision_tower",
    "freeze_vision_modules": "model.freeze_vision_tower",
    "freeze_aligner": "model.freeze_multi_modal_projector",
    "freeze_projector": "model.freeze_multi_modal_projector",
    "finetuning_type": "model.use_peft",
    "tuner_type": "model.use_peft",
    "train_type": "model.use_peft",
    "sft_type": "model.use_peft",
    "use_lora": "model.use_peft",
    "adapter": "model.use_peft",
    "lora_rank": "model.lora_r",
    "lora_target": "model.lora_target_modules",
    "target_modules": "model.lora_target_modules",
    "quantization_bit": "model.load_in_4bit",
    "quant_bits": "model.load_in_4bit",
    # data
    "dataset": "data.train",
    "datasets": "data.train",
    "dataset_name": "data.train.0.path",
    "dataset_dir": "data.train.0.path",
    "train_files": "data.train",
    "train_dataset": "data.train",
    "val_dataset": "data.eval",
    "val_files": "data.eval",
    "eval_dataset": "data.eval",
    "media_dir": "data.train.0.image_root",
    "image_dir": "data.train.0.image_root",
    "image_folder": "data.train.0.image_root",
    "max_samples": "data.train.0.num_examples",
    "max_train_samples": "data.train.0.num_examples",
    "dataset_train_split": "data.train.0.split",
    "system": "data.instruction",
    "system_prompt": "data.instruction",
    "format_prompt": "data.instruction",
    "cutoff_len": "data.max_length",
    "max_seq_length": "data.max_length",
    "max_seq_len": "data.max_length",
    "sequence_len": "data.max_length",
    "model_max_length": "data.max_length",
    "max_prompt_len": "data.max_prompt_length",
    "max_drop_fraction": "data.max_drop_share",
    "dataloader_num_workers": "data.num_workers",
    # rewards
    "reward_funcs": "rewards",
    "reward_function": "rewards",
    "reward_functions": "rewards",
    "reward_fn": "rewards",
    "reward_weights": "rewards.0.weight",
    "custom_reward_function": "rewards",
    # algorithm
    "rlhf_type": "algorithm.kind",
    "adv_estimator": "algorithm.kind",
    "advantage_estimator": "algorithm.kind",
    "n": "algorithm.num_generations",
    "n_samples": "algorithm.num_generations",
    "n_samples_per_prompt": "algorithm.num_generations",
    "group_size": "algorithm.num_generations",
    "rollout_n": "algorithm.num_generations",
    "kl_coef": "algorithm.beta",
    "kl_loss_coef": "algorithm.beta",
    "init_kl_coef": "algorithm.beta",
    "clip_ratio": "algorithm.epsilon",
    "cliprange": "algorithm.epsilon",
    "clip_ratio_low": "algorithm.epsilon",
    "clip_ratio_high": "algorithm.epsilon_high",
    "ppo_epochs": "algorithm.num_iterations",
    "loss_agg_mode": "algorithm.loss_type",
    "overlong_filter": "algorithm.mask_truncated_completions",
    # generation
    "max_response_length": "generation.max_completion_length",
    "max_new_tokens": "generation.max_completion_length",
    "max_tokens": "generation.max_completion_length",
    "response_length": "generation.max_completion_length",
    # training
    "lr": "training.learning_rate",
    "lr_scheduler": "training.lr_scheduler_type",
    "warmup_ratio": "training.warmup_share",
    "warmup_steps": "training.warmup_share",
    "num_epochs": "training.num_train_epochs",
    "epochs": "training.num_train_epochs",
    "total_epochs": "training.num_train_epochs",
    "num_train_steps": "training.max_steps",
    "total_training_steps": "training.max_steps",
    "total_steps": "training.max_steps",
    "train_batch_size": "training.prompts_per_step",
    "rollout_batch_size": "training.prompts_per_step",
    "global_batch_size": "training.prompts_per_step",
    "generation_batch_size": "training.prompts_per_step",
    "gradient_accumulation_steps": "training.prompts_per_step",
    "steps_per_generation": "training.num_mini_batches",
    "ppo_mini_batch_size": "training.num_mini_batches",
    "micro_batch_size": "training.per_device_train_batch_size",
    "batch_size": "training.per_device_train_batch_size",
    "micro_batch_size_per_device_for_update": "training.per_device_train_batch_size",
    "ppo_micro_batch_size_per_gpu": "training.per_device_train_batch_size",
    "grad_clip": "training.max_grad_norm",
    "enable_gradient_checkpointing": "training.gradient_checkpointing",
    "optimizer": "training.optim",
    # checkpoints and logging
    "save_freq": "checkpoints.save_steps",
    "save_interval": "checkpoints.save_steps",
    "save_limit": "checkpoints.save_total_limit",
    "max_ckpt_to_keep": "checkpoints.save_total_limit",
    "report": "logging.report_to",
    "logger": "logging.report_to",
    "log_freq": "logging.logging_steps",
}
"""Another tool's name to our key in an RL recipe."""

SFT_INSTEAD: Final[dict[str, str]] = {
    "training.prompts_per_step": "training.examples_per_step",
    "generation.max_completion_length": "data.max_length",
    "training.num_mini_batches": "training.examples_per_step",
}
"""Where an SFT recipe has another key for the same thing."""

FOREIGN_SECTIONS: Final[dict[str, str]] = {
    "worker": "EasyR1",
    "trainer": "EasyR1 and verl",
    "actor_rollout_ref": "verl",
    "critic": "verl",
    "reward_model": "verl",
    "rollout": "verl",
    "actor": "verl",
}
"""Whole sections of other tools."""

COMMAND_LINE: Final[dict[str, str]] = {
    "output_dir": "--run-dir FOLDER",
    "run_name": "--run-name NAME",
    "experiment_name": "--run-name NAME",
    "resume_from_checkpoint": "--resume",
    "overwrite_output_dir": "another --run-name (a run folder is never overwritten)",
}
"""Names that are flags here."""

NOT_HERE: Final[dict[str, str]] = {
    "template": "the processor's own chat template is always used; leave it out",
    "chat_template": "the processor's own chat template is always used; leave it out",
    "template_type": "the processor's own chat template is always used; leave it out",
    "trust_remote_code": "code inside a model folder is never run; leave it out",
    "stage": "the command says it: vlmpost sft or vlmpost rl",
    "do_train": "the command says it: vlmpost sft or vlmpost rl",
    "truncation_strategy": "nothing is ever cut; longer rows are dropped and counted, up to data.max_drop_share",
    "packing": "rows with images cannot be packed; leave it out",
    "completion_only_loss": "only the solution carries loss, always; leave it out",
    "train_on_prompt": "only the solution carries loss, always; leave it out",
}
"""Names of things that have no key, and why."""
