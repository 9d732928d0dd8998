from __future__ import annotations

import datasets
import pytest
from PIL import Image

from vlmpost import tasks
from vlmpost.errors import DataError
from vlmpost.records import Example, Message
from vlmpost.training import dataset as module
from vlmpost.training.dataset import has_mixed_rows, rl_dataset, sft_dataset

TEXT_ROW = Example(id="text", task="t", prompt=(Message("user", ("1 + 1?",)),), answer="2", solution="2")


@pytest.fixture
def drawn():
    return [tasks.make("card_sums", split="train", index=index, difficulty=1) for index in range(3)]


@pytest.fixture
def opened(monkeypatch):
    calls = []
    original = module.open_image
    monkeypatch.setattr(module, "open_image", lambda ref: calls.append(ref) or original(ref))
    return calls


def test_no_image_is_decoded_before_its_row_is_asked_for(drawn, opened):
    rows = sft_dataset(drawn, instruction=None)
    assert isinstance(rows, datasets.Dataset) and len(rows) == 3
    assert opened == []
    row = rows[1]
    assert len(opened) == 1
    assert isinstance(row["images"][0], Image.Image)
    assert row["completion"][0]["content"][0]["text"] == drawn[1].solution


def test_a_text_only_row_has_an_empty_list_of_images_never_none(drawn):
    rows = sft_dataset([drawn[0], TEXT_ROW], instruction=None)
    assert [len(row["images"]) for row in rows] == [1, 0]
    assert [set(row) for row in rows] == [{"prompt", "completion", "images"}] * 2
    assert has_mixed_rows([drawn[0], TEXT_ROW])
    assert not has_mixed_rows(drawn)


def test_each_access_gives_rows_that_may_be_changed(drawn):
    rows = sft_dataset(drawn, instruction="Think.")
    rows[0]["prompt"].clear()
    rows[0]["images"].clear()
    assert rows[0]["prompt"][-1]["content"][-1]["text"].endswith("Think.")
    assert len(rows[0]["images"]) == 1


def test_a_prompt_repeated_for_its_group_is_decoded_once_and_old_ones_are_let_go(drawn, opened):
    rows = rl_dataset(drawn, instruction=None, prompts_per_step=2)
    batch = rows.__getitems__([0, 0, 0, 1, 1, 1] * 2)
    assert len(batch) == 12 and len(opened) == 2
    assert batch[4]["example"] is drawn[1]
    _ = rows[2]
    assert len(opened) == 3
    _ = rows[0]
    assert len(opened) == 4


def test_an_example_without_a_solution_is_refused_by_name():
    bare = Example(id="q9", task="t", prompt=TEXT_ROW.prompt, answer="2")
    with pytest.raises(DataError, match=r"1 of 2 examples have no solution to imitate \(first: q9\)"):
        sft_dataset([TEXT_ROW, bare], instruction=None)
