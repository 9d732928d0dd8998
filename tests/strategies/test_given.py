"""What a strategy is given is looked at before its first stage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.families import build
from vlmpost.config.combine import CombineConfig
from vlmpost.errors import DataError, ModelError
from vlmpost.models import loader
from vlmpost.strategies.given import check_given, given_models

Recipe = Callable[..., dict[str, Any]]  # Any: values of a recipe
FAMILY = loader.read_family(loader.NANO_DIR).name


def test_models_of_the_strategy_alone_count_as_given(combine_recipe: Recipe) -> None:
    recipe = combine_recipe("two_stage", sft=None, two_stage={"sft_model": "some/model"})
    assert given_models(CombineConfig.model_validate(recipe)) == {"two_stage.sft_model": "some/model"}
    assert given_models(CombineConfig.model_validate(combine_recipe("hpt", sft=None))) == {}


def test_a_given_model_that_is_not_there_is_named_by_its_key(combine_recipe: Recipe) -> None:
    recipe = combine_recipe("two_stage", sft=None, two_stage={"sft_model": "/no/such/folder"})
    with pytest.raises(ModelError, match=r"^two_stage\.sft_model: '/no/such/folder' is no folder"):
        check_given(CombineConfig.model_validate(recipe))


def test_a_given_model_of_another_family_is_refused(tmp_path: Path, combine_recipe: Recipe) -> None:
    other = "gemma3" if FAMILY != "gemma3" else "qwen2_vl"
    folder = build(other, tmp_path / "other")
    recipe = combine_recipe("two_stage", sft=None, two_stage={"sft_model": str(folder)})
    with pytest.raises(ModelError, match=rf"two_stage\.sft_model: .* is a {other} model, and model\.path nano a {FAMILY} one"):
        check_given(CombineConfig.model_validate(recipe))


def test_a_given_model_of_the_base_is_taken(combine_recipe: Recipe) -> None:
    check_given(CombineConfig.model_validate(combine_recipe("two_stage", sft=None, two_stage={"sft_model": str(loader.NANO_DIR)})))


def test_questions_without_solutions_are_refused_before_pass_rates_are_measured(tmp_path: Path, combine_recipe: Recipe) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "picture.png")
    rows = [{"id": f"q{number}", "prompt": f"How many? {number}", "images": ["picture.png"], "answer": "1"} for number in range(2)]
    rows[0]["solution"] = "\\boxed{1}"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = combine_recipe("progressive", sft=None, pass_rates={"num_samples": 1})
    recipe["rl"]["data"] = {"train": [{"path": str(tmp_path / "rows.jsonl")}]}
    with pytest.raises(DataError, match=r"1 of 2 questions have no solution to be guided by \(first: 'q1'\)"):
        check_given(CombineConfig.model_validate(recipe))
    recipe["rl"]["guidance"] = {"traces": {"missing": "unguided"}}
    check_given(CombineConfig.model_validate(recipe))
