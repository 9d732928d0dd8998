"""Models with TRL's fused head, prompts with completions, and the plain padded forward pass that the shared prompt must equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn
from trl.trainer.utils import add_fused_lm_head

from vlmpost.config.schema import ModelConfig
from vlmpost.models.loader import load
from vlmpost.models.prompts import EncodedPrompt, collate, encode_prompts, grown
from vlmpost.models.shared_prompt import pack, sharing

OWNERS = [0, 0, 1, 2, 1, 2, 0, 3]
"""Not in order, groups of unlike sizes; prompt 4 has no completion."""
LENGTHS = [5, 3, 7, 1, 4, 6, 5, 30]


@dataclass(frozen=True)
class Question:
    """One model, prompts of several lengths and image counts, and completions."""

    model: Any
    prompts: list[EncodedPrompt]
    owners: list[int]
    completions: list[list[int]]
    pad_token_id: int

    def plain(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities and entropies [N, C] of the padded batch that TRL makes: prompts left-padded, completions right-padded."""
        inputs = collate([self.prompts[owner] for owner in self.owners], pad_token_id=self.pad_token_id)
        num_prompt_tokens = inputs["input_ids"].shape[1]
        rows = [torch.tensor(completion) for completion in self.completions]
        ids_NC = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad_token_id)
        mask_NC = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        for name, added in {"input_ids": ids_NC, "attention_mask": mask_NC}.items():
            inputs[name] = torch.cat([inputs[name], added], dim=1)
        for name in self.prompts[0].token_types:
            inputs[name] = torch.cat([inputs[name], torch.zeros_like(ids_NC)], dim=1)
        labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
        labels[:, :num_prompt_tokens] = -100
        inputs = inputs.to(dtype=next(self.model.parameters()).dtype)
        output = self.model(**inputs, labels=labels, fused_lm_head=True)
        return output.log_probs[:, num_prompt_tokens - 1 :], output.entropy[:, num_prompt_tokens - 1 :]

    def shared(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The same of the packed row; to be called inside `sharing`."""
        dtype = next(self.model.parameters()).dtype
        packed = pack(self.model, self.prompts, self.owners, self.completions, device="cpu", dtype=dtype)
        output = self.model(**packed.inputs, fused_lm_head=True)
        return packed.padded(output.log_probs), packed.padded(output.entropy)

    def gradients(self, way: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Gradients of a weighted sum of the log-probabilities, the plain way inside `sharing` too."""
        self.model.zero_grad(set_to_none=True)
        with sharing(self.model):
            logps_NC, _ = way()
            weights_NC = torch.randn(logps_NC.shape, generator=torch.Generator().manual_seed(3))
            (logps_NC * weights_NC).sum().backward()
        found = {name: parameter.grad for name, parameter in self.model.named_parameters() if parameter.grad is not None}
        self.model.zero_grad(set_to_none=True)
        return found


@pytest.fixture
def ask(tiny_model: Callable[[str], Path]) -> Callable[..., Question]:
    """`ask(family, **model settings)`: a tiny model of a family, or "nano", with prompts and completions."""

    def made(name: str, **settings: object) -> Question:
        path = "nano" if name == "nano" else str(tiny_model(name))
        config = ModelConfig.model_validate({"path": path, "device": "cpu", "dtype": "float32", **settings})
        loaded = load(config, purpose="sft")
        model: Any = loaded.model  # Any: a PeftModel or a PreTrainedModel
        add_fused_lm_head(model.get_base_model() if config.use_peft else model, outputs=("log_probs", "entropy"))
        prompts = encode_prompts(loaded.processor, *_questions(num_images=2 if name != "llava_onevision" else 1))
        completions = [_drawn(length, seed=length + 10 * row) for row, length in enumerate(LENGTHS)]
        prompts[2] = grown(prompts[2], _drawn(60, seed=0))
        return Question(model, prompts, OWNERS, completions, loaded.processor.tokenizer.pad_token_id)

    return made


def _questions(*, num_images: int) -> tuple[list[list[dict[str, object]]], list[list[Image.Image]]]:
    """Five prompts: one image, `num_images`, none, one and one, all of other sizes and lengths."""
    images = [[_circle(64, 48)], [_circle(40, 40), _circle(80, 30)][:num_images], [], [_circle(28, 56)], [_circle(56, 56)]]
    texts = ["How many red circles are there?", "Is the first larger? Think.", "3 + 4 = ?", "And here?", "Nobody answers this."]
    prompts = []
    for own, text in zip(images, texts, strict=True):
        blocks: list[dict[str, str]] = [*({"type": "image"} for _ in own), {"type": "text", "text": text}]
        prompts.append([{"role": "user", "content": blocks}])
    return prompts, images


def _circle(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).ellipse((4, 4, width // 2, height - 4), fill="red")
    return image


def _drawn(length: int, *, seed: int) -> list[int]:
    """Tokens that are text in every tiny tokenizer."""
    return torch.randint(60, 300, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
