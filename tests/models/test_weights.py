"""Hashes of weight files: they name the content, whole or sampled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vlmpost.models import weights
from vlmpost.models.weights import weight_files, weights_hash


def write(folder: Path, value: float) -> tuple[Path, ...]:
    folder.mkdir(exist_ok=True)
    save_file({"a": torch.full((100, 100), value), "b": torch.zeros(3)}, folder / "model.safetensors")
    return weight_files(folder)


@pytest.mark.parametrize("limit", [2**30, 0])
def test_the_hash_names_content_and_not_place(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_WHOLE_HASH_BYTES", limit)
    first, same, other = (weights_hash(write(tmp_path / name, value)) for name, value in (("x", 1.0), ("y", 1.0), ("z", 2.0)))
    assert first == same != other
    assert first.startswith("sha256:" if limit else "sha256-sampled:")


def test_samples_reach_both_ends_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_WHOLE_HASH_BYTES", 0)
    monkeypatch.setattr(weights, "SAMPLE_BYTES", 64)
    before = weights_hash(write(tmp_path, 1.0))
    file = tmp_path / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert weights_hash((file,)) != before


def test_a_single_file_wins_over_an_index_as_in_transformers(tmp_path: Path) -> None:
    write(tmp_path, 1.0)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    assert [file.name for file in weight_files(tmp_path)] == ["model.safetensors"]
