"""Memory of one GPU of several that share the state of training (FSDP2, `scripts/accelerate/fsdp2.yaml`). No torch.

Weights, gradients and AdamW's moments are cut into equal parts. With mixed precision accelerate keeps trained weights, their gradients
and moments in float32; frozen ones and a reference stay in bfloat16. For a moment two units are whole on every GPU, in bfloat16: the
largest, the table of token embeddings or one layer, and the next one that is fetched meanwhile. Activations, logits and the KV cache
are each GPU's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vlmpost.models.memory import Phase, Shape

_TRAINED_BYTES: Final = 4
_FROZEN_BYTES: Final = 2
_GATHERED_UNITS: Final = 2
_SLACK: Final = 1.2
"""What attention kernels, fragmentation and the CUDA context add; see `memory`."""


def sharded(phase: Phase, shape: Shape, *, num_trainable: int, num_gpus: int) -> Phase:
    """Returns what one of the GPUs holds in a phase.

    Args:
        phase: Of one process that shares nothing, its batch already that of one GPU.
        shape: The model.
        num_trainable: Parameters that change.
        num_gpus: GPUs that share.
    """
    trained, frozen = num_trainable * _TRAINED_BYTES, (shape.num_parameters - num_trainable) * _FROZEN_BYTES
    is_update = bool(phase.parts["gradients"])
    shared = {
        "weights": trained + frozen,
        "reference": shape.num_parameters * _FROZEN_BYTES if phase.parts["reference"] else 0,
        "gradients": trained if is_update else 0,
        "optimizer": 2 * trained,
        "critic": 4 * trained if phase.parts.get("critic") else 0,
    }
    own = {name: size for name, size in phase.parts.items() if name not in shared}
    return Phase(phase.name, {**{name: -(-size // num_gpus) for name, size in shared.items()}, "gathered": _gathered(shape), **own})


def fits(parts: Mapping[str, int], *, gpu_bytes: float) -> bool:
    """Whether a phase fits into a GPU, with room for what is not counted.

    >>> fits({"weights": 50}, gpu_bytes=60), fits({"weights": 51}, gpu_bytes=60)
    (True, False)
    """
    return sum(parts.values()) * _SLACK <= gpu_bytes


def _gathered(shape: Shape) -> int:
    """Bytes of the units that are whole for a moment."""
    layer = sum(rows * columns for rows, columns in shape.linear_sizes) // max(1, shape.num_layers)
    return _GATHERED_UNITS * _FROZEN_BYTES * max(layer, shape.vocab_size * shape.hidden_size)
