"""Every private part of TRL, transformers and accelerate that vlmpost leans on, in one place.

Two halves: small functions that mend or steer private behaviour, and `SEAMS`, a table of what the trainers override or read.
`tests/training/test_seams.py` checks the table against the installed packages and fails when one of them changes. Public API is
used where it is needed and is not listed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from peft import PeftModel, get_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel, Trainer
from trl import GRPOConfig, GRPOTrainer
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.utils import use_adapter

from vlmpost.errors import ConfigError, RunError
from vlmpost.models.seam import Seam

logger = logging.getLogger(__name__)


REFERENCE_ADAPTER = "ref"
"""TRL's name of the frozen copy of an adapter that the KL term compares with."""

_GRPO = "trl.trainer.grpo_trainer:GRPOTrainer."
_VLLM = "trl.generation.vllm_generation:VLLMGeneration."
_CLIENT = "trl.generation.vllm_client:VLLMClient."
_SFT = "trl.trainer.sft_trainer:SFTTrainer."
_TRAINER = "transformers.trainer:Trainer."

SEAMS: tuple[Seam, ...] = (
    Seam(
        _GRPO + "_prepare_inputs",
        ("self", "generation_batch"),
        (
            "generate_every = self.args.steps_per_generation * self.num_iterations",
            "if self._step % generate_every == 0 or self._buffered_inputs is None:",
            "inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]",
        ),
        "replaced: rollouts are made from our own parts; its counting of steps and its buffer are kept",
    ),
    Seam(
        _GRPO + "training_step",
        ("self", "model", "inputs", "num_items_in_batch"),
        ("output = super().training_step(model, inputs, num_items_in_batch)", "self._step += 1"),
        "counts the passes that _prepare_inputs goes by; ours runs around it",
    ),
    Seam(
        _GRPO + "compute_loss",
        ("self", "model", "inputs", "return_outputs", "num_items_in_batch"),
        ("return self._compute_loss(model, inputs)",),
        "replaced: the loss of a whole optimizer step, made of our own parts",
    ),
    Seam(
        _TRAINER + "training_step",
        ("self", "model", "inputs", "num_items_in_batch"),
        (
            "inputs = self._prepare_inputs(inputs)",
            "loss = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)",
            "self.accelerator.backward(loss, **kwargs)",
        ),
        "the forward passes before the last one go backward inside compute_loss, the last one here",
    ),
    Seam(
        "trl.models.utils:unwrap_model_for_generation",
        ("model", "accelerator", "gather_deepspeed3_params", "generation_kwargs", "gradient_checkpointing_kwargs"),
        ("yield unwrapped_model",),
        "the policy as it can generate, whatever shards it",
    ),
    Seam(
        "trl.trainer.utils:use_adapter",
        ("model", "adapter_name"),
        ("with model.disable_adapter():", "model.set_adapter(previous_adapter)"),
        "the reference of an adapter is the model without it, or its frozen copy",
    ),
    Seam(
        "trl.trainer.grpo_config:GRPOConfig.__post_init__",
        ("self",),
        ("if self.generation_batch_size % self.num_generations != 0:", "if self.num_generations < 2:"),
        "refuses one completion per prompt, which a critic or returns alone can do with",
    ),
    Seam(
        _VLLM + "generate",
        ("self", "prompts", "images", "num_generations", "profiler"),
        (
            "ordered_set_of_prompt_ids = all_prompts[::num_generations]",
            "features = self.vllm_client.image_features(all_images[::num_generations])",
            "accelerator.process_index * len(prompts), (accelerator.process_index + 1) * len(prompts),",
            '"n": 1,  # vLLM on each GPU generates only 1 in colocate mode',
            "generation_kwargs.update(self.generation_kwargs)",
            'row["multi_modal_data"] = {"image": img_list if len(img_list) > 1 else img_list[0]}',
            "all_prompt_ids = [output.prompt_token_ids for output in all_outputs]",
            'if self.mode == "colocate" and self.enable_sleep_mode and self._llm_weights_sleeping: self.sync_weights()',
            "return prompt_ids, completion_ids, logprobs, logprob_token_ids",
        ),
        "vLLM expands prompts in colocate mode and a server does not, so each gets another form; answers are cut into parts of one "
        "length, so processes send equally many requests",
        "trl#6294; drop the two forms when PR 6718 is released",
    ),
    Seam(
        _VLLM + "_place_features",
        ("self", "features", "prompt_ids"),
        (
            'expected = len(features["mm_placeholders"]["image"])',
            'return {**features, "mm_placeholders": {**features["mm_placeholders"], "image": placeholders}}',
        ),
        "wrapped while a server samples: the number of tokens that it counts for each image is compared with the run in the prompt",
        "trl#6294; vllm#51472 would give back the ids that were read",
    ),
    Seam(
        _VLLM + "sync_weights",
        ("self",),
        ("for name, param in self._iter_named_params():", "self.llm.reset_prefix_cache()"),
        "called once for each optimizer step; sends every parameter of the model, so a value head has to be off it",
    ),
    Seam(
        "trl.generation.vllm_generation:extract_logprobs",
        ("all_outputs",),
        ("None if math.isnan(item.logprob) else item.logprob",),
        "a log-probability that vLLM does not know comes as None",
    ),
    Seam(
        _CLIENT + "_generate_from_features",
        ("self", "prompts", "features", "sampling_params", "max_concurrent_requests"),
        ('"prompt_ids": list(prompts),',),
        "a server gives back the ids that it got, so equal ids show nothing in that mode",
        "vllm#51472",
    ),
    Seam(
        "accelerate.accelerator:Accelerator.no_sync",
        ("self", "model"),
        ("model.set_requires_gradient_sync(False)", 'context = getattr(model, "no_sync", context)'),
        "all forward passes of an optimizer step but the last keep their gradients to themselves",
    ),
    Seam(
        "accelerate.accelerator:Accelerator.backward",
        ("self", "loss", "kwargs"),
        ("self.deepspeed_engine_wrapped.backward(loss, sync_gradients=self.sync_gradients, **kwargs)",),
        "DeepSpeed steps inside backward unless sync_gradients is off",
    ),
    Seam(
        _GRPO + "_get_train_sampler",
        ("self", "dataset"),
        ("return RepeatSampler(",),
        "its order restarts on resume; ours follows the epoch",
    ),
    Seam(
        _GRPO + "log",
        ("self", "logs", "start_time"),
        ("valid = [v for v in val if not math.isnan(v)]", "self._metrics[mode].clear()"),
        "our figures ride in self._metrics",
    ),
    Seam(
        _SFT + "log",
        ("self", "logs", "start_time"),
        ("self._metrics[mode].clear()",),
        "its pending figures are saved with a checkpoint",
    ),
    Seam(
        _SFT + "compute_loss",
        ("self", "model", "inputs", "return_outputs", "num_items_in_batch"),
        (
            "self._total_train_tokens += num_tokens_in_batch",
            "num_tokens = outputs.label_mask.sum() if num_items_in_batch is None else num_items_in_batch",
            "loss = loss * (self.accelerator.num_processes // self.get_tp_size())",
        ),
        "the token counter is saved with a checkpoint; the loss is normalised by the tokens of all processes",
    ),
    Seam(
        _TRAINER + "_get_num_items_in_batch",
        ("self", "batch_samples", "device"),
        ("self.model_accepts_loss_kwargs", "num_items_in_batch = self.accelerator.gather(num_items_in_batch.to(device)).sum()"),
        "counts the tokens of a step only where model_accepts_loss_kwargs is set, which VLM classes turn off; we turn it on",
        "transformers#37208 turned it off; drop when TRL counts by itself",
    ),
    Seam(
        "trl.trainer.sft_trainer:DataCollatorForVisionLanguageModeling._collate_prompt_completion",
        ("self", "examples"),
        ("labels[completion_mask == 0] = -100", "if all(img_list == [] for img_list in images):"),
        "the SFT rows we build are meant for this collator",
    ),
    Seam(
        _TRAINER + "_load_from_checkpoint",
        ("self", "resume_from_checkpoint", "model"),
        ("load_result = model.load_state_dict(state_dict, False)",),
        "loads hub key names onto runtime names without being strict: five VLM families silently keep their initial weights",
        "transformers#43701; drop when the load is strict",
    ),
    Seam(
        _TRAINER + "_save_checkpoint",
        ("self", "model", "trial"),
        (
            'checkpoint_folder = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"',
            "run_dir = self._get_output_dir(trial=trial)",
            "output_dir = os.path.join(run_dir, checkpoint_folder)",
        ),
        "writes in place; we point it at a scratch folder and rename",
    ),
    Seam(_TRAINER + "_get_output_dir", ("self", "trial"), ("run_dir = self.args.output_dir",), "where that folder is chosen"),
    Seam(
        _TRAINER + "_inner_training_loop",
        ("self", "batch_size", "args", "resume_from_checkpoint", "trial", "ignore_keys_for_eval"),
        (
            "self._tr_loss = torch.tensor(0.0, device=args.device)",
            "self._total_loss_scalar = 0.0",
            "self._globalstep_last_logged = self.state.global_step",
            "self.control = self.callback_handler.on_train_begin(args, self.state, self.control)",
        ),
        "forgets the loss summed since the last log; we put it back at on_train_begin",
    ),
    Seam(
        _TRAINER + "_get_grad_norm",
        ("self", "model", "grad_norm"),
        ("return grad_norm",),
        "the last place before the optimizer step where loss and gradients can be looked at",
    ),
    Seam(
        _TRAINER + "_run_epoch",
        (
            "self",
            "model",
            "epoch",
            "train_dataloader",
            "steps_in_epoch",
            "num_update_steps_per_epoch",
            "trial",
            "ignore_keys_for_eval",
            "start_time",
            "resume_from_checkpoint",
            "epochs_trained",
            "steps_trained_in_current_epoch",
        ),
        (
            "train_dataloader = skip_first_batches(train_dataloader, steps_trained_in_current_epoch)",
            "grad_norm = self._get_grad_norm(model, grad_norm=grad_norm) self.control = self.callback_handler.on_pre_optimizer_step(",
        ),
        "a skipping loader does not hand the epoch on to the sampler of more than one process, so a callback does it; the gradient norm "
        "is asked for before the optimizer's step",
    ),
    Seam(
        "accelerate.utils.fsdp_utils:_find_final_norm",
        ("model",),
        ("for _, module in base_model.named_children():",),
        "misses the final norm of every VLM, so that an untied lm_head is sharded alone and gets a wrong gradient",
        "no public thread (related: verl#7427); drop when accelerate looks inside the text model",
    ),
    Seam(
        "trl.trainer.base_trainer:_BaseTrainer._send_telemetry", ("self",), ("send_telemetry(",), "reports each trainer; ours stays quiet"
    ),
    Seam(
        "trl.trainer.base_trainer:_BaseTrainer.create_model_card",
        ("self", "model_name", "dataset_name", "tags"),
        ('model_card.save(os.path.join(self.args.output_dir, "README.md"))',),
        "writes a README into the run directory at each checkpoint; ours writes none",
    ),
    Seam(
        "trl.trainer.utils:add_fused_lm_head",
        ("model", "temperature", "cast_lm_head_to_fp32", "outputs"),
        (
            "backbone_outputs = getattr(self, backbone_attr)(*args, **kwargs)",
            "hidden_states = backbone_outputs.last_hidden_state[:, :-1]",
            "label_mask=mask",
            "model.forward = types.MethodType(_fused_forward, model)",
        ),
        "PPO wraps this forward pass: the value head reads the hidden states that the log-probabilities come from",
    ),
    Seam(
        _TRAINER + "save_model",
        ("self", "output_dir", "_internal_call"),
        ("elif self.is_fsdp_enabled:",),
        "the critic is written beside a checkpoint's weights, sharded ones too; every process comes here",
    ),
)


