"""What a strategy is given, looked at before anything is sampled or trained: models in place of stages, and solutions to guide by."""

from __future__ import annotations

from pathlib import Path

from vlmpost.config.combine import CombineConfig
from vlmpost.config.schema import ModelConfig, RlConfig
from vlmpost.data import build
from vlmpost.errors import DataError, ModelError
from vlmpost.models import loader
from vlmpost.models.adapters import base_of, is_adapter

_MODELS = ("sft_model", "rl_model", "base")
"""Keys of a strategy's own section that name models."""


def check_given(config: CombineConfig) -> None:
    """Says what would end the strategy in a later stage.

    Raises:
        ModelError: A model that is given is not there, or not of the base's family.
        DataError: Pass rates would be measured for questions that have no trace to be guided by.
    """
    models = given_models(config)
    if models:
        _check_families(config.model, models)
    if config.pass_rates is not None and config.rl is not None:
        _check_solutions(config.rl)


def given_models(config: CombineConfig) -> dict[str, str]:
    """Returns the trained models that a recipe gives, by their keys."""
    section = getattr(config, config.strategy, None)
    found = {f"{config.strategy}.{name}": getattr(section, name, None) for name in _MODELS}
    return {key: path for key, path in found.items() if path is not None}


def _check_families(base: ModelConfig, models: dict[str, str]) -> None:
    wanted = _family(base.path, "model.path")
    for key, path in models.items():
        family = _family(path, key)
        if family != wanted:
            raise ModelError(f"{key}: {path} is a {family} model, and model.path {base.path} a {wanted} one; give models of one family.")


def _family(path: str, key: str) -> str:
    """The family of a model, or of the base under an adapter."""
    try:
        folder = loader.resolve_folder(ModelConfig(path=path))
        base: Path = base_of(folder, nano=loader.NANO_DIR) if is_adapter(folder) else folder
        return loader.read_family(base).name
    except ModelError as error:
        raise ModelError(f"{key}: {str(error).removeprefix('model.path ')}") from error


def _check_solutions(rl: RlConfig) -> None:
    """Guided RL says so itself, but only after pass rates were measured."""
    guidance = rl.guidance
    if guidance is None or guidance.traces.path is not None or guidance.traces.missing != "error":
        return
    examples, _ = build(rl.data.train, data=rl.data, base_dir=None)
    without = [example.id for example in examples if example.solution is None]
    if without:
        raise DataError(
            f"rl.data.train: {len(without)} of {len(examples)} questions have no solution to be guided by (first: {without[0]!r}). Give "
            "each one, there or in rl.guidance.traces.path, or leave such questions unguided (rl.guidance.traces.missing: unguided)."
        )
