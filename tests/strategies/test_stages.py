"""Recipes of stages: values filled in, read back, checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from vlmpost.config.combine import SPARSE_METHODS, MergeMethod
from vlmpost.config.schema import RlConfig
from vlmpost.errors import RunError
from vlmpost.models.merging.methods import METHODS
from vlmpost.strategies.stages import Fill, Reference, Stage, filled, value_of, with_value
from vlmpost.strategies.work import length_quantile

RL = RlConfig.model_validate({"data": {"train": [{"path": "a.jsonl"}]}, "rewards": [{"name": "accuracy"}]})


def test_a_value_is_put_where_it_belongs_and_the_rest_stays() -> None:
    changed = with_value(RL, ("guidance", "pass_rate", "path"), "rates.jsonl")
    assert isinstance(changed, RlConfig)
    assert changed.guidance is not None
    assert changed.guidance.pass_rate.path == "rates.jsonl"
    assert changed.model_copy(update={"guidance": None}) == RL
    assert RL.guidance is None


def test_fills_are_read_from_the_files_of_earlier_stages(tmp_path: Path) -> None:
    (tmp_path / "01_lengths").mkdir()
    (tmp_path / "01_lengths/lengths.json").write_text(json.dumps({"max_completion_length": 77}))
    fill = Fill(("generation", "max_completion_length"), Reference("01_lengths", "lengths.json", "max_completion_length"))
    config = filled(Stage("02_rl", "rl", RL, fills=(fill,)), tmp_path)
    assert isinstance(config, RlConfig)
    assert config.generation.max_completion_length == 77


def test_a_missing_value_is_named_with_the_way_on(tmp_path: Path) -> None:
    (tmp_path / "01_select").mkdir()
    (tmp_path / "01_select/choice.json").write_text("{}")
    with pytest.raises(RunError, match=r"01_select/choice.json: has no path; remove .*01_select to run that stage again with --resume"):
        value_of(Reference("01_select", "choice.json", "path"), tmp_path)


@pytest.mark.parametrize(
    ("share", "length"),
    [(0.95, 19), (0.5, 10), (0.51, 11), (1.0, 20), (0.05, 1)],  # of 1..20: ceil(share * 20) of them
)
def test_a_quantile_is_a_length_that_occurs(share: float, length: int) -> None:
    assert length_quantile(list(range(20, 0, -1)), share) == length


def test_methods_of_a_recipe_are_those_of_merging() -> None:
    assert set(get_args(MergeMethod)) == set(METHODS)
    assert set(SPARSE_METHODS) == {name for name, method in METHODS.items() if method.sparsify}
