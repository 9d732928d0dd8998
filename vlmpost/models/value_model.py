"""What a critic adds to a policy: a value head and, where it is asked for, a backbone of its own.

A `ValueModel` is a part of the policy's module, so that one wrapper, one backward pass and one optimizer see both, and yet no file of
the policy holds it: its weights lie beside a checkpoint's, for an exact resume.

A backbone of its own starts as the policy's. What the policy trains it has once more, with gradients and optimizer state, and it keeps
the activations of its own pass: with all weights trained, about twice the memory of a critic that shares. Frozen weights are the
policy's own tensors: with LoRA only the adapters are new, with a frozen vision tower the language model alone. Not under FSDP2, which
takes a tensor into one place of the module only: there the backbone is copied whole.

Source: a critic that starts from the policy's checkpoint: Demystifying Long CoT, arXiv 2502.03373.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel

from vlmpost.models import value_head
from vlmpost.models.value_head import ValueHead

FOLDER = "critic"
BACKBONE_FILE = "backbone.safetensors"
Module = TypeVar("Module", bound=nn.Module)


class ValueModel(nn.Module):
    """A value head, and the backbone under it if that is not the policy's.

    Args:
        model: The policy without a PEFT wrapper around it; its layers may carry adapters.
        sizes: Widths of the head's layers; see `ValueHead`.
        separate: Whether to read values from a backbone of its own.
        seed: Seed of the head's first weights.
        copies_frozen: Whether a backbone of its own has frozen weights of its own too.
    """

    def __init__(self, model: PreTrainedModel, *, sizes: Sequence[int], separate: bool, seed: int, copies_frozen: bool = False) -> None:
        super().__init__()
        self.head = ValueHead(model.config.get_text_config().hidden_size, sizes=sizes, seed=seed).to(model.device)
        self.backbone = twin(model.base_model, copies_frozen=copies_frozen) if separate else None

    def state_dict(self, *, destination: Any = None, **_: Any) -> dict[str, Any]:  # Any: as nn.Module, which asks its parts with these
        """Nothing: a model gives its weights without those of the value model that it carries. `save` writes them."""
        return {} if destination is None else destination

    def save(self, folder: Path, *, writes: bool = True) -> None:
        """Writes the head, and what trains of the backbone, into the folder of a checkpoint.

        Args:
            folder: Is made.
            writes: Whether this process is the one that writes; all processes call this where weights are spread over them.

        Raises:
            OSError, SafetensorError: The disk refuses.
        """
        value_head.save(self.head, folder, writes=writes)
        if self.backbone is not None:
            value_head.save_weights(_trained(self.backbone), folder / FOLDER / BACKBONE_FILE, writes=writes)

    def load(self, folder: Path) -> None:
        """Puts back what `save` wrote, all of it.

        Raises:
            RunError: A file is missing or damaged, or is of another critic.
        """
        value_head.load(self.head, folder)
        if self.backbone is not None:
            value_head.load_weights(_trained(self.backbone), folder / FOLDER / BACKBONE_FILE, what="critic's backbone")


def twin(backbone: Module, *, copies_frozen: bool = False) -> Module:
    """Returns a copy with weights of its own where they train. Configurations are the same objects, and frozen weights unless copied.

    Whatever is switched in a configuration, such as the kind of attention, is switched for both.
    """
    shared: list[Any] = []  # Any: weights and configurations
    if not copies_frozen:
        shared += [parameter for parameter in backbone.parameters() if not parameter.requires_grad]
    shared += [vars(module)["config"] for module in backbone.modules() if "config" in vars(module)]
    return copy.deepcopy(backbone, {id(one): one for one in shared})


def _trained(backbone: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter for name, parameter in backbone.named_parameters() if parameter.requires_grad}
