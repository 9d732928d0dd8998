"""The schema's complaints as sentences a recipe's writer understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from vlmpost.config.describe import BOUNDS, SCHEMAS, Kind, section_of, type_text
from vlmpost.config.hints import near, unknown_key
from vlmpost.config.yaml_text import Fault, Key, lookup


def schema_faults(kind: Kind, data: object, error: ValidationError) -> list[Fault]:
    """One fault for each place the schema complains about; branches of a union count once."""
    result: dict[Key, Fault] = {}
    for details in error.errors(include_url=False):
        fault = _fault(kind, data, details)
        result.setdefault(fault.key, fault)
    return list(result.values())


def _fault(kind: Kind, data: object, details: ErrorDetails) -> Fault:
    location: Key = details["loc"]
    if kind == "combine" and len(location) > 1 and location[0] in ("sft", "rl"):
        stage = cast(Kind, location[0])
        inner = _fault(stage, lookup(data, location[:1])[1], cast(ErrorDetails, {**details, "loc": location[1:]}))
        return replace(inner, key=(stage, *inner.key))
    if details["type"] == "extra_forbidden":
        return Fault(location, unknown_key(kind, location))
    if details["type"] == "missing":
        meaning = meaning_of(kind, location)
        return Fault(location, f"required, and missing{f' ({meaning})' if meaning else ''}.")
    if details["type"] == "literal_error" and location[-1] == "[key]":
        choices = _choices(details)
        return Fault(location[:-1], f"unknown key; choose one of {', '.join(choices)}{near(str(location[-2]), choices) or '.'}")
    key, value = lookup(data, location)
    return Fault(key, _wrong_value(kind, key, value, details))


def _wrong_value(kind: Kind, key: Key, value: object, details: ErrorDetails) -> str:
    if details["type"] == "literal_error" and isinstance(value, str):
        choices = _choices(details)
        return f"got {value!r}; choose one of {', '.join(choices)}{near(value, choices) or '.'}"
    if details["type"] == "too_short":
        return "needs at least one entry, and has none."
    expected = _bounded(expected_at(kind, key), details)
    if details["type"] in _TYPE_ERRORS or expected:
        return f"expected {expected or _TYPE_ERRORS[details['type']]}, got {got(value)}."
    return f"{details['msg']}; got {got(value)}."


def _bounded(expected: str, details: ErrorDetails) -> str:
    """An entry of a list in words, with the bound that it breaks; the bounds of other values stand in their words."""
    found = details.get("ctx", {})
    broken = [f"{sign} {found[name]:g}" for name, sign in BOUNDS if name in found]
    return " ".join([expected, *(bound for bound in broken if bound not in expected)]) if expected else ""


def _choices(details: ErrorDetails) -> list[str]:
    """The words that a literal may be, by name."""
    expected = str(details.get("ctx", {})["expected"])
    return sorted(word.strip("'\" ") for word in expected.replace(" or ", ", ").split(","))


_TYPE_ERRORS: Mapping[str, str] = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "literal_error": "one of its words",
    "model_type": "a mapping of keys",
    "string_type": "text",
}


def expected_at(kind: Kind, key: Key) -> str:
    """The type that the schema has at `key`, in words; empty where the schema leaves it open."""
    schema = SCHEMAS[kind]
    words = "a mapping of keys"
    for part in key:
        if isinstance(part, int):
            words = words.partition(", or null")[0].removeprefix("list of ").removesuffix("s")
            continue
        if part not in schema.model_fields:
            return ""
        field = schema.model_fields[part]
        words = type_text(field)
        inner = section_of(field.annotation)
        if inner is not None:
            schema = inner  # type: ignore[assignment]
    return "a mapping of keys" if words == "section" else words


def meaning_of(kind: Kind, key: Key) -> str:
    """The help text of `key`, without its final period; empty when the schema has none."""
    schema = SCHEMAS[kind]
    meaning = ""
    for part in key:
        if isinstance(part, int):
            continue
        field = schema.model_fields[part]
        meaning = " ".join((field.description or "").split()).rstrip(".")
        inner = section_of(field.annotation)
        if inner is not None:
            schema = inner  # type: ignore[assignment]
    return meaning


def got(value: object) -> str:
    """A value as it is named in a message, with its kind where that is the point.

    >>> got("5"), got(2.5), got([1]), got(None)
    ("'5' (text)", '2.5', 'a list', 'nothing (null)')
    """
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return f"{str(value).lower()} (true or false)"
    if isinstance(value, str):
        return f"{value if len(value) <= 60 else value[:57] + '...'!r} (text)"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence):
        return "a list"
    return f"{value}"
