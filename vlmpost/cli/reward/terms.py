"""The options by which the reward commands name rewards, and the set built from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vlmpost.config.schema import RewardTermConfig
    from vlmpost.rewards import RewardSet

RewardOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reward",
        help="A reward of `vlmpost reward ls`, or yours: package.module:function, file.py:function; again for more.",
        show_default=False,
    ),
]
ParamsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="REWARD.PARAM=VALUE", help="A parameter of a reward; again for more.", show_default=False),
]
RecipeOption = Annotated[Path | None, typer.Option("--recipe", help="Take the rewards of this recipe.", show_default=False)]
BudgetOption = Annotated[int | None, typer.Option(help="Token budget, for rewards that know one.", min=1, show_default=False)]
ProfileOption = Annotated[
    str, typer.Option(help="Whose rules give the verdict (`vlmpost reward ls`); row: each row names its own profile or rule_profile.")
]


def built(
    reward: list[str] | None, params: list[str] | None, *, recipe: Path | None = None, max_completion_length: int | None = None
) -> RewardSet | None:
    """Returns the rewards that the options name; None where they name none.

    Raises:
        ConfigError: A reward, parameter or recipe is wrong, or a parameter is for a reward that is not named.
    """
    from vlmpost import rewards
    from vlmpost.config.load import load
    from vlmpost.config.schema import RewardTermConfig, RlConfig
    from vlmpost.errors import ConfigError

    if recipe is not None:
        if reward or params:
            raise ConfigError("--recipe brings its own rewards; leave out --reward and --set.")
        loaded = load("rl", recipe, ()).config
        assert isinstance(loaded, RlConfig), "an rl recipe was asked for"
        return rewards.build(
            loaded.rewards,
            max_completion_length=max_completion_length or loaded.generation.max_completion_length,
            pixel_budget=loaded.model.pixel_budget,
        )
    given = _params(params)
    unknown = sorted(set(given) - set(reward or ()))
    if unknown:
        raise ConfigError(f"--set {unknown[0]}....: no --reward of that name; named are: {', '.join(reward or ()) or 'none'}.")
    terms: list[RewardTermConfig] = [RewardTermConfig(name=name, params=given.get(name, {})) for name in reward or ()]
    return rewards.build(terms, max_completion_length=max_completion_length) if terms else None


def _params(given: list[str] | None) -> dict[str, dict[str, object]]:
    """Reward -> parameter -> value, the values of `--set` in YAML.

    Raises:
        ConfigError: An argument is not REWARD.PARAM=VALUE.
    """
    import yaml

    from vlmpost.config.yaml_text import parse_value
    from vlmpost.errors import ConfigError

    result: dict[str, dict[str, object]] = {}
    for argument in given or ():
        key, equals, text = argument.partition("=")
        name, dot, param = key.rpartition(".")
        if not equals or not dot or not name or not param:
            raise ConfigError(f"--set {argument}: write it as REWARD.PARAM=VALUE, e.g. --set cosine_length.preset=trl.")
        try:
            result.setdefault(name, {})[param] = parse_value(text)
        except (yaml.YAMLError, ValueError):
            raise ConfigError(f"--set {argument}: the value is not YAML; put it in quotes.") from None
    return result
