"""Writes a random-weight Qwen2.5-VL folder: real architecture, chat template and pixel budget, weights that know nothing.

For mechanical runs (token counts, memory, speed) of the size of a small real model, without a download:

    python scripts/bench/make_random_vlm.py --out /tmp/random_vlm
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import trl
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

import vlmpost

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
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""Qwen2's own rule: digits stand alone."""


def main() -> None:
    """Builds the folder and prints its size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must not exist")
    parser.add_argument("--hidden", type=int, default=768, help="width of the language model, a multiple of 64")
    parser.add_argument("--layers", type=int, default=12, help="layers of the language model")
    parser.add_argument("--vision-hidden", type=int, default=512, help="width of the vision tower, a multiple of 64")
    parser.add_argument("--vision-layers", type=int, default=12, help="layers of the vision tower")
    parser.add_argument("--vocabulary", type=int, default=2048, help="entries of the byte-level BPE")
    parser.add_argument("--min-pixels", type=int, default=56 * 56, help="as in the hub's Qwen2.5-VL folders")
    parser.add_argument("--max-pixels", type=int, default=28 * 28 * 16384, help="as in the hub's Qwen2.5-VL folders")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights")
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"{args.out} exists")
    tokenizer = make_tokenizer(args.vocabulary)
    torch.manual_seed(args.seed)
    model = Qwen2_5_VLForConditionalGeneration(make_config(args, tokenizer))
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.pad_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
    )
    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    (args.out / "chat_template.jinja").write_text(template(), encoding="utf-8")
    settings = json.dumps(processor_settings(args.min_pixels, args.max_pixels), indent=2)
    (args.out / "processor_config.json").write_text(settings + "\n", encoding="utf-8")
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{args.out}: {num_parameters / 1e6:.1f} M parameters, {len(tokenizer)} tokens, up to {args.max_pixels} pixels per image")


def template() -> str:
    """Qwen2.5-VL's chat template."""
    return (Path(trl.__file__).parent / "chat_templates" / "qwen2_5_vl.jinja").read_text(encoding="utf-8")


def make_tokenizer(num_entries: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE trained on the sources of vlmpost, with Qwen's special tokens."""
    sources = sorted(Path(vlmpost.__file__).parent.rglob("*.py"))
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=num_entries,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator((path.read_text(encoding="utf-8") for path in sources), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def make_config(args: argparse.Namespace, tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    """The shape of the model: heads of 64, feed-forward parts of 8/3 the width, every fourth vision layer with full attention."""
    num_heads = args.hidden // 64
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": args.hidden,
        "intermediate_size": args.hidden * 8 // 3 // 64 * 64,
        "num_hidden_layers": args.layers,
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_heads // 4 if num_heads % 4 == 0 else num_heads,
        "max_position_embeddings": 32768,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]},
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "depth": args.vision_layers,
        "hidden_size": args.vision_hidden,
        "out_hidden_size": args.hidden,
        "intermediate_size": args.vision_hidden * 8 // 3 // 64 * 64,
        "num_heads": args.vision_hidden // 64,
        "fullatt_block_indexes": list(range(3, args.vision_layers, 4)),
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        tie_word_embeddings=True,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )


def processor_settings(min_pixels: int, max_pixels: int) -> dict[str, object]:
    """What processor_config.json of a Qwen2.5-VL says."""
    shape = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    size = {"shortest_edge": min_pixels, "longest_edge": max_pixels}
    return {
        "processor_class": "Qwen2_5_VLProcessor",
        "image_processor": {"image_processor_type": "Qwen2VLImageProcessor", **shape, "size": size},
        "video_processor": {"video_processor_type": "Qwen2VLVideoProcessor", **shape},
    }


if __name__ == "__main__":
    main()
