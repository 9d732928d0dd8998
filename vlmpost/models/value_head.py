"""The value head of a critic: a small network from a hidden state of the language model to the return expected from there on.

It is a part of no exported model: it lies in a file of its own beside a checkpoint's weights.

Source of the MLP: SFT Memorizes, RL Generalizes, arXiv 2501.17161, repository LeslieTrue/SFTvsRL (4096 - 1024 - 512 - 1 with ReLU).
Departures: 1. the last layer starts at 0, so that the first advantages are the returns themselves; 2. it stays in float32 whatever
the model's type is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

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


def save(head: ValueHead, folder: Path, *, writes: bool = True) -> None:
    """Writes the weights into `folder`; see `save_weights`.

    Raises:
        OSError, SafetensorError: The disk refuses.
    """
    save_weights(head.state_dict(), folder / FILE_NAME, writes=writes)


def load(head: ValueHead, folder: Path) -> None:
    """Puts the weights that `save` wrote into `head`, all of them.

    Raises:
        RunError: The file is missing or damaged, or is of another head.
    """
    load_weights(head.state_dict(), folder / FILE_NAME, what="value head")


def save_weights(tensors: Mapping[str, torch.Tensor], path: Path, *, writes: bool = True) -> None:
    """Writes the tensors into a file of their own.

    Args:
        tensors: May be spread over processes (FSDP2); then every process has to call this.
        path: The file; its folder is made.
        writes: Whether this process is the one that writes.

    Raises:
        OSError, SafetensorError: The disk refuses.
    """
    whole = {name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor) for name, tensor in tensors.items()}
    if writes:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in whole.items()}, path)


def load_weights(tensors: Mapping[str, torch.Tensor], path: Path, *, what: str) -> None:
    """Fills the tensors with those that `save_weights` wrote, all of them or none.

    Args:
        tensors: Are changed in place; may be spread over processes, which all call this then.
        path: The file.
        what: The thing they make up, for the message.

    Raises:
        RunError: The file is missing or damaged, or holds other tensors.
    """
    try:
        saved = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: the {what} cannot be read ({error}). Remove this checkpoint to go on from the one before.") from None
    if _shapes(saved) != _shapes(tensors):
        raise RunError(f"{path}: {_difference(saved, tensors)} the recipe's {what}. Resume with the recipe that wrote it.")
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(_spread_as(tensor, saved[name]))


def _spread_as(like: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    if not isinstance(like, DTensor):
        return whole
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


def _difference(saved: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> str:
    """The first tensor, by name, that is in one of the two only or has another shape; to be followed by the name of the second."""
    found, expected = _shapes(saved), _shapes(tensors)
    first = min(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return f"holds {first} as {found.get(first, 'nothing')}, which is {expected.get(first, 'nothing')} in"
