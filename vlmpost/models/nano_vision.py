"""How the nano VLM learns to see: each image token tells what stands in its square of the picture.

Three linear readers (colour, shape, number) sit on the tower's output for this lesson only and are thrown away. One label per
image token teaches the tower in a minute what answers alone, a few bits per picture, do not teach it in twenty.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import Qwen2_5_VLForConditionalGeneration

from vlmpost.models.nano_folder import CELL_PIXELS, patches_of
from vlmpost.records import Example

logger = logging.getLogger(__name__)

_COLOURS = ("red", "green", "blue", "orange", "purple")
_SHAPES = ("circle", "square", "triangle")
_NUM_CLASSES = (1 + len(_COLOURS), 1 + len(_SHAPES), 1 + 9)
_NOTHING_WEIGHT = 0.1


@dataclass(frozen=True, slots=True)
class Sight:
    """One picture, uint8 [H, W, 3], with its labels, int64 [3, image tokens]: colour, shape and number, 0 for nothing."""

    image: torch.Tensor
    labels: torch.Tensor


def label(example: Example, *, width_pixels: int, height_pixels: int) -> torch.Tensor:
    """Return the labels of a drawn picture, int64 [3, image tokens].

    A shape or a card is told by the token its centre falls in, a bar by the token at its foot.
    """
    columns, rows = width_pixels // CELL_PIXELS, height_pixels // CELL_PIXELS
    labels = torch.zeros(3, rows, columns, dtype=torch.long)
    meta: Mapping[str, Any] = example.meta  # JSON written by the task that drew it
    for item in meta.get("items", ()):
        place = item["y"] // CELL_PIXELS, item["x"] // CELL_PIXELS
        labels[0][place] = 1 + _COLOURS.index(item["colour"])
        labels[1][place] = 1 + _SHAPES.index(item["shape"])
    for card in meta.get("cards", ()):
        labels[2, rows // 2, (card["x"] + CELL_PIXELS // 2 - 2) // CELL_PIXELS] = card["value"]
    for bar in meta.get("bars", ()):
        place = rows - 1, (bar["x"] + bar["width"] // 2) // CELL_PIXELS
        labels[0][place] = 1 + _COLOURS.index(bar["colour"])
        labels[2][place] = bar["height"]
    return labels.flatten(1)


def train_vision(
    model: Qwen2_5_VLForConditionalGeneration, sights: Sequence[Sight], *, num_steps: int, batch_size: int, learning_rate: float, seed: int
) -> None:
    """Train the model's vision tower in place."""
    rng = random.Random(f"nano vision|{seed}")
    tower = model.model.visual
    readers = nn.ModuleList(nn.Linear(model.config.text_config.hidden_size, num_classes) for num_classes in _NUM_CLASSES)
    parameters = [*tower.parameters(), *readers.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=num_steps, pct_start=0.1, cycle_momentum=False)
    tower.train()
    start = time.monotonic()
    for step in range(num_steps):
        chosen = rng.sample(sights, batch_size)
        features = see(model, torch.stack([sight.image for sight in chosen])).flatten(0, 1)
        labels = torch.cat([sight.labels for sight in chosen], dim=1)
        loss, right = _read(readers, features, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 50 == 0:
            shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(("colour", "shape", "number"), right, strict=True))
            logger.info("seeing, step %d of %d, %.0f s: %s", step + 1, num_steps, time.monotonic() - start, shares)
    tower.eval()


def see(model: Qwen2_5_VLForConditionalGeneration, images_BHWC: torch.Tensor) -> torch.Tensor:
    """Return the image tokens of same-sized pictures as the language model gets them, [B, image tokens, width]."""
    pixel_values, grid = patches_of(images_BHWC)
    return torch.stack(model.model.get_image_features(pixel_values, grid).pooler_output)


def _read(readers: nn.ModuleList, features: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
    """Return the loss of the three readers, and the share of marks that each reads right."""
    losses, right = [], []
    for reader, wanted in zip(readers, labels, strict=True):
        logits = reader(features)
        weight = torch.ones(logits.shape[1])
        weight[0] = _NOTHING_WEIGHT
        losses.append(nn.functional.cross_entropy(logits, wanted, weight=weight))
        right.append((logits.argmax(1) == wanted)[wanted > 0].float().mean().item())
    return torch.stack(losses).sum(), right
