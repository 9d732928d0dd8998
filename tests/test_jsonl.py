"""Files of one JSON object a line, also those that a killed process left torn."""

from __future__ import annotations

import pytest

from vlmpost import jsonl
from vlmpost.errors import DataError


def test_a_line_that_was_torn_inside_a_character_is_left_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"text": "\u00e9"}\n{"text": "\u00e9'.encode()[:-1])
    assert list(jsonl.read(path, torn_tail=True)) == [(1, {"text": "\u00e9"})]
    with pytest.raises(DataError, match=r"rows\.jsonl:2: not UTF-8 text"):
        list(jsonl.read(path))


def test_a_whole_line_that_is_not_utf8_is_an_error_with_its_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "\xe9"}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl:2: not UTF-8 text"):
        list(jsonl.read(path, torn_tail=True))
