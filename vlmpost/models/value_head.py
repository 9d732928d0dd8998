"""The value head of a critic: a small network from a hidden state of the language model to the return expected from there on.

It is a part of no exported model: it lies in a file of its own beside a checkpoint's weights.

Source of the MLP: SFT Memorizes, RL Generalizes, arXiv 2501.17161, repository LeslieTrue/SFTvsRL (4096 - 1024 - 512 - 1 with ReLU).
Departures: 1. the last layer starts at 0, so that the first advantages are the returns themselves; 2. it stays in float32 whatever
the model's type is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from vlmpost.errors import RunError

FILE_NAME = "value_head.safetensors"


class ValueHead(nn.Module):
    """Hidden states to values, as float32.

    Args:
        hidden_size: Width H of the language model.
        sizes: Widths of the layers between; none: one linear layer.
        seed: Seed of the first weights; no other random state is touched.
    """

    def __init__(self, hidden_size: int, *, sizes: Sequence[int] = (), seed: int) -> None:
        super().__init__()
        widths = [hidden_size, *sizes, 1]
        layers: list[nn.Module] = []
        for width, following in itertools.pairwise(widths):
            layers += [nn.utils.skip_init(nn.Linear, width, following, dtype=torch.float32), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])
        self._reset(torch.Generator().manual_seed(seed))

    def _reset(self, generator: torch.Generator) -> None:
        linear = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        for layer in linear:
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.in_features), generator=generator)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(linear[-1].weight)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Returns the values, float32 [...], of hidden states [..., H] of any floating type."""
        with torch.autocast(hidden.device.type, enabled=False):
            values: torch.Tensor = self.layers(hidden.float()).squeeze(-1)
        return values


def save(head: ValueHead, folder: Path) -> None:
    """Writes the weights into `folder`.

    Raises:
        OSError, SafetensorError: The disk refuses.
    """
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}, folder / FILE_NAME)


def load(head: ValueHead, folder: Path) -> None:
    """Puts the weights that `save` wrote into `head`, all of them.

    Raises:
        RunError: The file is missing or damaged, or is of another head.
    """
    path = folder / FILE_NAME
    try:
        saved = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: the value head cannot be read ({error}). Remove this checkpoint to go on from the one before.") from None
    shapes, expected = _shapes(saved), _shapes(head.state_dict())
    if shapes != expected:
        raise RunError(f"{path}: holds {shapes}, the recipe's value head has {expected}. Resume with the recipe that wrote it.")
    head.load_state_dict(saved, strict=True)


def _shapes(tensors: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in sorted(tensors.items())}
