"""The model judge that `vlmpost reward score` is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmpost.rewards.model_judge import Completer, ModelJudge


def chosen_judge(model: str | None, path: str | None, cache: Path | None) -> ModelJudge | None:
    """Returns the judge by its name at an endpoint or by its folder; None where neither is given.

    Raises:
        ConfigError: Both are given, a cache without either, or there is no address for the endpoint.
        ModelError: The folder cannot be loaded.
    """
    from vlmpost.errors import ConfigError

    if model is None and path is None:
        if cache is not None:
            raise ConfigError("--judge-cache keeps the replies of a judge: add --judge or --judge-path.")
        return None
    if model is not None and path is not None:
        raise ConfigError("--judge and --judge-path are two ways to one judge; give one.")
    from vlmpost.rewards.model_judge import ModelJudge

    return ModelJudge(_completer(model, path), cache=cache)


def _completer(model: str | None, path: str | None) -> Completer:
    if model is not None:
        from vlmpost.rewards.endpoint import Endpoint

        return Endpoint(model)
    from vlmpost.cli.evaluation import model_path
    from vlmpost.config.schema import ModelConfig
    from vlmpost.models import loader
    from vlmpost.models.completer import LocalCompleter

    return LocalCompleter(loader.load(ModelConfig(path=model_path(str(path))), purpose="eval"))
