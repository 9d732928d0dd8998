"""Every private part of TRL, transformers and accelerate that vlmpost leans on, in one place.

Two halves: small functions that mend or steer private behaviour, and `SEAMS`, a table of what the trainers override or read.
`tests/training/test_seams.py` checks the table against the installed packages and fails when one of them changes. Public API is
used where it is needed and is not listed.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from torch import nn
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, Trainer

from vlmpost.errors import ConfigError, ModelError, RunError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seam:
    """One private thing we rely on."""

    target: str
    """`module:attribute.path` of a function or method."""
    parameters: tuple[str, ...]
    """Names of its parameters, in order."""
    fragments: tuple[str, ...]
    """Pieces of its source that our code assumes, white space apart."""
    why: str
    upstream: str = ""
    """The public thread, and what would let us drop the seam."""


REFERENCE_ADAPTER = "ref"
"""TRL's name of the frozen copy of an adapter that the KL term compares with."""

MODEL_FIELDS = (
    "pixel_values",
    "image_grid_thw",
    "num_images",
    "pixel_attention_mask",
    "spatial_shapes",
    "num_tiles",
    "image_sizes",
    "token_type_ids",
    "mm_token_type_ids",
    "image_position_ids",
)
"""What `_get_per_token_logps_and_entropies` takes of a batch beside its tokens."""

_GRPO = "trl.trainer.grpo_trainer:GRPOTrainer."
_SFT = "trl.trainer.sft_trainer:SFTTrainer."
_TRAINER = "transformers.trainer:Trainer."

SEAMS: tuple[Seam, ...] = (
    Seam(
        _GRPO + "_generate",
        ("self", "prompts"),
        (
            "return prompt_ids, completion_ids, tool_mask, completions, logprobs, extra_fields, images, tool_images",
            'tool_mask = extra_fields.pop("env_mask", None)',
            'self._metrics[mode]["completions/mean_length"].append(agg_completion_lengths.float().mean().item())',
        ),
        "images of text-only prompts come back as None, which processors refuse in a list; episodes put their mask in tool_mask's place",
        "trl#5139 (mixed rows); drop when _generate returns [] for them",
    ),
    Seam(
        _GRPO + "_tokenize_prompts",
        ("self", "prompts"),
        ("images.append(prompt_images if prompt_images else None)", "return prompt_ids, images, multimodal_fields"),
        "where those None come from; episodes encode the prompts of unfinished rows with it",
        "trl#5139",
    ),
    Seam(
        _GRPO + "_generate_single_turn",
        ("self", "prompt_ids", "images", "multimodal_fields", "num_generations", "has_tool_images"),
        (
            "unwrapped_model.generate( **generate_inputs, generation_config=self.generation_config )",
            "elif isinstance(v, list) and v and isinstance(v[0], list):",
        ),
        "the one call of generate: our seeded sampler is slipped in as a logits processor, and episodes call it once per reply with "
        "token types that go on",
        "no hook for logits processors in TRL 1.16",
    ),
    Seam(
        _GRPO + "_calculate_rewards",
        ("self", "inputs", "prompts", "completions", "completion_ids_list"),
        ("rewards_per_func = gather(rewards_per_func)", "return rewards_per_func"),
        "replaced: RewardSet scores a rollout once and gives the whole row of terms; NaN stands for None",
    ),
    Seam(
        _GRPO + "_generate_and_score_completions",
        ("self", "inputs"),
        (
            "self._calculate_rewards(inputs, prompts, completions, completion_ids_list)",
            "loss_mask = completion_mask if tool_mask is None else completion_mask * tool_mask",
            "advantages = torch.nan_to_num(advantages, nan=0.0)",
            "if images is not None and self.log_multimodal:",
        ),
        "rows and advantages are read around it; log_multimodal gathers images on some ranks only, which deadlocks mixed data",
        "trl#5139, trl#6967",
    ),
    Seam(
        _GRPO + "_prepare_inputs",
        ("self", "generation_batch"),
        (
            "generate_every = self.args.steps_per_generation * self.num_iterations",
            "if self._step % generate_every == 0 or self._buffered_inputs is None:",
            "generation_batch = shuffle_sequence_dict(generation_batch)",
        ),
        "the shuffle draws from each rank's own random state; ours keeps mini-batches the same for any number of processes",
    ),
    Seam(
        _GRPO + "_get_per_token_logps_and_entropies",
        (
            "self",
            "model",
            "input_ids",
            "attention_mask",
            "logits_to_keep",
            "batch_size",
            "compute_entropy",
            "compute_aux_loss",
            "pixel_values",
            "image_grid_thw",
            "num_images",
            "pixel_attention_mask",
            "spatial_shapes",
            "num_tiles",
            "image_sizes",
            "token_type_ids",
            "mm_token_type_ids",
            "image_position_ids",
        ),
        ("outputs = model(**model_inputs, labels=labels, fused_lm_head=True)",),
        "LLaVA-OneVision's processor also returns batch_num_images, which this refuses; a text-only part of a mixed batch is handed to "
        "the model with empty image tensors",
        "trl#3847, trl#5139; drop when unknown processor fields are let through and empty image tensors are not",
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
        _GRPO + "_compute_loss",
        ("self", "model", "inputs"),
        (
            "if advantages.dim() == 1: advantages = advantages.unsqueeze(1)",
            'normalizer = inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes',
            "normalizer = normalizer * self.current_gradient_accumulation_steps / self.args.steps_per_generation",
            "if self.beta != 0.0:",
        ),
        "takes an advantage for each token; PPO's value loss is added with the same accumulation scaling, and a KL in the reward is not "
        "charged twice",
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
        _TRAINER + "_save",
        ("self", "output_dir", "state_dict"),
        ("self.model.save_pretrained(", "if not self.args.should_save and not self.is_distributed_loading_by_transformers:"),
        "the value head is written beside the weights of a checkpoint; every process comes here",
    ),
    Seam(
        "transformers.modeling_utils:PreTrainedModel.save_pretrained",
        (
            "self",
            "save_directory",
            "is_main_process",
            "state_dict",
            "push_to_hub",
            "max_shard_size",
            "variant",
            "token",
            "save_peft_format",
            "save_original_format",
            "distributed_checkpoint",
            "kwargs",
        ),
        ("for ignore_key in self._keys_to_ignore_on_save: if ignore_key in state_dict: del state_dict[ignore_key]",),
        "keeps the value head out of every saved model",
    ),
)


