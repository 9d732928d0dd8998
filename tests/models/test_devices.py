"""How many CPU threads a model gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from vlmpost.models.devices import SMALL_MODEL_PARAMETERS, settle_threads

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_small_model_on_a_cpu_gets_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert settle_threads(1_654_400, CPU) == 1


def test_a_large_model_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert settle_threads(SMALL_MODEL_PARAMETERS, CPU) == 2


def test_the_user_has_the_last_word_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert settle_threads(1_654_400, CPU) == 2
