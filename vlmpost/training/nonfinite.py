"""Where a number that is not finite came from, and the batch it came with.

Pure but for `save_batch`, which writes tensors as safetensors: no pickle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn


def describe_nonfinite(model: nn.Module, inputs: Mapping[str, Any], *, loss: float, grad_norm: float) -> str:
    """The first bad number on the way from weights and batch to gradients, in words.

    Args:
        model: The model, with the gradients of this step.
        inputs: The last micro-batch; tensors among its values are looked at.
        loss: Its loss.
        grad_norm: The norm of all gradients.
    """
    said = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient norm is {grad_norm} (the loss is {loss:.4g})"
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter.detach()).all():
            return f"{said}; the weights were already bad before it: first in {name}"
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and not torch.isfinite(value).all():
            return f"{said}; first bad tensor of the batch: {name} {list(value.shape)}"
    if not math.isfinite(loss):
        return f"{said}, with finite weights and a finite batch: the forward pass overflowed in {next(model.parameters()).dtype}"
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            return f"{said}; first bad gradient: {name}"
    return f"{said}, with finite weights, batch and single gradients: their sum overflowed"


def save_batch(folder: Path, inputs: Mapping[str, Any], *, step: int, rank: int) -> Path:
    """Writes the tensors of a batch and returns the file."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"batch_step_{step:06d}_rank_{rank}.safetensors"
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in inputs.items() if isinstance(value, torch.Tensor)}
    save_file(tensors, path)
    return path
