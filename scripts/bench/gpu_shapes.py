"""Random-weight Qwen2.5-VL models of real shapes for `gpu_steps.py`: a folder without weights, the model made on its device, and its FLOPs.

The shapes are those of config.json of Qwen/Qwen2.5-VL-3B-Instruct and -7B-Instruct. "tiny" has the same parts and is for a CPU.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from make_random_vlm import make_tokenizer, processor_settings, template
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers import Qwen2_5_VLConfig as Config

NUM_OWN_ENTRIES = 2048
"""Entries of the trained part of the vocabulary; what is left up to the real size are fillers that decode to a text of their own."""


@dataclass(frozen=True)
class Shape:
    """What decides parameters and FLOPs."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    head_size: int = 128
    vision_layers: int = 32
    vision_hidden: int = 1280
    vision_intermediate: int = 3420
    vision_heads: int = 16
    full_attention_layers: tuple[int, ...] = (7, 15, 23, 31)
    """Of the vision tower; the others look at windows of 112 x 112 pixels."""


SHAPES = MappingProxyType(
    {
        "3b": Shape(hidden=2048, intermediate=11008, layers=36, heads=16, kv_heads=2, vocabulary=151936, tied=True),
        "7b": Shape(hidden=3584, intermediate=18944, layers=28, heads=28, kv_heads=4, vocabulary=152064, tied=False),
        "tiny": Shape(
            hidden=128,
            intermediate=384,
            layers=2,
            heads=4,
            kv_heads=2,
            vocabulary=2560,
            tied=True,
            head_size=32,
            vision_layers=2,
            vision_hidden=64,
            vision_intermediate=128,
            vision_heads=2,
            full_attention_layers=(1,),
        ),
    }
)


def write_folder(folder: Path, shape: Shape) -> Path:
    """A model folder of that shape with everything but weights."""
    tokenizer = _filled(make_tokenizer(min(NUM_OWN_ENTRIES, shape.vocabulary)), shape.vocabulary)
    config_of(shape, tokenizer).save_pretrained(folder)
    GenerationConfig(pad_token_id=tokenizer.pad_token_id, eos_token_id=[tokenizer.eos_token_id]).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(template(), encoding="utf-8")
    settings = processor_settings(56 * 56, 28 * 28 * 16384)
    (folder / "processor_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return folder


def _filled(tokenizer: PreTrainedTokenizerFast, num_entries: int) -> PreTrainedTokenizerFast:
    """The tokenizer with fillers up to the real size, which no text is cut into."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    vocabulary |= {f"filler{index}.": index for index in range(len(tokenizer), num_entries)}
    core = Tokenizer.from_str(json.dumps(state))
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token=tokenizer.eos_token, pad_token=tokenizer.pad_token)


def config_of(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> Config:
    """The configuration, as the hub's config.json has it but for the tokenizer's own ids."""
    section = shape.head_size // 8  # of the rotary halves a quarter tells time, three eighths each height and width: 16, 24, 24 at 128
    text = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": 128000,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [section, section * 3 // 2, section * 3 // 2]},
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": shape.tied,
    }
    vision = {
        "depth": shape.vision_layers,
        "hidden_size": shape.vision_hidden,
        "intermediate_size": shape.vision_intermediate,
        "num_heads": shape.vision_heads,
        "out_hidden_size": shape.hidden,
        "fullatt_block_indexes": list(shape.full_attention_layers),
        "window_size": 112,
        "tokens_per_second": 2,
    }
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{token}|>") for name, token in _MARKS.items()}
    return Config(text_config=text, vision_config=vision, tie_word_embeddings=shape.tied, architectures=[_ARCHITECTURE], **ids)


_ARCHITECTURE = "Qwen2_5_VLForConditionalGeneration"
_MARKS = {
    "image_token_id": "image_pad",
    "video_token_id": "video_pad",
    "vision_start_token_id": "vision_start",
    "vision_end_token_id": "vision_end",
}


def random_model(folder: Path, *, device: torch.device, dtype: torch.dtype, attention: str) -> PreTrainedModel:
    """The model of a folder's config.json with random weights, made where it will run: nothing of its size is read, written or moved."""
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(
            config, dtype=dtype, attn_implementation="sdpa" if attention == "auto" else attention
        )
    model.generation_config = GenerationConfig.from_pretrained(str(folder))
    return model
