"""Models at rest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vlmpost.models.modes import at_rest


def half_trained() -> nn.Sequential:
    """A model in training mode whose first part is not."""
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2), nn.Dropout(0.5)).train()
    model[0].eval()
    return model


def test_nothing_is_dropped_inside_and_each_module_has_its_mode_again_afterwards() -> None:
    model = half_trained()
    with at_rest(model):
        assert torch.equal(model(torch.ones(1, 2)), model[1](torch.ones(1, 2)))
    assert [module.training for module in model] == [False, True, True]
    assert model.training


def test_an_error_inside_gives_the_modes_back() -> None:
    model = half_trained()
    with pytest.raises(KeyError), at_rest(model):
        raise KeyError
    assert [module.training for module in model] == [False, True, True]
