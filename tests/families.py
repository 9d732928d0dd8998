"""Tiny, random model folders of every family, made on the spot: real architectures, real templates, hidden size 64, two layers.

`build(family, folder)` writes a complete Hugging Face folder (weights, processor, tokenizer, template) and returns it.
Nothing here imports vlmpost, so that the builder cannot share a fault with the loader it tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

FAMILIES = ("gemma3", "idefics3", "internvl", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm")
VOCAB_SIZE = 384
TEXT = "Please reason step by step. <think> 3 + 4 = 7 </think> The answer is \\boxed{7}. How many red circles are there?"

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}IMAGE_MARK\n{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The form of the InternVL and LLaVA-OneVision templates, which TRL does not ship."""

QWEN_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
SMOLVLM_TOKENS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)),
)


def build(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a random-weight folder of `family` and return it."""
    template, tokenizer, config, model_class, processor = BUILDERS[family]()
    torch.manual_seed(seed)
    model = getattr(transformers, model_class)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.08)
    end = tokenizer.eos_token_id
    model.generation_config = transformers.GenerationConfig(eos_token_id=[end], pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    (folder / "processor_config.json").write_text(json.dumps(processor, indent=2), encoding="utf-8")
    return folder


def shipped_template(name: str) -> str:
    """A chat template as TRL ships it."""
    return (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def make_tokenizer(
    special_tokens: tuple[str, ...], *, eos: str, pad: str, bos: str | None = None, named: dict[str, str] | None = None
) -> PreTrainedTokenizerFast:
    """A byte-level BPE of `VOCAB_SIZE` entries and the special tokens; `named` become attributes such as `image_token`."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([TEXT] * 4, trainer)
    if bos == "<bos>":  # as Gemma's tokenizer does, beside its template, which writes one too
        core.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", core.token_to_id("<bos>"))])
    extra = {"extra_special_tokens": named} if named else {}
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token=eos, pad_token=pad, bos_token=bos, **extra)


def _qwen_tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer(QWEN_TOKENS, eos="<|im_end|>", pad="<|endoftext|>")


def _text(tokenizer: PreTrainedTokenizerFast, **more: object) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **more,
    }


def _ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {key: tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}


def _qwen_processor(processor_class: str, patch_size: int) -> dict[str, Any]:
    size = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}
    image = {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": patch_size, "merge_size": 2, "temporal_patch_size": 2}
    video = {"video_processor_type": processor_class.replace("2_5_VL", "2VL").replace("Processor", "VideoProcessor")}
    return {"processor_class": processor_class, "image_processor": {**image, "size": size}, "video_processor": video}


def _qwen2_vl() -> tuple[Any, ...]:
    tokenizer = _qwen_tokenizer()
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    config = transformers.Qwen2VLConfig(
        text_config=_text(tokenizer, rope_parameters=rope),
        vision_config={"depth": 2, "embed_dim": 64, "hidden_size": 64, "num_heads": 4, "mlp_ratio": 2, "patch_size": 14},
        tie_word_embeddings=True,
        **_ids(tokenizer),
    )
    processor = _qwen_processor("Qwen2VLProcessor", 14)
    return shipped_template("qwen2_5_vl"), tokenizer, config, "Qwen2VLForConditionalGeneration", processor


def _qwen2_5_vl() -> tuple[Any, ...]:
    tokenizer = _qwen_tokenizer()
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    vision = {"depth": 2, "hidden_size": 64, "out_hidden_size": 64, "num_heads": 4, "intermediate_size": 96, "patch_size": 14}
    config = transformers.Qwen2_5_VLConfig(
        text_config=_text(tokenizer, rope_parameters=rope),
        vision_config={**vision, "window_size": 56, "fullatt_block_indexes": [1]},
        tie_word_embeddings=False,
        **_ids(tokenizer),
    )
    processor = _qwen_processor("Qwen2_5_VLProcessor", 14)
    return shipped_template("qwen2_5_vl"), tokenizer, config, "Qwen2_5_VLForConditionalGeneration", processor


def _qwen3_vl() -> tuple[Any, ...]:
    tokenizer = _qwen_tokenizer()
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    vision = {"depth": 2, "hidden_size": 64, "out_hidden_size": 64, "num_heads": 4, "intermediate_size": 96, "patch_size": 16}
    config = transformers.Qwen3VLConfig(
        text_config=_text(tokenizer, head_dim=16, rope_parameters=rope),
        vision_config={**vision, "deepstack_visual_indexes": [0], "num_position_embeddings": 64},
        tie_word_embeddings=True,
        **_ids(tokenizer),
    )
    processor = _qwen_processor("Qwen3VLProcessor", 16)
    return shipped_template("qwen3_vl"), tokenizer, config, "Qwen3VLForConditionalGeneration", processor


def _llava_onevision() -> tuple[Any, ...]:
    tokenizer = make_tokenizer(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"),
        eos="<|im_end|>",
        pad="<|endoftext|>",
        named={"image_token": "<image>", "video_token": "<video>"},
    )
    vision = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    pinpoints = [[28, 28], [28, 56], [56, 28], [56, 56]]
    config = transformers.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **_text(tokenizer), "tie_word_embeddings": True},
        vision_config={"model_type": "siglip_vision_model", **vision, "image_size": 28, "patch_size": 14, "vision_use_head": False},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    image = {"image_processor_type": "LlavaOnevisionImageProcessor", "size": {"height": 28, "width": 28}}
    processor = {
        "processor_class": "LlavaOnevisionProcessor",
        "num_image_tokens": 4,
        "vision_feature_select_strategy": "full",
        "image_processor": {**image, "image_grid_pinpoints": pinpoints},
        "video_processor": {"video_processor_type": "LlavaOnevisionVideoProcessor"},
    }
    return CHATML.replace("IMAGE_MARK", "<image>"), tokenizer, config, "LlavaOnevisionForConditionalGeneration", processor