def resolve(seam: Seam) -> Callable[..., Any]:  # Any: functions of other packages
    """The function that `seam.target` names, unwrapped from decorators.

    Raises:
        AttributeError: It is gone.
    """
    module, _, path = seam.target.partition(":")
    value: Any = importlib.import_module(module)  # Any: modules and classes on the way
    for name in path.split("."):
        value = inspect.getattr_static(value, name)
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    function = inspect.unwrap(value)
    assert callable(function), seam.target
    return function


def faults(seam: Seam) -> list[str]:
    """What no longer holds of a seam; empty when all does."""
    function = resolve(seam)
    found = []
    parameters = tuple(inspect.signature(function).parameters)
    if parameters != seam.parameters:
        found.append(f"{seam.target}: parameters are {parameters}, expected {seam.parameters}")
    source = _squeeze(inspect.getsource(function))
    found += [f"{seam.target}: no longer says {fragment!r}" for fragment in seam.fragments if _squeeze(fragment) not in source]
    return found


def _squeeze(text: str) -> str:
    return "".join(text.split())


# --- images ---------------------------------------------------------------------------------------------------------------------


def without_missing_images(images: Sequence[list[Any] | None] | None) -> list[list[Any]] | None:  # Any: PIL images
    """The image lists with [] where a prompt has none, and None where no prompt of the batch has any.

    See `GRPOTrainer._generate` in `SEAMS`.
    """
    if images is None:
        return None
    filled = [list(row) if row else [] for row in images]
    return filled if any(filled) else None


def without_batch_num_images(fields: Mapping[str, Any]) -> dict[str, Any]:  # Any: tensors and lists of a processor
    """The processor's fields without LLaVA-OneVision's `batch_num_images`, which TRL cannot take.

    Raises:
        ModelError: A row holds several images, which this family reads otherwise without that field.
    """
    counts = fields.get("batch_num_images")
    if counts is not None and int(torch.as_tensor(counts).max()) > 1:
        raise ModelError(
            "RL with several images in one prompt is not supported for LLaVA-OneVision: TRL 1.16 drops the field that counts them. "
            "Use one image per row, or another model."
        )
    return {key: value for key, value in fields.items() if key != "batch_num_images"}


