"""Processors load, with or without torchvision, and a saved one is the same file by file."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vlmpost.config.schema import ModelConfig
from vlmpost.errors import MissingError, ModelError
from vlmpost.models.families import FAMILIES
from vlmpost.models.loader import load_processor
from vlmpost.models.processors import InertVideoProcessor

TinyModel = Callable[[str], Path]
WITHOUT_TORCHVISION = importlib.util.find_spec("torchvision") is None


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_processor_has_its_own_class_name_left_padding_and_a_template(name: str, tiny_model: TinyModel) -> None:
    processor = load_processor(ModelConfig(path=str(tiny_model(name))))
    assert type(processor).__name__ == FAMILIES[name].processor_class
    assert processor.tokenizer.padding_side == "left"
    assert processor.chat_template == (tiny_model(name) / "chat_template.jinja").read_text()


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_saving_a_loaded_processor_again_gives_equal_files(name: str, tiny_model: TinyModel, tmp_path: Path) -> None:
    load_processor(ModelConfig(path=str(tiny_model(name)))).save_pretrained(tmp_path / "first")
    (tmp_path / "first" / "config.json").write_bytes((tiny_model(name) / "config.json").read_bytes())
    load_processor(ModelConfig(path=str(tmp_path / "first"))).save_pretrained(tmp_path / "second")
    files = sorted(path.name for path in (tmp_path / "second").iterdir())
    assert files == ["chat_template.jinja", "processor_config.json", "tokenizer.json", "tokenizer_config.json"]
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file


@pytest.mark.skipif(not WITHOUT_TORCHVISION, reason="torchvision is installed: the real video processor is used")
def test_video_settings_survive_and_a_video_is_refused(copy_of: TinyModel) -> None:
    folder = copy_of("qwen2_5_vl")
    settings = {"video_processor_type": "Qwen2VLVideoProcessor", "fps": 2.0, "max_frames": 768}
    content = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({**content, "video_processor": settings}))
    processor = load_processor(ModelConfig(path=str(folder)))
    processor.save_pretrained(folder)
    assert json.loads((folder / "processor_config.json").read_text())["video_processor"] == settings
    with pytest.raises(MissingError, match="torchvision"):
        processor(text="<|video_pad|>", videos=[np.zeros((2, 28, 28, 3), dtype=np.uint8)])


@pytest.mark.skipif(not WITHOUT_TORCHVISION, reason="torchvision is installed: the real video processor is used")
def test_an_older_folder_with_separate_files_loads(copy_of: TinyModel) -> None:
    folder = copy_of("qwen2_5_vl")
    content = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").unlink()
    (folder / "preprocessor_config.json").write_text(json.dumps({**content["image_processor"], "processor_class": "Qwen2_5_VLProcessor"}))
    (folder / "video_preprocessor_config.json").write_text(json.dumps({"fps": 3.0}))
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    processor = load_processor(ModelConfig(path=str(folder)))
    assert processor.chat_template == template
    assert isinstance(processor.video_processor, InertVideoProcessor)
    assert processor.video_processor.to_dict() == {"fps": 3.0}


def test_a_folder_without_a_chat_template_is_refused(copy_of: TinyModel) -> None:
    folder = copy_of("qwen3_vl")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"no chat template\. Add chat_template\.jinja"):
        load_processor(ModelConfig(path=str(folder)))


def test_a_folder_without_a_tokenizer_is_refused(copy_of: TinyModel) -> None:
    folder = copy_of("internvl")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match=r"no usable InternVLProcessor"):
        load_processor(ModelConfig(path=str(folder)))


def test_a_tokenizer_without_padding_token_is_refused(copy_of: TinyModel) -> None:
    folder = copy_of("qwen2_vl")
    content = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**content, "pad_token": None}))
    with pytest.raises(ModelError, match=r"no padding token\. Set pad_token"):
        load_processor(ModelConfig(path=str(folder)))


def test_smolvlm_without_num2words_says_what_to_install(tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "num2words" else found(name, *rest))
    with pytest.raises(MissingError, match="num2words"):
        load_processor(ModelConfig(path=str(tiny_model("smolvlm"))))
