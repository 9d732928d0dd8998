"""Prompts read once for all their completions: one packed row per batch, with attention that keeps completions apart.

Example::

    with sharing(model):
        packed = pack(model, prompts, owners, completions, device=device, dtype=dtype)
        logps_NC = packed.padded(model(**packed.inputs, fused_lm_head=True).log_probs)
        loss(logps_NC).backward()
"""

from vlmpost.models.shared_prompt.packing import PackedBatch, pack
from vlmpost.models.shared_prompt.support import sharing, unsupported

__all__ = ["PackedBatch", "pack", "sharing", "unsupported"]
