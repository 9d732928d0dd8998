from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost import jsonl
from vlmpost.curation import pass_rates
from vlmpost.curation.pass_rates import PassRate
from vlmpost.errors import DataError


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    rates = [PassRate("a", 0, 8), PassRate("b", 3, 4)]
    pass_rates.write(tmp_path / "rates.jsonl", rates)
    assert pass_rates.read(tmp_path / "rates.jsonl") == {"a": rates[0], "b": rates[1]}
    assert rates[1].share == 0.75


@pytest.mark.parametrize(
    "row",
    [
        {"num_right": 0, "num_tried": 4},
        {"id": "b", "num_right": 5, "num_tried": 4},
        {"id": "b", "num_right": -1, "num_tried": 4},
        {"id": "b", "num_right": 0, "num_tried": 0},
        {"id": "b", "num_right": 0.5, "num_tried": 1},
        {"id": "b", "num_right": False, "num_tried": True},
        {"id": "a", "num_right": 1, "num_tried": 4},
    ],
)
def test_a_row_that_is_no_pass_rate_is_named_with_its_line(tmp_path: Path, row: dict[str, object]) -> None:
    jsonl.append(tmp_path / "rates.jsonl", [{"id": "a", "num_right": 1, "num_tried": 4}, row])
    with pytest.raises(DataError, match=r"rates\.jsonl:2: "):
        pass_rates.read(tmp_path / "rates.jsonl")
