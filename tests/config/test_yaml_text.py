"""Plain scalars follow YAML 1.2, every key knows its line, and nothing is executed."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.config.yaml_text import lookup, parse, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("-.5e3", -500.0),
        ("1.", 1.0),
        ("1_000", 1000),
        ("007", 7),
        ("true", True),
        ("FALSE", False),
        ("off", "off"),
        ("no", "no"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("0x10", "0x10"),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
        ("'5'", "5"),
        ("null", None),
        ("~", None),
        ("", None),
        ("none", "none"),
        ("[1, {a: 2}]", [1, {"a": 2}]),
    ],
)
def test_plain_scalars_are_read_as_recipes_mean_them(text: str, value: object) -> None:
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)


def test_infinities_and_nan_are_numbers() -> None:
    assert parse_value("-.inf") == -math.inf
    assert math.isnan(float(str(parse_value(".nan"))))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_that_python_prints_is_read_back(number: float) -> None:
    assert parse_value(repr(number)) == number


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_what_a_yaml_writer_quotes_is_read_back(value: object) -> None:
    text = yaml.safe_dump(value)
    read, _, faults = parse(text)
    if "<<" not in text:  # as a key it is a fault
        assert read == value
        assert faults == []


def test_every_key_and_entry_has_its_line() -> None:
    _, lines, faults = parse("# head\nmodel:\n  path: nano\ndata:\n  train:\n    - task: counting\n    - {path: x,\n       seed: 3}\n")
    assert faults == []
    assert lines["model",] == 2
    assert lines["model", "path"] == 3
    assert lines["data", "train", 0, "task"] == 6
    assert lines["data", "train", 1, "path"] == 7
    assert lines["data", "train", 1, "seed"] == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "written twice (first on line 1)"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "merge keys"),
        ("a: !!python/object/apply:os.system [ls]", "tag"),
        ("a: !mine x", "tag"),
        ("&a [*a]", "alias"),
        ("{[1, 2]: 3}", "a key must be a word"),
    ],
)
def test_what_a_recipe_may_not_hold_is_a_fault(text: str, said: str) -> None:
    _, _, faults = parse(text)
    assert [said in fault.message for fault in faults] == [True]


def test_an_alias_stands_for_its_value() -> None:
    assert parse("a: &x [1, 2]\nb: *x")[0] == {"a": [1, 2], "b": [1, 2]}


def test_lookup_stops_where_the_data_ends() -> None:
    data = {"a": [{"b": 1}]}
    assert lookup(data, ("a", 0, "b")) == (("a", 0, "b"), 1)
    assert lookup(data, ("a", 0, "b", "int")) == (("a", 0, "b"), 1)
    assert lookup(data, ("a", 3)) == (("a",), [{"b": 1}])