# --- the policy trainer ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def generating(trainer: GRPOTrainer) -> Iterator[Any]:  # Any: a PreTrainedModel or PeftModel
    """Gives the policy as it can generate: out of its wrappers, sharded weights gathered where the recipe says so."""
    args = trainer.args
    with (
        unwrap_model_for_generation(
            trainer.model_wrapped,
            trainer.accelerator,
            gather_deepspeed3_params=args.ds3_gather_for_generation,
            gradient_checkpointing_kwargs=args.gradient_checkpointing_kwargs,
        ) as model,
        torch.no_grad(),
    ):
        yield model


@contextlib.contextmanager
def reference_of(trainer: GRPOTrainer) -> Iterator[Any]:  # Any: as above
    """Gives the reference model, which for adapters is the policy without them or with their frozen copy."""
    if trainer.ref_model is not None:
        yield trainer.ref_model
        return
    policy = trainer.accelerator.unwrap_model(trainer.model)
    with use_adapter(policy, adapter_name=REFERENCE_ADAPTER if REFERENCE_ADAPTER in policy.peft_config else None):
        yield trainer.model


@contextlib.contextmanager
def without_sync(accelerator: Accelerator, model: nn.Module) -> Iterator[None]:
    """Inside the block gradients are added up on each process, and no optimizer steps: more of the same step is to come."""
    state, before = accelerator.gradient_state, accelerator.sync_gradients
    state._set_sync_gradients(False)
    try:
        with accelerator.no_sync(model):
            yield
    finally:
        state._set_sync_gradients(before)


