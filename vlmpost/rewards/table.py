"""The rewards that come with vlmpost, by name: the function, its presets, and what its parameters must agree on."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from vlmpost.errors import ConfigError
from vlmpost.rewards import correctness, formats
from vlmpost.rewards.users import find_function

RewardFunction = Callable[..., Any]  # Any: a number, None, a value per token, or for a group reward one of these per completion
Preset = Mapping[str, object]
"""Parameter name -> value, as JSON."""
Check = Callable[[Mapping[str, object], int | None], Sequence[str]]
"""(all arguments, the recipe's max_completion_length) -> what is wrong with them together, one clause per fault."""


@dataclass(frozen=True, slots=True)
class Reward:
    """One reward of the table, or a user's."""

    function: RewardFunction
    presets: Mapping[str, Preset] = field(default_factory=dict)
    """Preset name -> the parameters it stands for, each named after its source."""
    check: Check | None = None

    @property
    def meaning(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]


TABLE: Mapping[str, Reward] = MappingProxyType(
    {
        "accuracy": Reward(correctness.accuracy, check=correctness.check_profile),
        "boxed_format": Reward(formats.boxed_format),
        "format": Reward(formats.format_think),
    }
)


def names() -> tuple[str, ...]:
    """Returns the names of the rewards that come with vlmpost, sorted."""
    return tuple(sorted(TABLE))


def find(name: str) -> Reward:
    """Returns the reward that `name` stands for; a user's module is imported.

    Raises:
        ConfigError: There is no such reward, file, module or function, or the user's module fails to import.
    """
    if name in TABLE:
        return TABLE[name]
    if ":" in name:
        return Reward(find_function(name))
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"There is no reward {name!r}.{hint} Rewards: {', '.join(names())}; yours: package.module:function or path/to/file.py:function."
    )
