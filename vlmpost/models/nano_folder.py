"""The nano VLM as a Hugging Face folder: tokenizer, chat template, processor settings and configuration.

A genuine Qwen2.5-VL in every respect but size: same classes, same special tokens, same image processor, same turn format
(without the default system turn, which would cost more tokens than most questions here). Nothing in this file trains.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer, set_seed
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

PATCH_PIXELS = 14
MERGE_SIZE = 2
CELL_PIXELS = PATCH_PIXELS * MERGE_SIZE
"""Side of the square of pixels behind one image token."""
MIN_PIXELS = 4 * CELL_PIXELS**2
MAX_PIXELS = 1280 * CELL_PIXELS**2
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
THINK_TOKENS = ("<think>", "</think>")
"""Single tokens that survive decoding, as in Qwen3."""
_NUM_BYTE_PAIRS = 512
_ROPE_THETA = 10.0
"""M-RoPE gives the columns of a picture its slowest frequencies; with Qwen's theta and heads this small, five columns would turn
them by a hundredth of a radian, and left could not be told from right."""

CHAT_TEMPLATE = """\
{%- for message in messages -%}
    {{- '<|im_start|>' + message.role + '\\n' -}}
    {%- if message.content is string -%}
        {{- message.content -}}
    {%- else -%}
        {%- for part in message.content -%}
            {%- if part.type == 'image' -%}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
            {%- elif part.type == 'video' -%}
                {{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
            {%- else -%}
                {{- part.text -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def train_tokenizer(texts: Iterable[str]) -> Qwen2Tokenizer:
    """Return a byte-level BPE tokenizer of Qwen's class, trained on the texts, that can still write any text."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=_NUM_BYTE_PAIRS, initial_alphabet=sorted(alphabet), show_progress=False)
    )
    learned = json.loads(learner.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],
        unk_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=list(SPECIAL_TOKENS[1:]),
        model_max_length=4096,
        padding_side="left",
    )
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in THINK_TOKENS])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def new_model(tokenizer: Qwen2Tokenizer, *, seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """Return the architecture of the nano VLM with random float32 weights."""
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    vocab_size = -(-len(tokenizer) // 8) * 8
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocab_size,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": _ROPE_THETA, "mrope_section": [4, 6, 6]},
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_heads": 4,
            "out_hidden_size": 128,
            "patch_size": PATCH_PIXELS,
            "spatial_merge_size": MERGE_SIZE,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [0, 1],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    set_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=[ids["<|im_end|>"], ids["<|endoftext|>"]],
        pad_token_id=ids["<|endoftext|>"],
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
    )
    return model


def write_folder(model: Qwen2_5_VLForConditionalGeneration, tokenizer: Qwen2Tokenizer, folder: Path, *, card: str) -> None:
    """Write the whole folder beside its place and put it there in one rename; an older one is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    staged.chmod(0o755)
    model.save_pretrained(staged)
    tokenizer.save_pretrained(staged)
    _write_json(staged / "preprocessor_config.json", _image_settings())
    _write_json(staged / "video_preprocessor_config.json", _video_settings())
    _write_json(staged / "processor_config.json", {"processor_class": "Qwen2_5_VLProcessor"})
    (staged / "README.md").write_text(card, encoding="ascii")
    for file in staged.iterdir():
        file.chmod(0o644)
    if folder.exists():
        replaced = folder.with_name(f".{folder.name}-replaced-{os.getpid()}")
        folder.rename(replaced)
        staged.rename(folder)
        shutil.rmtree(replaced)
    else:
        staged.rename(folder)


def patches_of(images_BHWC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what Qwen's image processor makes of same-sized RGB images whose sides are multiples of CELL_PIXELS.

    Args:
        images_BHWC: uint8.

    Returns:
        Pixel values, float32 [B * patches, 3 * 2 * 14 * 14], and the grid (1, rows, columns) of each image, int64 [B, 3].
    """
    num_images, height, width, _ = images_BHWC.shape
    rows, columns = height // CELL_PIXELS, width // CELL_PIXELS
    pixels = (images_BHWC.float() / 255 - torch.tensor(IMAGE_MEAN)) / torch.tensor(IMAGE_STD)
    cells = pixels.view(num_images, rows, MERGE_SIZE, PATCH_PIXELS, columns, MERGE_SIZE, PATCH_PIXELS, 3)
    # Patches of one token stand together; within a patch: channel, frame, row, column. A still image is two equal frames.
    patches = cells.permute(0, 1, 4, 2, 5, 7, 3, 6).unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, 2, -1, -1)
    grid = torch.tensor([[1, rows * MERGE_SIZE, columns * MERGE_SIZE]]).expand(num_images, 3)
    return patches.reshape(-1, 3 * 2 * PATCH_PIXELS**2), grid


def _image_settings() -> dict[str, object]:
    return {
        "processor_class": "Qwen2_5_VLProcessor",
        "image_processor_type": "Qwen2VLImageProcessor",
        "size": {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS},
        "patch_size": PATCH_PIXELS,
        "temporal_patch_size": 2,
        "merge_size": MERGE_SIZE,
        "image_mean": list(IMAGE_MEAN),
        "image_std": list(IMAGE_STD),
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "rescale_factor": 1 / 255,
        "resample": 3,
    }


def _video_settings() -> dict[str, object]:
    settings = _image_settings()
    del settings["image_processor_type"]
    return settings | {"video_processor_type": "Qwen2VLVideoProcessor"}


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="ascii")