class PolicyArguments(GRPOConfig):
    """TRL's arguments, with one completion per prompt allowed."""

    num_generations: int = 8

    def __post_init__(self) -> None:
        wanted = self.num_generations
        if wanted == 1:
            self.num_generations = self.per_device_train_batch_size * (self.steps_per_generation or 1)  # divides what all processes sample
        super().__post_init__()
        self.num_generations = wanted


# --- weights --------------------------------------------------------------------------------------------------------------------


def load_weights_strictly(model: PreTrainedModel, folder: Path | str) -> None:
    """Puts the weights of a checkpoint folder into `model`, all of them or none.

    `from_pretrained` maps the folder's key names to the runtime's; `Trainer` does not. See `_load_from_checkpoint` in `SEAMS`.

    Raises:
        RunError: A tensor is missing, left over or of another shape, or the file is damaged.
    """
    from safetensors import SafetensorError

    try:
        fresh, report = type(model).from_pretrained(folder, dtype=model.dtype, output_loading_info=True)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{folder}: the weights cannot be read ({error}). Remove this checkpoint to go on from the one before.") from None
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    bad = {
        "missing": sorted(set(report["missing_keys"]) - tied),
        "left over": sorted(report["unexpected_keys"]),
        "of another shape": sorted(str(key) for key in report["mismatched_keys"]),
    }
    said = [f"{len(keys)} {kind} (first: {keys[0]})" for kind, keys in bad.items() if keys]
    if said:
        raise RunError(f"{folder}: does not fit the model: tensors {', '.join(said)}. Resume with the recipe that wrote it.")
    model.load_state_dict(fresh.state_dict(), strict=True)


