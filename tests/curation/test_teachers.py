"""From a recipe to who answers."""

from __future__ import annotations

import pytest

from vlmpost.config.curate import CurateConfig
from vlmpost.curation.endpoint import BASE_URL
from vlmpost.curation.teachers import teacher_of
from vlmpost.errors import ConfigError


def recipe(**teacher: object) -> CurateConfig:
    return CurateConfig.model_validate({"data": [{"path": "questions.jsonl"}], "teacher": teacher})


@pytest.mark.parametrize(
    ("teacher", "name"),
    [
        ({"kind": "endpoint", "name": "big"}, "big"),
        ({"kind": "endpoint", "name": "big", "prompting": "actions"}, "big, actions"),
        ({"kind": "endpoint", "name": "big", "prompting": "actions", "reflection_name": "wise"}, "big and wise, actions"),
    ],
)
def test_a_teacher_at_an_endpoint_is_named_by_its_models_and_never_by_its_address(
    monkeypatch: pytest.MonkeyPatch, teacher: dict[str, object], name: str
) -> None:
    monkeypatch.setenv(BASE_URL, "http://secret.example/v1")
    assert teacher_of(recipe(**teacher)).name == name


def test_the_shipped_model_teaches_in_both_ways() -> None:
    answering, acting = teacher_of(recipe()), teacher_of(recipe(prompting="actions"))
    assert acting.name == f"{answering.name}, actions"
    assert answering.name.startswith("nano")


def test_a_teacher_at_an_endpoint_needs_a_name() -> None:
    with pytest.raises(ConfigError, match=r"teacher\.name"):
        teacher_of(recipe(kind="endpoint"))
