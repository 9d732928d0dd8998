"""Fixtures of the training room: tiny models and recipes that train in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vlmpost.config.schema import ModelConfig, RlConfig, SftConfig
from vlmpost.models.loader import LoadedModel, load
from vlmpost.runs.directory import RunDirectory, create


@pytest.fixture
def load_tiny(tiny_model: Callable[[str], Path]) -> Callable[..., LoadedModel]:
    """Gives `load_tiny(family, **model keys) -> LoadedModel`, ready to train with all parts free."""

    def load_family(family: str, **keys: object) -> LoadedModel:
        free = {"freeze_vision_tower": False, "freeze_multi_modal_projector": False}
        return load(ModelConfig(path=str(tiny_model(family)), device="cpu", **{**free, **keys}), purpose="rl")

    return load_family


@pytest.fixture
def tiny_qwen(load_tiny):
    """(model, processor) of a tiny Qwen2.5-VL."""
    loaded = load_tiny("qwen2_5_vl")
    return loaded.model, loaded.processor


@pytest.fixture
def sft_recipe() -> Callable[..., SftConfig]:
    """Gives `sft_recipe(model, section__key=value, ...)`: six steps of SFT on card sums, two forward passes each."""

    def make(model: Path | str, **changes: object) -> SftConfig:
        recipe: dict[str, dict[str, object]] = {
            "model": _free(model),
            "data": {"train": [{"task": "card_sums", "num_examples": 10}]},
            "training": {"learning_rate": 1e-3, "examples_per_step": 4, "max_steps": 6, "per_device_train_batch_size": 2},
            "checkpoints": {"save_steps": 2},
        }
        return SftConfig.model_validate(_changed(recipe, changes))

    return make


@pytest.fixture
def rl_recipe() -> Callable[..., RlConfig]:
    """Gives `rl_recipe(model, section__key=value, ...)`: six steps of GRPO, two mini-batches to a batch of rollouts, a KL term."""

    def make(model: Path | str, **changes: object) -> RlConfig:
        recipe: dict[str, object] = {
            "model": _free(model),
            "data": {"train": [{"task": "card_sums", "num_examples": 5}]},
            "rewards": [{"name": "accuracy"}, {"name": f"{LENGTH_REWARD}:vowels", "weight": 0.5}],
            "algorithm": {"num_generations": 2, "beta": 0.02},
            "generation": {"max_completion_length": 6},
            "training": {
                "learning_rate": 1e-3,
                "prompts_per_step": 2,
                "num_mini_batches": 2,
                "max_steps": 6,
                "per_device_train_batch_size": 1,
            },
            "checkpoints": {"save_steps": 2},
            "logging": {"rollout_steps": 2},
        }
        return RlConfig.model_validate(_changed(recipe, changes))

    return make


@pytest.fixture
def new_run() -> Callable[[Path, SftConfig | RlConfig], RunDirectory]:
    """Gives `new_run(folder, config)`: a run directory for a recipe."""

    def make(folder: Path, config: SftConfig | RlConfig) -> RunDirectory:
        kind = "sft" if isinstance(config, SftConfig) else "rl"
        return create(folder.parent, folder.name, recipe_text="", config=config, manifest={"kind": kind})

    return make


LENGTH_REWARD = Path(__file__).parent / "length_reward.py"


def _free(model: Path | str) -> dict[str, object]:
    return {"path": str(model), "device": "cpu", "freeze_vision_tower": False, "freeze_multi_modal_projector": False}


def _changed(recipe: dict[str, dict[str, object]], changes: dict[str, object]) -> dict[str, object]:
    merged: dict[str, object] = dict(recipe)
    for path, value in changes.items():
        section, _, key = path.partition("__")
        merged[section] = {**merged.get(section, {}), key: value} if key else value  # type: ignore[dict-item]  # sections are dicts
    return merged
