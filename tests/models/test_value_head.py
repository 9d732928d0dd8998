"""The value head: its first weights, its type, its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vlmpost.errors import RunError
from vlmpost.models import value_head
from vlmpost.models.value_head import ValueHead


def test_a_new_head_says_zero_and_draws_from_its_own_seed() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    one, same, other = ValueHead(8, sizes=[4], seed=1), ValueHead(8, sizes=[4], seed=1), ValueHead(8, sizes=[4], seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one(torch.randn(2, 3, 8)).tolist() == [[0.0] * 3] * 2
    assert torch.equal(one.layers[0].weight, same.layers[0].weight)
    assert not torch.equal(one.layers[0].weight, other.layers[0].weight)


def test_a_head_in_float32_reads_hidden_states_of_bfloat16() -> None:
    head = ValueHead(4, seed=0)
    torch.nn.init.constant_(head.layers[0].weight, 0.5)
    found = head(torch.ones(2, 4, dtype=torch.bfloat16))
    assert found.dtype == torch.float32 and found.tolist() == [2.0, 2.0]


def test_a_head_comes_back_from_its_file_and_no_other_does(tmp_path: Path) -> None:
    head = ValueHead(4, sizes=[3], seed=0)
    torch.nn.init.normal_(head.layers[2].weight)
    value_head.save(head, tmp_path)
    again = ValueHead(4, sizes=[3], seed=9)
    value_head.load(again, tmp_path)
    assert all(torch.equal(one, two) for one, two in zip(head.parameters(), again.parameters(), strict=True))
    with pytest.raises(RunError, match="Resume with the recipe that wrote it"):
        value_head.load(ValueHead(4, seed=0), tmp_path)
    (tmp_path / value_head.FILE_NAME).write_bytes(b"torn")
    with pytest.raises(RunError, match="cannot be read"):
        value_head.load(again, tmp_path)


def test_a_file_of_other_tensors_is_refused_with_the_first_difference(tmp_path: Path) -> None:
    value_head.save_weights({"a": torch.zeros(2), "b": torch.zeros(3)}, tmp_path / "file")
    with pytest.raises(RunError, match=r"holds b as \[3\], which is \[4\] in the recipe's critic"):
        value_head.load_weights({"a": torch.zeros(2), "b": torch.zeros(4)}, tmp_path / "file", what="critic")
    with pytest.raises(RunError, match=r"holds b as \[3\], which is nothing in the recipe's critic"):
        value_head.load_weights({"a": torch.zeros(2)}, tmp_path / "file", what="critic")