def check_adapter_fits(model: PeftModel, folder: Path | str) -> None:
    """Passes if the adapter file of a checkpoint holds the tensors of the model's adapter, no fewer and no more.

    PEFT only warns. See `_load_from_checkpoint` in `SEAMS`.

    Raises:
        RunError: It does not.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(folder) / "adapter_model.safetensors"
    try:
        with safe_open(path, framework="pt") as file:
            saved = set(file.keys())
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: the adapter cannot be read ({error}). Remove this checkpoint to go on from the one before.") from None
    expected = set(get_peft_model_state_dict(model))
    if saved != expected:
        first = sorted(saved ^ expected)[0]
        raise RunError(
            f"{path}: holds {len(saved)} tensors, the adapter has {len(expected)} (first difference: {first}). "
            "Resume with the recipe that wrote it."
        )


# --- sharding -------------------------------------------------------------------------------------------------------------------


def find_text_norm(model: nn.Module) -> nn.Module | None:
    """The last norm of the text model inside a VLM: a direct child of the module whose config is the text config."""
    config = getattr(model, "config", None)
    if config is None:
        return None
    text_config = config.get_text_config()
    for module in model.modules():
        if getattr(module, "config", None) is text_config or type(getattr(module, "config", None)) is type(text_config):
            norms = [child for child in module.children() if "Norm" in type(child).__name__]
            if norms:
                return norms[-1]
    return None


def patch_fsdp2_final_norm() -> None:
    """Makes accelerate group the text model's final norm with `lm_head` under FSDP2, so that the head's gradient is right.

    Without it each shard of an untied `lm_head` keeps its own rank's gradient. See `_find_final_norm` in `SEAMS`.
    """
    from accelerate.utils import fsdp_utils

    original = fsdp_utils._find_final_norm
    if getattr(original, "looks_inside_vlms", False):
        return

    def find_final_norm(model: nn.Module) -> nn.Module | None:
        return original(model) or find_text_norm(model)

    find_final_norm.looks_inside_vlms = True  # type: ignore[attr-defined]
    fsdp_utils._find_final_norm = find_final_norm


def whole_weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """All weights of a sharded model as plain tensors on the CPU; every process has to call it, the first gets them.

    A tensor may still be on its way from other processes, or be a shard that only knows how to become whole.
    """
    whole = {}
    for name, tensor in trainer.accelerator.get_state_dict(trainer.model_wrapped).items():
        full = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
        waited = full.wait() if hasattr(full, "wait") else full
        whole[name] = waited.cpu()
    return whole


def guard_sharding(model: PreTrainedModel, *, kind: str, mixed_rows: bool, full_finetuning: bool) -> None:
    """Refuses combinations known to train wrongly or to hang, and patches what can be patched.

    Args:
        model: The model to train, not wrapped yet.
        kind: "none", "ddp", "fsdp2", "zero2" or "zero3".
        mixed_rows: Whether some rows have images and some have none.
        full_finetuning: Whether all weights train, not adapters.

    Raises:
        ConfigError: Mixed rows under FSDP2 or ZeRO-3, or an untied head under FSDP2 whose final norm is not found.
    """
    if kind not in {"fsdp2", "zero3"}:
        return
    if mixed_rows:
        raise ConfigError(
            f"data: rows with and without images are mixed, and under {kind} a batch without images on one process stops the others for "
            "good. Use ddp or zero2, or train on rows that all have images."
        )
    if kind != "fsdp2":
        return
    patch_fsdp2_final_norm()
    head, embed = model.get_output_embeddings(), model.get_input_embeddings()
    untied = head is not None and head.weight is not embed.weight
    if full_finetuning and untied and find_text_norm(model) is None:
        raise ConfigError(
            f"model: the final norm of {type(model).__name__} was not found, so FSDP2 would train its lm_head with a wrong gradient. "
            "Use ddp, zero2 or zero3, or train LoRA adapters (model.use_peft: true)."
        )


def sharding_kind(trainer: Trainer) -> str:
    """How the processes share the model: "none", "ddp", "fsdp2", "zero2" or "zero3"."""
    if trainer.is_deepspeed_enabled:
        return f"zero{trainer.accelerator.state.deepspeed_plugin.zero_stage}"
    if trainer.is_fsdp_enabled:
        return "fsdp2"
    return "ddp" if trainer.args.world_size > 1 else "none"
