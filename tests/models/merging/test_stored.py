"""Reading stretches of tensors out of safetensors files, and folders whose index says what is not so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vlmpost.errors import ModelError
from vlmpost.models.merging.stored import open_weights

SHARDS = {"model-00001-of-00002.safetensors": ["a", "b"], "model-00002-of-00002.safetensors": ["c"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, (file, names) in enumerate(SHARDS.items()):
        save_file({name: torch.arange(6.0).view(2, 3) + 10 * number for name in names}, tmp_path / file)
    write_index(tmp_path, {name: file for file, names in SHARDS.items() for name in names})
    return tmp_path


def write_index(folder: Path, weight_map: dict[str, str]) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_a_stretch_is_those_entries_and_nothing_else(folder: Path) -> None:
    weights = open_weights(folder)
    assert weights.reader("c")(2, 5).tolist() == [12.0, 13.0, 14.0]
    assert weights.reader("c")(6, 6).tolist() == []
    assert weights.read("c").tolist() == [[10.0, 11.0, 12.0], [13.0, 14.0, 15.0]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.uint8, torch.bool])
def test_every_type_is_read_as_it_is_stored(dtype: torch.dtype, tmp_path: Path) -> None:
    tensor = torch.tensor([0, 1, 1, 0]).to(dtype)
    save_file({"odd": torch.zeros(3, dtype=torch.uint8), "tensor": tensor, "scalar": tensor[1].clone()}, tmp_path / "model.safetensors")
    weights = open_weights(tmp_path)
    assert torch.equal(weights.reader("tensor")(1, 4), tensor[1:4])
    assert torch.equal(weights.read("scalar"), tensor[1])


def test_a_lying_index_is_refused_with_all_its_lies(folder: Path) -> None:
    first, second = SHARDS
    write_index(folder, {"a": second, "c": second, "ghost": first})
    with pytest.raises(ModelError) as caught:
        open_weights(folder)
    said = str(caught.value)
    assert f"it names what is not there (2): a in {second}, ghost in {first}" in said
    assert f"it does not name what is (1): b in {first}" in said


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks 1 of the 2 weight files its index names: model-00002-of-00002\.safetensors"):
        open_weights(folder)
