"""Sizes of models that recipes name by hub id, for plans on a machine that does not have them. No torch.

Counted on the architecture of each model's published config.json, built without weights; a folder on this machine is read instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vlmpost.models.memory import Shape


def _qwen2_5_vl(*, parameters: int, projector: int, layers: int, hidden: int, intermediate: int, heads_kv: int, vocabulary: int) -> Shape:
    """The shape of a Qwen2.5-VL: heads of 128, one vision tower for all sizes."""
    linear = [(hidden, hidden)] * 2 + [(128 * heads_kv, hidden)] * 2 + [(intermediate, hidden)] * 2 + [(hidden, intermediate)]
    return Shape(
        num_parameters=parameters,
        num_vision_parameters=631_975_680,
        num_projector_parameters=projector,
        linear_sizes=tuple(linear * layers),
        stored_dtype="bfloat16",
        num_layers=layers,
        hidden_size=hidden,
        intermediate_size=intermediate,
        key_value_size=2 * 128 * heads_kv,
        vocab_size=vocabulary,
        vision_num_layers=32,
        vision_hidden_size=1280,
        vision_intermediate_size=3420,
        patch_pixels=14**2,
        patches_per_token=4,
        default_max_pixels=12_845_056,
    )


SHAPES: Final[Mapping[str, Shape]] = {
    "Qwen/Qwen2.5-VL-3B-Instruct": _qwen2_5_vl(
        parameters=3_754_622_976, projector=36_708_608, layers=36, hidden=2048, intermediate=11_008, heads_kv=2, vocabulary=151_936
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": _qwen2_5_vl(
        parameters=8_292_166_656, projector=44_574_464, layers=28, hidden=3584, intermediate=18_944, heads_kv=4, vocabulary=152_064
    ),
}
"""By hub id."""
