"""Which arguments the `trl:` block of a recipe may hold, known without importing TRL.

The names are the dataclass fields of TRL 1.16 with transformers 5.23; `tests/config/test_trl_keys.py` compares them with
the installed packages. An argument that vlmpost sets itself is refused with the key to use.
"""

from __future__ import annotations

from typing import Final

SHARED_FIELDS: Final = frozenset(
    """
    accelerator_config activation_checkpointing activation_checkpointing_kwargs adam_beta1 adam_beta2 adam_epsilon
    auto_find_batch_size average_tokens_across_devices batch_eval_metrics bf16 bf16_full_eval data_seed dataloader_drop_last
    dataloader_in_order dataloader_multiprocessing_context dataloader_num_workers dataloader_persistent_workers
    dataloader_pin_memory dataloader_prefetch_factor ddp_backend ddp_broadcast_buffers ddp_bucket_cap_mb
    ddp_find_unused_parameters ddp_static_graph ddp_timeout debug deepspeed disable_tqdm do_eval do_predict do_train
    enable_jit_checkpoint eval_accumulation_steps eval_delay eval_do_concat_batches eval_on_start eval_steps eval_strategy
    eval_use_gather_object fp16 fp16_full_eval fsdp fsdp_config full_determinism gradient_accumulation_steps
    gradient_checkpointing gradient_checkpointing_kwargs greater_is_better hub_always_push hub_model_id hub_private_repo
    hub_revision hub_strategy hub_token ignore_data_skip include_for_metrics include_num_input_tokens_seen label_names
    label_smoothing_factor learning_rate length_column_name liger_kernel_config load_best_model_at_end local_rank log_level
    log_level_replica log_on_each_node logging_first_step logging_nan_inf_filter logging_steps logging_strategy loss_type
    lr_scheduler_kwargs lr_scheduler_type max_grad_norm max_steps metric_for_best_model model_init_kwargs neftune_noise_alpha
    num_train_epochs optim optim_args optim_target_modules output_dir pad_to_multiple_of parallelism_config
    per_device_eval_batch_size per_device_train_batch_size prediction_loss_only project push_to_hub remove_unused_columns
    report_to restore_callback_states_from_checkpoint resume_from_checkpoint router_aux_loss_coef run_name save_on_each_node
    save_only_model save_steps save_strategy save_total_limit seed shuffle_dataset skip_memory_metrics tf32 torch_compile
    torch_compile_backend torch_compile_mode torch_empty_cache_steps trackio_bucket_id trackio_space_id trackio_static_space_id
    train_sampling_strategy trust_remote_code use_cache use_cpu use_liger_kernel warmup_steps weight_decay
    """.split()
)
"""Arguments of both SFTConfig and GRPOConfig."""

SFT_FIELDS: Final = frozenset(
    """
    activation_offloading assistant_only_loss chat_template_path completion_only_loss dataset_kwargs dataset_num_proc
    dataset_text_field eos_token eval_packing max_length packing packing_strategy pad_token padding_free truncation_mode
    """.split()
)
"""Arguments of SFTConfig only."""

RL_FIELDS: Final = frozenset(
    """
    beta cache_implementation cast_lm_head_to_fp32 chat_template_kwargs delta disable_dropout ds3_gather_for_generation
    entropy_coef entropy_coef_delta entropy_coef_max entropy_coef_min entropy_target epsilon epsilon_high generation_batch_size
    generation_kwargs importance_sampling_level log_completions log_completions_hub_repo log_multimodal log_unique_prompts
    mask_truncated_completions max_completion_length max_tool_calling_iterations min_p multi_objective_aggregation
    num_completions_to_print num_generations num_generations_eval num_iterations off_policy_mask_threshold ref_model_mixup_alpha
    ref_model_sync_steps repetition_penalty reward_weights sapo_temperature_neg sapo_temperature_pos scale_rewards
    steps_per_generation sync_ref_model temperature top_entropy_quantile top_k top_p transformers_continuous_batching_config
    use_adaptive_entropy use_bias_correction_kl use_transformers_continuous_batching use_transformers_paged use_vllm vespo_k_neg
    vespo_k_pos vespo_lambda_neg vespo_lambda_pos vllm_enable_sleep_mode vllm_gpu_memory_utilization vllm_group_port
    vllm_importance_sampling_cap vllm_importance_sampling_clip_max vllm_importance_sampling_clip_min
    vllm_importance_sampling_correction vllm_importance_sampling_mode vllm_max_model_length vllm_mode vllm_model_impl
    vllm_server_base_url vllm_server_host vllm_server_port vllm_server_timeout vllm_structured_outputs_regex
    vllm_tensor_parallel_size
    """.split()
)
"""Arguments of GRPOConfig only."""


