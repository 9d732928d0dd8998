"""Named rule profiles: how a benchmark's own scoring reads and compares an answer, for comparison with published numbers.

A profile is a pure function of a text and a `Reference`. "generic" is the judge of vlmpost; every other one reproduces official
rules, their oddities included, except that nothing is guessed at random (unless asked for, seeded), model text is never
evaluated, and a failure of the rule itself is "uncertain", never a silent 0.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vlmpost.answers.reference import Reference
from vlmpost.errors import ConfigError
from vlmpost.records import Verdict

ProfileFunction = Callable[[str, Reference], Verdict]


@dataclass(frozen=True, slots=True)
class Profile:
    """One set of rules under a name."""

    name: str
    function: ProfileFunction
    meaning: str
    """The first line of the function's docstring."""


_PLACES: Mapping[str, str] = MappingProxyType(
    {
        "aime": "aime:aime",
        "generic": "generic:generic",
        "gsm8k": "gsm8k:gsm8k",
        "letter_only": "letter_only:letter_only",
        "math": "math:math",
        "math_verify": "math_verify:math_verify",
        "mathverse": "mathverse:mathverse",
        "mathvision": "mathvision:mathvision",
        "mathvista": "mathvista:mathvista",
        "mathvista_official": "mathvista:mathvista_official",
        "mmlu_pro": "mmlu_pro:mmlu_pro",
        "mmmu_pro": "mmmu:mmmu_pro",
        "mmmu_val": "mmmu:mmmu_val",
        "mmmu_val_open": "mmmu:mmmu_val_open",
        "mmstar": "mmstar:mmstar",
        "ocrbench": "ocrbench:ocrbench",
        "theoremqa": "theoremqa:theoremqa",
        "theoremqa_official": "theoremqa:theoremqa_official",
    }
)
"""Name -> module:function in this room; a module is imported when its profile is asked for."""


def names() -> tuple[str, ...]:
    """Returns the names of the profiles, sorted."""
    return tuple(sorted(_PLACES))


@functools.cache
def find(name: str) -> Profile:
    """Returns the profile of that name; "mathvista-compat" is "mathvista_official", as hyphens are underscores.

    Raises:
        ConfigError: There is none.
    """
    name = name.replace("-", "_").replace("_compat", "_official")
    if name not in _PLACES:
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"There is no rule profile {name!r}.{hint} Profiles: {', '.join(names())}.")
    module, _, attribute = _PLACES[name].partition(":")
    function: ProfileFunction = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    return Profile(name, function, (function.__doc__ or "").strip().partition("\n")[0])
