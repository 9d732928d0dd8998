"""Training mode and its absence: what a model says of tokens, dropout would change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """No dropout and no gradient checkpointing inside the block; afterwards each module has the mode it came with.

    Args:
        model: A model, wrapped or not; its modules may be in different modes.
    """
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