def grown_fields(fields: Mapping[str, Any], num_new: Sequence[int]) -> dict[str, Any]:  # Any: tensors and lists of a processor
    """The fields of `_tokenize_prompts` for prompts that have grown by so many text tokens each: token types go on with 0.

    Lists of lists are values per token; tensors are values per image, which text does not change. See `_generate_single_turn`.
    """
    grown: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], list):
            assert len(value) == len(num_new), f"{name}: {len(value)} rows for {len(num_new)} prompts"
            grown[name] = [[*row, *[0] * count] for row, count in zip(value, num_new, strict=True)]
        else:
            grown[name] = value
    return grown


_PER_IMAGE_KEYS = ("pixel_values", "image_grid_thw", "image_sizes", "pixel_attention_mask", "image_position_ids")
_IDEFICS_DIMENSIONS = 5
"""Prompts, images, channels, height, width."""


def without_empty_images(model: Callable[..., Any]) -> Callable[..., Any]:  # Any: a forward pass
    """The model's forward pass, with the image tensors left out where a batch has no image at all.

    TRL cuts a mixed batch into micro-batches and hands over empty tensors, or in Idefics' layout (one row of images per prompt) nothing
    but padding, which vision towers refuse. See `_get_per_token_logps_and_entropies` in `SEAMS`.
    """

    def forward(**inputs: Any) -> Any:
        pixels = inputs.get("pixel_values")
        if pixels is not None and (len(pixels) == 0 or (pixels.ndim == _IDEFICS_DIMENSIONS and not pixels.any())):
            inputs = {key: value for key, value in inputs.items() if key not in _PER_IMAGE_KEYS}
        return model(**inputs)

    return forward


# --- generation -----------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def generating_with(model: nn.Module, processors: LogitsProcessorList) -> Iterator[None]:
    """Inside the block `model.generate` picks the most probable token after `processors`, whatever config it is given.

    The processors do the sampling: they leave one token possible. See `GRPOTrainer._generate_single_turn` in `SEAMS`.
    """
    original = model.generate  # the FSDP2 wrapper, where there is one
    own = model.__dict__.get("generate")

    def generate(*args: Any, generation_config: GenerationConfig, **kwargs: Any) -> Any:  # Any: transformers' own signature
        greedy = copy.copy(generation_config)
        greedy.do_sample = False
        greedy.temperature = greedy.top_p = greedy.top_k = greedy.min_p = greedy.suppress_tokens = None
        greedy.repetition_penalty = 1.0  # None would be filled in from the model's own generation config
        return original(*args, generation_config=greedy, logits_processor=processors, **kwargs)

    model.__dict__["generate"] = generate
    try:
        yield
    finally:
        if own is None:
            del model.__dict__["generate"]
        else:
            model.__dict__["generate"] = own


@contextlib.contextmanager
def batches_ordered_by(order: Callable[[int], torch.Tensor]) -> Iterator[None]:
    """Inside the block TRL's shuffle of a generation batch of n rows becomes the permutation `order(n)`.

    See `GRPOTrainer._prepare_inputs` in `SEAMS`.
    """
    from trl.trainer import grpo_trainer

    original = grpo_trainer.shuffle_sequence_dict

    def arrange(batch: dict[str, Any]) -> dict[str, Any]:  # Any: tensors, lists, None
        num_rows = len(next(value for value in batch.values() if value is not None))
        permutation = order(num_rows)
        return {key: _permute(value, permutation) for key, value in batch.items()}

    grpo_trainer.shuffle_sequence_dict = arrange
    try:
        yield
    finally:
        grpo_trainer.shuffle_sequence_dict = original


def _permute(value: Any, permutation: torch.Tensor) -> Any:  # Any: a tensor, a list, None
    if value is None or (isinstance(value, torch.Tensor) and value.ndim == 0):
        return value
    return value[permutation] if isinstance(value, torch.Tensor) else [value[index] for index in permutation.tolist()]


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
