"""Every key of a recipe with type, default and meaning, read from the schema."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from vlmpost.config.combine import CombineConfig
from vlmpost.config.curate import CurateConfig
from vlmpost.config.schema import RlConfig, SftConfig

TrainingKind = Literal["sft", "rl"]
Kind = Literal["sft", "rl", "combine", "curate"]
Recipe = SftConfig | RlConfig | CombineConfig | CurateConfig

SCHEMAS: typing.Final[dict[Kind, type[Recipe]]] = {"sft": SftConfig, "rl": RlConfig, "combine": CombineConfig, "curate": CurateConfig}


@dataclass(frozen=True)
class KeyHelp:
    """What a recipe may say under one key."""

    key: str
    """Dotted, with N for a place in a list: "data.train.N.path"."""
    type: str
    default: str | None
    """As YAML; None: the key is required."""
    meaning: str


def describe(kind: Kind) -> list[KeyHelp]:
    """Every key of a recipe of this kind, in the schema's order; sections stand before their keys."""
    return list(_walk(SCHEMAS[kind], prefix=""))


def section_of(annotation: object) -> type[BaseModel] | None:
    """The schema class inside an annotation (`X`, `list[X]`, `X | None`); None when there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        found = section_of(argument)
        if found is not None:
            return found
    return None


def _walk(schema: type[BaseModel], *, prefix: str) -> Iterator[KeyHelp]:
    for name, field in schema.model_fields.items():
        key = prefix + name
        yield KeyHelp(key=key, type=type_text(field), default=_default_text(field), meaning=" ".join((field.description or "").split()))
        inner = section_of(field.annotation)
        if inner is not None:
            yield from _walk(inner, prefix=f"{key}.N." if _is_list(field.annotation) else f"{key}.")


def _is_list(annotation: object) -> bool:
    """Whether a section's annotation is a list of them, or a list or nothing."""
    return typing.get_origin(annotation) is list or any(typing.get_origin(part) is list for part in typing.get_args(annotation))


def type_text(field: FieldInfo) -> str:
    """The type of a field in words, with its bounds: "whole number > 0, or null"."""
    text = words(field.annotation)
    bounds = [f"{sign} {getattr(bound, name):g}" for bound in field.metadata for name, sign in BOUNDS if hasattr(bound, name)]
    if not bounds:
        return text
    head, comma, tail = text.partition(", or null")
    return f"{head} {' and '.join(bounds)}{comma}{tail}"


BOUNDS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
"""Bounds of a number by pydantic's names, with their signs."""
_WORDS: Mapping[object, str] = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}


def words(annotation: object) -> str:
    """An annotation in words a recipe's writer uses.

    >>> words(list[int]), words(float | None)
    ('list of whole numbers', 'number, or null')
    """
    if annotation in _WORDS:
        return _WORDS[annotation]
    if section_of(annotation) is annotation:
        return "section"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return words(arguments[0])
    if origin is Literal:
        return " | ".join(str(argument) for argument in arguments)
    if origin is list:
        inner = words(arguments[0])
        return f"list of {inner}" if arguments[0] in (str,) or "|" in inner else f"list of {inner}s"
    if origin is dict:
        return "mapping"
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(words(argument) for argument in arguments)
    return "any value"


def _default_text(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True, validated_data={})
    assert value is not PydanticUndefined, field
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, default=_given_keys)


def _given_keys(section: BaseModel) -> object:
    """A section inside a default, as its writer would put it."""
    return section.model_dump(mode="json", exclude_unset=True)
