"""YAML text to plain values that remember their lines.

Read with YAML 1.2's rules for plain scalars, not PyYAML's 1.1: `1e-5` is a number, `off` and `no` are words, `1:30` is text.
Tags, merge keys and repeated keys are faults: a recipe says each thing once. No tag is ever executed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

Key = tuple[str | int, ...]
"""Where a value stands: ("data", "train", 0, "path")."""


_TAGS = frozenset({"bool", "float", "int", "map", "null", "seq", "str"})


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a recipe."""

    key: Key
    """Where; the empty tuple is the whole file."""
    message: str
    """What is wrong, what we got, what to do."""
    line: int | None = None
    """The line, where it is not that of `key`."""
    flag: str | None = None
    """The `--set` argument that is wrong by itself; None: the fault is in the recipe."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's plain scalars."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's own interface)


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+(?:_[0-9]+)*$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:[0-9]+(?:_[0-9]+)*\.?[0-9]*(?:[eE][-+]?[0-9]+)|[0-9]+(?:_[0-9]+)*\.[0-9]*|\.[0-9]+(?:[eE][-+]?[0-9]+)?)"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+.0123456789"),
)


def parse_value(text: str) -> object:
    """The value of a piece of YAML, as after `--set key=`.

    Raises:
        yaml.YAMLError: The text is not YAML.
        ValueError: A key is repeated, or a tag or merge key is used.

    >>> parse_value("1e-5"), parse_value("off"), parse_value("[1, 2]"), parse_value("null")
    (1e-05, 'off', [1, 2], None)
    """
    value, _, faults = parse(text)
    if faults:
        raise ValueError(faults[0].message)
    return value


def parse(text: str) -> tuple[object, dict[Key, int], list[Fault]]:
    """The value of one YAML document, the line (from 1) of each key in it, and its faults.

    Raises:
        yaml.YAMLError: The text is not YAML, or holds more than one document.
    """
    node = yaml.compose(text, Loader=_Loader)
    lines: dict[Key, int] = {}
    faults: list[Fault] = []
    value = None if node is None else _value(node, (), lines=lines, faults=faults, inside=())
    return value, lines, faults


def _value(node: yaml.Node, key: Key, *, lines: dict[Key, int], faults: list[Fault], inside: tuple[yaml.Node, ...]) -> object:
    line = node.start_mark.line + 1
    lines.setdefault(key, line)
    if any(node is outer for outer in inside):
        faults.append(Fault(key, "an alias that contains itself; write the values out.", line))
        return None
    inside = (*inside, node)
    if node.tag.rpartition(":")[2] not in _TAGS:
        faults.append(Fault(key, f"the tag {node.tag} is not read here; write a plain value.", line))
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*key, index), lines=lines, faults=faults, inside=inside) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, key, lines=lines, faults=faults, inside=inside)
    return _scalar(node)


def _mapping(
    node: yaml.MappingNode, key: Key, *, lines: dict[Key, int], faults: list[Fault], inside: tuple[yaml.Node, ...]
) -> dict[str, object]:
    result: dict[str, object] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            faults.append(Fault(key, "a key must be a word, not a list or a mapping.", line))
            continue
        name = key_node.value
        if name == "<<":
            faults.append(Fault(key, "merge keys (<<) are not read here; write the keys out.", line))
            continue
        if name in result:
            faults.append(Fault((*key, name), f"written twice (first on line {lines[(*key, name)]}); keep one.", line))
            continue
        lines[(*key, name)] = line
        result[name] = _value(value_node, (*key, name), lines=lines, faults=faults, inside=inside)
    return result


def _scalar(node: yaml.Node) -> object:
    text: str = node.value
    match node.tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text)
        case "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def shown(key: Key) -> str:
    """A key as users write it.

    >>> shown(("data", "train", 0, "path"))
    'data.train.0.path'
    """
    return ".".join(str(part) for part in key)


def lookup(data: object, key: Key) -> tuple[Key, object]:
    """The longest prefix of `key` that exists in `data`, with its value."""
    for length, part in enumerate(key):
        if (isinstance(data, Mapping) and part in data) or (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            data = data[part]  # type: ignore[index]
        else:
            return key[:length], data
    return key, data
