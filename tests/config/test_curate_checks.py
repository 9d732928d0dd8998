from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost.config.curate import CurateConfig
from vlmpost.config.load import load
from vlmpost.errors import ConfigError

START = "data:\n  - {task: counting, num_examples: 4}\n"


def loaded(tmp_path: Path, text: str) -> CurateConfig:
    path = tmp_path / "curate.yaml"
    path.write_text(START + text)
    return load("curate", path).config


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("teacher: {kind: endpoint}", "teacher.name", "which model answers"),
        ("teacher: {kind: endpoint, name: ' '}", "teacher.name", "which model answers"),
        ("teacher: {reflection_name: large, prompting: actions}", "teacher.reflection_name", "is for kind: endpoint"),
        ("teacher: {kind: endpoint, name: large, reflection_name: other}", "teacher.reflection_name", "is for prompting: actions"),
        ("teacher: {kind: endpoint, name: large, prompting: actions, think_tags: true}", "teacher.think_tags", "is for prompting: answer"),
        ("teacher: {name: large}", "teacher.name", "is for kind: endpoint"),
        ("teacher: {max_tries: 2}", "teacher.max_tries", "is for kind: endpoint"),
        ("teacher: {max_actions: 8}", "teacher.max_actions", "is for prompting: actions"),
        ("generation: {seeding: batch}", "generation.seeding", "do not depend on the batch"),
        ("questions: {max_pass_rate: 0.5}", "questions.max_pass_rate", "without pass_rates"),
        ("questions: {needs_image_samples: 2}", "questions.needs_image_samples", "without needs_image"),
        ("filters: {min_tokens: 9, max_tokens: 8}", "filters.min_tokens", "9 > 8"),
        ("keep: {which: shortest}", "keep.which", "add num"),
        ("decontaminate: {against: [{task: counting}]}", "decontaminate.against.0", "add num_examples"),
    ],
)
def test_keys_that_do_not_go_together_are_named(tmp_path: Path, text: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert f"{key}: " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "teacher: {kind: endpoint, name: large, max_tries: 2}",
        "teacher: {prompting: actions, max_actions: 8}",
        "filters: {min_tokens: 8, max_tokens: 8}",
        "keep: {which: shortest, max_rows: 3}",
        "keep: {which: random, num: 1}",
        "model: {load_in_4bit: true}",
    ],
)
def test_keys_that_go_together_pass(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).num_samples == 8


def test_sources_of_questions_are_checked_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"curate\.yaml:2: data\.0: a drawn task has no end: add num_examples"):
        (tmp_path / "curate.yaml").write_text("data:\n  - {task: counting}\n")
        load("curate", tmp_path / "curate.yaml")
