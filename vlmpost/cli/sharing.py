"""What GPUs that share the state of training hold, for the plans of recipes: a guess from sizes, no torch, no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmpost.cli.prepare import Prepared
    from vlmpost.config.batch import BatchPlan
    from vlmpost.config.schema import RlConfig, SftConfig
    from vlmpost.models.memory import Shape

GB = 1e9


@dataclass(frozen=True)
class Sharing:
    """GPUs that share the state of training."""

    num_gpus: int
    gpu_memory_gb: float

    def batch_of(self, config: SftConfig | RlConfig) -> BatchPlan:
        """The batch arithmetic of a recipe on these GPUs.

        Raises:
            ConfigError: The numbers do not divide.
        """
        from vlmpost.config.batch import plan_rl, plan_sft
        from vlmpost.config.schema import RlConfig

        if isinstance(config, RlConfig):
            return plan_rl(config.training, config.algorithm, world_size=self.num_gpus, guidance=config.guidance)
        return plan_sft(config.training, world_size=self.num_gpus)


def shape_of(path: str) -> Shape:
    """The sizes of a model: of its folder, or as published where it is not on this machine.

    Raises:
        ModelError: It is neither here nor known.
    """
    from vlmpost.cli.plan import model_folder
    from vlmpost.models.memory import read_shape
    from vlmpost.models.published import SHAPES

    return SHAPES[path] if path in SHAPES and not Path(path).is_dir() else read_shape(model_folder(path))


def sharded_memory(prepared: Prepared, shape: Shape, sharing: Sharing) -> dict[str, dict[str, int]]:
    """Returns the bytes of one GPU in each phase, by part."""
    from vlmpost.cli.plan import look, num_trainable, phases, sampled_examples
    from vlmpost.models.memory import BYTES
    from vlmpost.models.sharded_memory import sharded

    config = prepared.config
    trainable = num_trainable(config, shape)
    lengths = look(sampled_examples(config), shape, config)
    alone = phases(prepared, shape, lengths=lengths, num_bytes=BYTES["bfloat16"], trainable=trainable)
    shared = [sharded(phase, shape, num_trainable=trainable, num_gpus=sharing.num_gpus) for phase in alone]
    return {phase.name: dict(phase.parts) for phase in shared}


def memory_text(parts: Mapping[str, int], sharing: Sharing | None) -> str:
    """Returns the sum of the parts, the parts, and with GPUs whether they fit."""
    from vlmpost.models.sharded_memory import fits

    sizes = {name: size for name, size in parts.items() if name != "total" and size}
    named = ", ".join(f"{name} {_size(size)}" for name, size in sizes.items())
    verdict = ""
    if sharing is not None:
        word = "fits" if fits(sizes, gpu_bytes=sharing.gpu_memory_gb * GB) else "does not fit"
        verdict = f"  {word} in {sharing.gpu_memory_gb:g} GB"
    return f"{_size(sum(sizes.values())):>9}{verdict}  {named}"


def _size(count: int) -> str:
    return f"{count / GB:.1f} GB" if count >= GB else f"{count / 1e6:.1f} MB"
