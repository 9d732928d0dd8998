"""Saving: a model and its processor as one Hugging Face folder that `loader.load`, transformers and vLLM read."""

from __future__ import annotations

from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel, ProcessorMixin

from vlmpost.errors import RunError

MAX_SHARD_SIZE = "5GB"


def save(model: PreTrainedModel | PeftModel, processor: ProcessorMixin, folder: Path) -> Path:
    """Writes weights (an adapter's only, for a PeftModel), config, processor, template and generation config; returns the folder.

    The folder may exist; files of the same names are replaced. It is not atomic: write to a new folder and rename it where a crash matters.

    Raises:
        RunError: The folder cannot be written, e.g. the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(str(folder), max_shard_size=MAX_SHARD_SIZE)
        processor.save_pretrained(str(folder))
    except OSError as error:
        raise RunError(f"The model could not be saved to {folder}: {error}. Free space or choose another folder.") from error
    return folder
