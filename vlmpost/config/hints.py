"""What to say about a key that a recipe may not hold: near names, other sections, other tools' names."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel

from vlmpost.config.describe import SCHEMAS, KeyHelp, Kind, describe, section_of
from vlmpost.config.foreign import COMMAND_LINE, FOREIGN, FOREIGN_SECTIONS, NOT_HERE, SFT_INSTEAD
from vlmpost.config.trl_keys import OWNED, OWNED_IN_RL, RL_FIELDS, SFT_FIELDS, SHARED_FIELDS
from vlmpost.config.yaml_text import Key, shown

_SISTERS: Final[dict[Kind, Kind]] = {"sft": "rl", "rl": "sft", "combine": "rl", "curate": "sft"}
"""The other kind of recipe whose keys a writer is most likely to think of."""


def near(name: str, choices: Iterable[str]) -> str:
    """The choice that looks most like `name`, as a question, or an empty string.

    >>> near("lerning_rate", ["learning_rate", "optim"])
    '; did you mean learning_rate?'
    """
    found = difflib.get_close_matches(name, sorted(choices), n=1, cutoff=0.7)
    return f"; did you mean {found[0]}?" if found else ""


def unknown_key(kind: Kind, key: Key) -> str:
    """The message for a key that the schema does not have."""
    name = str(key[-1])
    here = key[:-1]
    if name in FOREIGN and _has(kind, _foreign(kind, name)):
        return f"unknown key; `{name}` is `{_foreign(kind, name)}` here."
    if name in COMMAND_LINE:
        return f"unknown key; `{name}` is a flag here: {COMMAND_LINE[name]}."
    if not here and name in FOREIGN_SECTIONS:
        return f"unknown section; `{name}` is a section of {FOREIGN_SECTIONS[name]}. Sections here: {', '.join(_names(kind, ()))}."
    if name in NOT_HERE:
        return f"unknown key; {NOT_HERE[name]}."
    other = _SISTERS[kind]
    owners = [owner for owner in (other, *SCHEMAS) if owner != kind and name in _names(owner, ())]
    if not here and owners:
        return f"unknown section; only recipes of `vlmpost {owners[0]}` have it."
    places = [place for place in _index(kind).get(name, []) if place != _places(here)]
    if places and not (not here and name in _names(kind, ())):
        return f"unknown key; `{name}` belongs under {' or '.join(f'{place}:' for place in places)}."
    similar = near(name, _names(kind, here))
    if places := _index(other).get(name, []):
        found = f"unknown key; `{name}` is a key of `vlmpost {other}` recipes (under {' or '.join(f'{place}:' for place in places)})"
        return f"{found}{similar or '.'}"
    if similar:
        return f"unknown key{similar}"
    if name in trl_fields(kind) and name not in OWNED:
        return f"unknown key; `{name}` is an argument of TRL: put it under trl:."
    everywhere = difflib.get_close_matches(name, sorted(_index(kind)), n=1, cutoff=0.75)
    if everywhere:
        match = everywhere[0]
        return f"unknown key; did you mean {' or '.join(f'{place}.{match}'.lstrip('.') for place in _index(kind)[match])}?"
    return f"unknown key. Keys here: {', '.join(_names(kind, here))}."


def trl_fields(kind: Kind) -> frozenset[str]:
    """The names of the arguments of TRL's config of this kind; none where a recipe has no `trl:` of its own."""
    if kind not in ("sft", "rl"):
        return frozenset()
    return SHARED_FIELDS | (SFT_FIELDS if kind == "sft" else RL_FIELDS)


def trl_key(kind: Kind, name: str) -> str | None:
    """What is wrong with `name` in the `trl:` block; None when it may stand there."""
    if name in OWNED and name in trl_fields(kind):
        per_step = "examples_per_step" if kind == "sft" else "prompts_per_step"
        return f"set by vlmpost; {OWNED[name].format(per_step=per_step)}."
    if kind == "rl" and name in OWNED_IN_RL:
        return f"{OWNED_IN_RL[name]}."
    if name in _index(kind) and name in trl_fields(kind):
        return f"set by vlmpost; use `{_index(kind)[name][0]}.{name}`."
    if name in trl_fields(kind):
        return None
    class_name = "SFTConfig" if kind == "sft" else "GRPOConfig"
    if name in FOREIGN and _has(kind, _foreign(kind, name)):
        return f"not an argument of TRL's {class_name}; `{name}` is `{_foreign(kind, name)}` here."
    return f"not an argument of TRL's {class_name}{near(name, trl_fields(kind)) or '.'}"


def _foreign(kind: Kind, name: str) -> str:
    target = FOREIGN[name]
    return SFT_INSTEAD.get(target, target) if kind == "sft" else target


def _has(kind: Kind, target: str) -> bool:
    return any(help_.key.replace(".N.", ".0.") == target for help_ in _described(kind))


@functools.cache
def _described(kind: Kind) -> tuple[KeyHelp, ...]:
    return tuple(describe(kind))


@functools.cache
def _index(kind: Kind) -> dict[str, list[str]]:
    """Leaf name to the places ("training", "data.train.N") that have it; top-level names stand at ""."""
    result: dict[str, list[str]] = {}
    for help_ in _described(kind):
        place, _, name = help_.key.rpartition(".")
        if place:
            result.setdefault(name, []).append(place)
    return result


def _places(key: Key) -> str:
    return shown(tuple("N" if isinstance(part, int) else part for part in key))


def _names(kind: Kind, key: Key) -> list[str]:
    """The keys that may stand at `key`; empty where anything may."""
    schema: type[BaseModel] | None = SCHEMAS[kind]
    for part in key:
        if isinstance(part, int):
            continue
        if schema is None or part not in schema.model_fields:
            return []
        schema = section_of(schema.model_fields[part].annotation)
    return sorted(schema.model_fields) if schema is not None else []
