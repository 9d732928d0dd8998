"""Recipes of `vlmpost combine` as small as they can be, as values to change."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from vlmpost.config.combine import CombineConfig

DATA = {"train": [{"task": "counting", "num_examples": 16}]}
VALIDATION = {
    "data": [{"task": "counting", "split": "validation", "num_examples": 4}],
    "num_samples": 1,
    "generation": {"max_completion_length": 8},
}
TEST = {**VALIDATION, "data": [{"task": "counting", "split": "test", "num_examples": 4}], "levels": {"num_samples": 5}}
SFT = {"data": DATA, "training": {"learning_rate": 1e-3, "examples_per_step": 8, "max_steps": 4}, "checkpoints": {"save_steps": 2}}
RL = {
    "data": DATA,
    "rewards": [{"name": "accuracy"}],
    "algorithm": {"num_generations": 2},
    "generation": {"max_completion_length": 8},
    "training": {"learning_rate": 1e-3, "prompts_per_step": 4, "max_steps": 4},
    "checkpoints": {"save_steps": 2},
}


@pytest.fixture
def combine_recipe() -> Callable[..., dict[str, Any]]:  # Any: values of a recipe
    """Gives `combine_recipe(strategy, section=..., ...)`: the sections that are not named are those above; None leaves one out."""

    def make(strategy: str, **sections: object) -> dict[str, Any]:
        recipe = {"strategy": strategy, "model": {"path": "nano", "device": "cpu"}, "sft": SFT, "rl": RL, **sections}
        return copy.deepcopy({name: section for name, section in recipe.items() if section is not None})

    return make


@pytest.fixture
def combine_config(combine_recipe: Callable[..., dict[str, Any]]) -> Callable[..., CombineConfig]:
    """The same, checked."""

    def make(strategy: str, **sections: object) -> CombineConfig:
        return CombineConfig.model_validate(combine_recipe(strategy, **sections), strict=True)

    return make
