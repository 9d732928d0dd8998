"""A manifest says where a run came from, and keeps no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmpost.config.schema import DataConfig, SftConfig, SftTrainingConfig, SourceConfig
from vlmpost.records import Example, ImageRef, Message
from vlmpost.runs.directory import create, open_existing
from vlmpost.runs.manifest import (
    build_manifest,
    code_revision,
    config_hash,
    examples_hash,
    public_arguments,
    read_manifest,
    update_manifest,
)

CONFIG = SftConfig(data=DataConfig(train=[SourceConfig(task="counting", num_examples=5)]))


def manifest() -> dict[str, object]:
    return build_manifest(kind="sft", argv=["vlmpost", "sft", "r.yaml"], config=CONFIG, seeds={"training": 42})


def test_a_manifest_names_everything_that_went_in() -> None:
    built = manifest()
    assert set(built) >= {
        *("argv", "code_revision", "packages", "hardware", "seeds", "config_hash", "data_hashes", "model_hash"),
        *("chat_template_hash", "pixel_budget", "parent_runs"),
    }
    packages = built["packages"]
    assert isinstance(packages, dict)
    assert packages["trl"].startswith("1.16")
    assert json.loads(json.dumps(built)) == built


def test_no_environment_variable_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    assert "hf_verysecret" not in json.dumps(manifest())


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["rl", "--set", "trl.hub_token=abc"], ["rl", "--set", "trl.hub_token=***"]),
        (["--api-key", "abc", "x"], ["--api-key", "***", "x"]),
        (["--password=abc"], ["--password=***"]),
        (["--set", "training.seed=3"], ["--set", "training.seed=3"]),
        (["tokens.yaml"], ["tokens.yaml"]),
    ],
)
def test_arguments_that_look_like_secrets_are_blanked(given: list[str], kept: list[str]) -> None:
    assert public_arguments(given) == kept


def test_the_config_hash_sees_every_value() -> None:
    assert config_hash(CONFIG) == config_hash(CONFIG.model_copy())
    assert config_hash(CONFIG) != config_hash(SftConfig(data=CONFIG.data, training=SftTrainingConfig(seed=43)))


def test_the_hash_of_examples_sees_texts_answers_images_and_order(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1234")

    def example(name: str, *, text: str = "?", answer: str = "1", image: ImageRef | None = None) -> Example:
        return Example(id=name, task="t", prompt=(Message("user", (text,)),), answer=answer, images=(image or ImageRef(data=b"png"),))

    first, second = example("1"), example("2")
    hashes = {
        examples_hash(examples)
        for examples in (
            [first, second],
            [second, first],
            [first],
            [first, example("2", text="!")],
            [first, example("2", answer="2")],
            [first, example("2", image=ImageRef(data=b"gnp"))],
            [first, example("2", image=ImageRef(path=str(tmp_path / "a.png")))],
        )
    }
    assert len(hashes) == 7
    assert examples_hash([first, second]) == examples_hash([example("1"), example("2")])


def test_what_is_known_later_is_added_by_the_writer_only(tmp_path: Path) -> None:
    run = create(tmp_path, "one", recipe_text="", config=CONFIG, manifest=manifest())
    update_manifest(run, model_hash="abc")
    assert read_manifest(run)["model_hash"] == "abc"
    assert read_manifest(run)["seeds"] == {"training": 42}
    update_manifest(open_existing(run.path), model_hash="other")
    assert read_manifest(run)["model_hash"] == "abc"


def test_code_outside_a_checkout_has_no_revision(tmp_path: Path) -> None:
    assert code_revision(tmp_path) is None