def _internvl() -> tuple[Any, ...]:
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *named.values())
    tokenizer = make_tokenizer(special, eos="<|im_end|>", pad="<|endoftext|>", named=named)
    vision = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.InternVLConfig(
        text_config={"model_type": "qwen2", **_text(tokenizer)},
        vision_config={**vision, "image_size": [28, 28], "patch_size": [7, 7]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    image = {"image_processor_type": "GotOcr2ImageProcessor", "size": {"height": 28, "width": 28}, "max_patches": 4}
    processor = {
        "processor_class": "InternVLProcessor",
        "image_seq_length": 4,
        "image_processor": image,
        "video_processor": {"video_processor_type": "InternVLVideoProcessor"},
    }
    return CHATML.replace("IMAGE_MARK", "<IMG_CONTEXT>"), tokenizer, config, "InternVLForConditionalGeneration", processor


def _tiled(family: str, name: str) -> tuple[Any, ...]:
    """SmolVLM and Idefics3 share everything but their names."""
    tokenizer = make_tokenizer(SMOLVLM_TOKENS, eos="<end_of_utterance>", pad="<|im_end|>", bos="<|im_start|>")
    vision = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = getattr(transformers, f"{name}Config")(
        text_config={"model_type": "llama", **_text(tokenizer)},
        vision_config={**vision, "image_size": 28, "patch_size": 7},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
        tie_word_embeddings=False,
    )
    edges = {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}}
    processor: dict[str, Any] = {
        "processor_class": f"{name}Processor",
        "image_seq_len": 4,
        "image_processor": {"image_processor_type": f"{name}ImageProcessor", **edges},
    }
    if family == "smolvlm":
        processor["video_processor"] = {"video_processor_type": "SmolVLMVideoProcessor"}
    return shipped_template(family), tokenizer, config, f"{name}ForConditionalGeneration", processor


def _gemma3() -> tuple[Any, ...]:
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    special = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", *named.values())
    tokenizer = make_tokenizer(special, eos="<end_of_turn>", pad="<pad>", bos="<bos>", named=named)
    vision = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.Gemma3Config(
        text_config=_text(tokenizer, head_dim=16, query_pre_attn_scalar=16, sliding_window=64),
        vision_config={**vision, "image_size": 56, "patch_size": 14, "vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
    )
    processor = {
        "processor_class": "Gemma3Processor",
        "image_seq_length": 4,
        "image_processor": {"image_processor_type": "Gemma3ImageProcessor", "size": {"height": 56, "width": 56}},
    }
    return shipped_template("gemma3"), tokenizer, config, "Gemma3ForConditionalGeneration", processor


BUILDERS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "gemma3": _gemma3,
    "idefics3": lambda: _tiled("idefics3", "Idefics3"),
    "internvl": _internvl,
    "llava_onevision": _llava_onevision,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen2_vl": _qwen2_vl,
    "qwen3_vl": _qwen3_vl,
    "smolvlm": lambda: _tiled("smolvlm", "SmolVLM"),
}
