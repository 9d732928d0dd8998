"""What travels along with merged weights: config, processor, tokenizer, chat template, generation config; all from the first model.

Where another model's file says something else, that is noted, not mixed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from vlmpost.errors import ModelError

CONFIG: Final = "config.json"
NAMES: Final = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    CONFIG,
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
    "vocab.json",
    "vocab.txt",
)
NOT_COMPARED: Final = frozenset({"_name_or_path", "dtype", "torch_dtype", "transformers_version"})
"""Keys of JSON files that say where a file came from, or how its weights are stored."""
TEMPLATES: Final = "additional_chat_templates"


def companions(folders: Sequence[Path]) -> dict[str, Path]:
    """Returns name to file of all that stands beside the weights; earlier folders win (an adapter's own files before its base's)."""
    found: dict[str, Path] = {}
    for folder in folders:
        templates = [f"{TEMPLATES}/{path.name}" for path in sorted((folder / TEMPLATES).glob("*.jinja"))]
        found = {**{name: folder / name for name in (*NAMES, *templates) if (folder / name).is_file()}, **found}
    if CONFIG not in found:
        raise ModelError(f"{folders[-1]} has no {CONFIG}, so it is no model folder. Give the folder that holds the weights.")
    return dict(sorted(found.items()))


def copy_companions(files: dict[str, Path], folder: Path, *, dtype: torch.dtype | None) -> None:
    """Copies the files into `folder`; with a `dtype`, the config names it."""
    for name, file in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, folder / name)
    if dtype is not None:
        config = _with_dtype(read_object(files[CONFIG]), str(dtype).removeprefix("torch."))
        (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def architecture_differences(first: Path, other: Path) -> list[str]:
    """Returns where two config.json files contradict each other about the architecture or about tied weights, in words."""
    ours, theirs = read_object(first), read_object(other)
    said = []
    if ours.get("model_type") != theirs.get("model_type"):
        said.append(f"model_type {theirs.get('model_type')!r} against {ours.get('model_type')!r}")
    flags = [_tied(config) for config in (ours, theirs)]
    if flags[0] != flags[1] and None not in flags:
        said.append(f"tie_word_embeddings {str(flags[1]).lower()} against {str(flags[0]).lower()}")
    return said


def notes_on(first: dict[str, Path], other: dict[str, Path], *, whose: str) -> list[str]:
    """Returns a sentence for each file of another model that is not as the first's, which is the one that travels along."""
    said = []
    for name in sorted(first.keys() | other.keys()):
        if name not in first or name not in other:
            where = "only the first model has it" if name in first else "the first model has none, so the merged one has none"
            said.append(f"{name}: {where}, not {whose}." if name in first else f"{name} of {whose}: {where}.")
        elif (keys := _changed(first[name], other[name])) is not None:
            said.append(f"{name} of {whose} differs{f' ({keys})' if keys else ''}; the first model's is kept.")
    return said


def read_object(file: Path) -> dict[str, object]:
    """Returns the mapping in a JSON file of a model folder.

    Raises:
        ModelError: It is not one.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{file} is not readable JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{file} is not a mapping.")
    return value


def _changed(first: Path, other: Path) -> str | None:
    """The keys in which two files differ, "" where they have none; None where they say the same."""
    if first.read_bytes() == other.read_bytes():
        return None
    if first.suffix != ".json":
        return ""
    ours, theirs = _flat(read_object(first)), _flat(read_object(other))
    keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key) or (key in ours) != (key in theirs))
    return ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "") if keys else None


def _flat(value: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Path to leaf, what is not compared left out."""
    found: dict[str, object] = {}
    for key, item in value.items():
        if key not in NOT_COMPARED:
            found.update(_flat(item, f"{prefix}{key}.") if isinstance(item, dict) else {prefix + key: item})
    return found


def _tied(config: dict[str, object]) -> bool | None:
    """Whether the output head is the embedding; None where the config leaves it to its class."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        if "tie_word_embeddings" in part:
            return bool(part["tie_word_embeddings"])
    return None


def _with_dtype(config: dict[str, object], dtype: str) -> dict[str, object]:
    """The config with every type that it names replaced, its parts' too."""
    changed = {
        key: dtype if key in ("dtype", "torch_dtype") else _with_dtype(value, dtype) if isinstance(value, dict) else value
        for key, value in config.items()
    }
    return changed
