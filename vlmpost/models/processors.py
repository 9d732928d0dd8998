"""Processors (tokenizer, image processor, chat template), read from a folder with or without torchvision.

Without torchvision, transformers 5 refuses to load a processor whose family also has a video processor, though the image part
works. `read_processor` then builds the same processor with an inert stand-in for video, which keeps the saved video settings and
writes them back unchanged. Text and images behave the same; a video raises. Can go when transformers loads these without torchvision.

Nothing here looks at weights.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import transformers
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, ProcessorMixin
from transformers.utils import PushToHubMixin

from vlmpost.errors import MissingError, ModelError
from vlmpost.models.families import Family

VIDEO_FILE = "video_preprocessor_config.json"


class InertVideoProcessor(PushToHubMixin):
    """Stands where a video processor would: keeps its settings for saving, refuses to process."""

    _auto_class = None
    num_frames = None
    fps = None

    def __init__(self, settings: dict[str, Any]) -> None:
        # Any: the settings are another library's JSON, written back as they came.
        self.settings = settings

    def to_dict(self) -> dict[str, Any]:
        """The settings as they were read."""
        return dict(self.settings)

    def __call__(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise MissingError("A video was given, but videos need torchvision. Install it with: pip install 'vlmpost[vision]'.")


def read_processor(folder: Path, family: Family) -> ProcessorMixin:
    """Returns the processor of a model folder, padding on the left and with a chat template.

    Raises:
        MissingError: SmolVLM without the package num2words.
        ModelError: The folder has no usable processor, vocabulary, chat template or padding token.
    """
    if family.name == "smolvlm" and importlib.util.find_spec("num2words") is None:
        raise MissingError(f"{folder} is a SmolVLM, whose processor needs num2words. Install it with: pip install 'vlmpost[vision]'.")
    try:
        processor = _read_any(folder, family)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{folder} has no usable {family.processor_class} ({type(error).__name__}: {reason}). "
            f"Copy processor, tokenizer and template files from the base model."
        ) from error
    _settle_tokenizer(processor, folder)
    return processor


def _read_any(folder: Path, family: Family) -> ProcessorMixin:
    if importlib.util.find_spec("torchvision") is not None:
        return AutoProcessor.from_pretrained(folder, local_files_only=True)
    cls = getattr(transformers, family.processor_class)
    if "video_processor" not in cls.get_attributes():
        return cls.from_pretrained(folder, local_files_only=True)
    return _read_without_video(folder, cls)


def _read_without_video(folder: Path, base: type[ProcessorMixin]) -> ProcessorMixin:
    def check(self: ProcessorMixin, argument_name: str, argument: object) -> object:
        if argument_name == "video_processor":
            return InertVideoProcessor
        return base.check_argument_for_proper_class(self, argument_name, argument)

    # The same name as the base: `save_pretrained` writes it into the folder.
    members = {"check_argument_for_proper_class": check, "__module__": base.__module__}
    cls: type[ProcessorMixin] = type(base.__name__, (base,), members)
    settings, kwargs = base.get_processor_dict(folder, local_files_only=True)
    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(folder, local_files_only=True),
        "tokenizer": AutoTokenizer.from_pretrained(folder, local_files_only=True),
        "video_processor": InertVideoProcessor(_video_settings(folder, settings)),
    }
    kwargs.pop("local_files_only", None)
    return cls.from_args_and_dict([parts[name] for name in base.get_attributes()], settings, **kwargs)


def _video_settings(folder: Path, processor_settings: dict[str, Any]) -> dict[str, Any]:
    """Video settings stand in processor_config.json (new folders) or in a file of their own (older ones)."""
    if "video_processor" in processor_settings:
        return processor_settings["video_processor"]
    path = folder / VIDEO_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _settle_tokenizer(processor: ProcessorMixin, folder: Path) -> None:
    tokenizer = processor.tokenizer
    # On the right, TRL's GRPO misaligns the token types of shorter prompts without a word.
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        raise ModelError(f"The tokenizer of {folder} has no padding token. Set pad_token in tokenizer_config.json.")
    if tokenizer.eos_token_id is None:
        raise ModelError(f"The tokenizer of {folder} has no end-of-turn token. Set eos_token in tokenizer_config.json.")
    if processor.chat_template is None:
        processor.chat_template = tokenizer.chat_template
    if not isinstance(processor.chat_template, str):
        raise ModelError(f"{folder} has no chat template. Add chat_template.jinja, e.g. from the base model.")
    # The two copies would drift apart in a saved folder; the processor's is the one that knows about images.
    tokenizer.chat_template = processor.chat_template
    _try_out(processor, folder)


def _try_out(processor: ProcessorMixin, folder: Path) -> None:
    """Renders and encodes a short question: without its vocabulary file a tokenizer loads empty, and a template is first compiled here."""
    question = [{"role": "user", "content": [{"type": "text", "text": "How many?"}]}]
    try:
        processor.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    except jinja2.TemplateError as error:
        raise ModelError(f"The chat template of {folder} cannot be used: {error}. Copy chat_template.jinja from the base model.") from error
    if not processor.tokenizer("How many?", add_special_tokens=False)["input_ids"]:
        raise ModelError(f"The tokenizer of {folder} has no vocabulary. Copy tokenizer.json from the base model.")