OWNED: Final[dict[str, str]] = {
    "accelerator_config": "there is nothing to choose",
    "auto_find_batch_size": "use `training.per_device_train_batch_size`",
    "bf16": "use `model.dtype`",
    "bf16_full_eval": "use `model.dtype`",
    "cache_implementation": "vlmpost's own decoder keeps the cache",
    "cast_lm_head_to_fp32": "TRL does not find the head of a vision-language model",
    "chat_template_kwargs": "the processor's own chat template is used as it is",
    "chat_template_path": "the processor's own chat template is always used",
    "completion_only_loss": "only the solution carries loss, always",
    "data_seed": "use `training.seed`",
    "dataloader_drop_last": "there is nothing to choose",
    "dataloader_num_workers": "use `data.num_workers`",
    "dataloader_pin_memory": "there is nothing to choose",
    "dataset_kwargs": "there is nothing to choose",
    "dataset_num_proc": "use `data.num_workers`",
    "dataset_text_field": "use `data.train.0.columns`",
    "disable_tqdm": "vlmpost shows its own progress",
    "do_eval": "use `data.eval`",
    "do_predict": "use `vlmpost eval`",
    "do_train": "the command says it",
    "eos_token": "the processor's own is always used",
    "eval_on_start": "use `vlmpost eval`",
    "eval_packing": "rows with images cannot be packed",
    "eval_steps": "use `data.eval`",
    "eval_strategy": "use `data.eval`",
    "fp16": "use `model.dtype`",
    "fp16_full_eval": "use `model.dtype`",
    "generation_batch_size": "use `training.prompts_per_step`",
    "generation_kwargs": "use `generation`",
    "gradient_accumulation_steps": "it follows from `training.{per_step}`",
    "hub_token": "a recipe is copied into the run folder: keep secrets in the environment (HF_TOKEN)",
    "ignore_data_skip": "a resumed run always goes on where it stopped",
    "load_best_model_at_end": "every checkpoint is kept as it is; choose with `vlmpost eval`",
    "log_completions": "use `logging.rollout_steps`",
    "log_completions_hub_repo": "use `logging.rollout_steps`",
    "log_level": "there is nothing to choose",
    "log_level_replica": "there is nothing to choose",
    "log_multimodal": "use `logging.rollout_steps`",
    "log_unique_prompts": "use `logging.rollout_steps`",
    "logging_nan_inf_filter": "there is nothing to choose",
    "logging_strategy": "use `logging.logging_steps`",
    "max_length": "use `data.max_length`",
    "max_tool_calling_iterations": "use `episode.verify_iterations`",
    "model_init_kwargs": "use `model`",
    "num_generations_eval": "use `vlmpost eval`",
    "num_completions_to_print": "use `logging.num_logged_rollouts`",
    "output_dir": "use --run-dir",
    "packing": "rows with images cannot be packed",
    "packing_strategy": "rows with images cannot be packed",
    "pad_token": "the processor's own is always used",
    "padding_free": "rows with images cannot be packed",
    "per_device_eval_batch_size": "use `training.per_device_train_batch_size`",
    "prediction_loss_only": "there is nothing to choose",
    "remove_unused_columns": "there is nothing to choose",
    "resume_from_checkpoint": "use --resume",
    "restore_callback_states_from_checkpoint": "use --resume",
    "reward_weights": "use `rewards.0.weight`",
    "run_name": "use --run-name",
    "save_only_model": "a checkpoint always holds what a resume needs",
    "save_strategy": "use `checkpoints.save_steps`",
    "shuffle_dataset": "rows are always shuffled by `training.seed`",
    "steps_per_generation": "it follows from `training.prompts_per_step` and `training.num_mini_batches`",
    "truncation_mode": "nothing is ever cut",
    "trust_remote_code": "code inside a model folder is never run",
    "use_cpu": "use `model.device`",
    "use_transformers_paged": "it does not work with images",
    "use_transformers_continuous_batching": "it does not work with images",
    "transformers_continuous_batching_config": "it does not work with images",
    "warmup_steps": "use `training.warmup_share`",
}
"""Arguments that vlmpost sets itself or refuses, beside those that are keys of its own, and what to do instead."""

OWNED_IN_RL: Final[dict[str, str]] = {
    "label_smoothing_factor": "has no effect in RL; sampled tokens are no labels",
    "neftune_noise_alpha": "not for RL: completions are sampled without the noise that the update would read",
    "pad_to_multiple_of": "has no effect in RL; completions are read without padding where the model can",
    "use_liger_kernel": "has no effect in RL; the losses are vlmpost's own, over TRL's fused head",
}
"""Arguments of both that only SFT has a use for: why RL refuses them."""
