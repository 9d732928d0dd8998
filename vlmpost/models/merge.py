"""Merging models by arithmetic on their weights: folders and LoRA adapters in, one folder out, block by block in bounded memory.

The formulas are in `merging.methods`, what a user may ask for in `merging.plan`. Arithmetic is float32, whatever the models are stored
in. Nothing here builds a model, so any architecture merges; what must agree between the models (names, shapes, tied weights) is compared
before the first number is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import torch

from vlmpost import __version__, jsonl
from vlmpost.config.schema import ModelConfig
from vlmpost.errors import ModelError, RunError
from vlmpost.models.merging import blocks
from vlmpost.models.merging.companions import CONFIG, architecture_differences, companions, copy_companions, notes_on
from vlmpost.models.merging.plan import SAVE_DTYPES, MergePlan, check_plan, checked_formula, described
from vlmpost.models.merging.scratch import made_whole
from vlmpost.models.merging.shards import NAMES, write_weights
from vlmpost.models.merging.stored import DTYPES, Entry, Read, Weights, differences, open_weights
from vlmpost.models.weights import weights_hash

__all__ = ["MergePlan", "MergeResult", "Progress", "check_plan", "checked_formula", "identity", "is_vision_tower", "merge"]

RECORD: Final = "merge.json"
ADAPTER_CONFIG: Final = "adapter_config.json"
VISION_PARTS: Final = frozenset({"vision_model", "vision_tower", "visual"})
PROJECTOR_PARTS: Final = frozenset({"connector", "deepstack_merger_list", "merger", "multi_modal_projector"})
"""Parts of tensor names in files; the projector may lie inside the tower and is not of it, as where towers are frozen."""

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class MergeResult:
    """What was written."""

    folder: Path
    record: Mapping[str, object]
    """As in `merge.json`."""
    notes: tuple[str, ...]
    """Where files of the other models differ from those that travelled along."""


@dataclass(frozen=True)
class _Input:
    """One model, opened."""

    name: str
    """As the user gave it."""
    folder: Path
    base_folder: Path
    weights: Weights
    companions: dict[str, Path]

    def described(self) -> dict[str, object]:
        base = {} if self.folder == self.base_folder else {"adapter_of": str(self.base_folder)}
        return {"model": self.name, "folder": str(self.folder), **base, "model_hash": weights_hash(self.weights.files)}


def merge(plan: MergePlan, folder: Path, *, progress: Progress | None = None) -> MergeResult:
    """Merges models into a new folder that `loader.load`, transformers and vLLM read.

    It is written under a scratch name beside `folder` and renamed when it is whole.

    Args:
        plan: Models and method.
        folder: It does not exist yet.
        progress: Called with (what, done, total) for each tensor.

    Raises:
        ConfigError: The plan contradicts itself.
        ModelError: A model is no whole folder, or the models differ in architecture, names, shapes or tied weights.
        RunError: The folder exists, or the disk refuses.
    """
    check_plan(plan)
    _refuse_existing(folder)
    inputs = [_opened(model) for model in plan.models]
    base = _opened(plan.base) if plan.base is not None else None
    every = [*inputs, *([base] if base is not None else [])]
    _check_alike(every)
    first = inputs[0]
    maker = _Maker(plan, [one.weights for one in inputs], None if base is None else base.weights, progress)
    maker.check_vision()
    entries = maker.entries
    notes = tuple(note for one in every[1:] for note in notes_on(first.companions, one.companions, whose=one.name))
    record = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "vlmpost": __version__, **described(plan)}
    record = {**record, "inputs": [one.described() for one in inputs], "base": None if base is None else base.described()}
    record = {**record, "num_tensors": len(entries), "notes": list(notes)}
    try:
        with made_whole(folder) as scratch:
            write_weights(scratch, entries, maker.make)
            stays = plan.dtype is None and entries == first.weights.entries
            copy_companions(first.companions, scratch, dtype=None if stays else _widest(entries))
            jsonl.replace_json(scratch / RECORD, record)
    except OSError as error:
        raise RunError(f"The merged model could not be saved to {folder}: {error}. Free space or choose another folder.") from error
    return MergeResult(folder, record, notes)


def identity(model: str) -> str:
    """Returns a hash that names the weights of a model, an adapter's with its base's.

    Raises:
        ModelError: It is no whole folder.
    """
    return weights_hash(_opened(model).weights.files)


def is_vision_tower(name: str) -> bool:
    """Whether a tensor, by its name in a file, belongs to a vision tower and not to a projector.

    >>> is_vision_tower("visual.blocks.0.attn.qkv.weight"), is_vision_tower("visual.merger.mlp.0.weight")
    (True, False)
    """
    parts = set(name.split("."))
    return bool(parts & VISION_PARTS) and not parts & PROJECTOR_PARTS


@dataclass
class _Maker:
    """Makes the tensors of the result, one at a time."""

    plan: MergePlan
    models: list[Weights]
    base: Weights | None
    progress: Progress | None
    num_done: int = 0

    def __post_init__(self) -> None:
        """The result's tensors: in the first model's files, in the type that is asked for, else of the one whose numbers they are."""
        self.entries = {name: replace(entry, dtype=self._dtype_of(name)) for name, entry in self.models[0].entries.items()}

    def _dtype_of(self, name: str) -> str:
        entry = (self._only_source(name) or self.models[0]).entries[name]
        return NAMES[SAVE_DTYPES[self.plan.dtype]] if self.plan.dtype is not None and entry.is_float else entry.dtype

    def check_vision(self) -> None:
        """Refuses a policy for a vision tower that is not there."""
        if self.plan.vision != "merge" and not any(is_vision_tower(name) for name in self.entries):
            parts = ", ".join(sorted(VISION_PARTS))
            raise ModelError(
                f"--vision {self.plan.vision}: no tensor of {self.plan.models[0]} lies in a vision tower, "
                f"a part named {parts}. Leave --vision out."
            )

    def make(self, name: str) -> Iterator[torch.Tensor]:
        """The numbers of one tensor in blocks, flat, in the type in which it is saved."""
        if self.progress is not None:
            self.progress("merging tensors", self.num_done, len(self.entries))
        self.num_done += 1
        entry, source = self.entries[name], self._only_source(name)
        if not entry.is_float:
            yield from self._common(name) if source is None else _all_of(source.reader(name), entry)
        elif source is not None:
            whose = self._name_of(source)
            stored = _all_of(source.reader(name), entry)
            yield from (self._rounded(name, _checked(block, name, whose), exact=block) for block in stored)
        else:
            reads = [_float_reader(model, name, self._name_of(model)) for model in self.models]
            uses_base = self.base is not None and self.plan.formula.method.on_task_vectors
            base = _float_reader(self.base, name, str(self.plan.base)) if self.base is not None and uses_base else None
            merged = blocks.merged(self.plan.formula, reads, base, shape=entry.shape, name=name)
            yield from (self._rounded(name, block) for block in merged)

    def _only_source(self, name: str) -> Weights | None:
        """The one model whose tensor this is; None where it is merged."""
        if self.plan.vision != "merge" and is_vision_tower(name):
            return self.base if self.plan.vision == "keep" else self.models[int(self.plan.vision) - 1]
        index = self.plan.formula.only_one()
        return None if index is None else self.base if index < 0 else self.models[index]

    def _name_of(self, weights: Weights) -> str:
        """The model, as the user gave it."""
        return next((name for name, one in zip(self.plan.models, self.models, strict=True) if one is weights), str(self.plan.base))

    def _common(self, name: str) -> Iterator[torch.Tensor]:
        """Whole numbers are no weights: they must be the same in all models."""
        first, *others = [_all_of(model.reader(name), self.entries[name]) for model in self.models]
        for block, *theirs in zip(first, *others, strict=True):
            if any(not torch.equal(block, other) for other in theirs):
                raise ModelError(f"The models differ in {name}, which holds whole numbers and cannot be merged.")
            yield block

    def _rounded(self, name: str, block: torch.Tensor, *, exact: torch.Tensor | None = None) -> torch.Tensor:
        """In the type that is saved; numbers that it cannot hold are refused. `exact` is what the block was stored as."""
        dtype = DTYPES[self.entries[name].dtype]
        if exact is not None and exact.dtype == dtype:
            return exact
        rounded = block.to(dtype)
        if not _is_finite(rounded):
            wanted = str(dtype).removeprefix("torch.")
            raise ModelError(f"{name} would hold numbers too large for {wanted}. Save another type, e.g. --dtype float32.")
        return rounded


def _float_reader(weights: Weights, name: str, whose: str) -> Read:
    """What reads a tensor of one model as float32; infinities and NaN are refused."""
    read = weights.reader(name)
    return lambda start, stop: _checked(read(start, stop), name, whose)


def _checked(block: torch.Tensor, name: str, whose: str) -> torch.Tensor:
    numbers = block.float()
    if not _is_finite(numbers):
        raise ModelError(f"{name} of {whose} holds infinities or NaN: this model is damaged. Give a checkpoint from before it broke.")
    return numbers


def _is_finite(block: torch.Tensor) -> bool:
    """In one pass: the extremes of a block are finite only if all of it is."""
    return block.numel() == 0 or bool(torch.stack(torch.aminmax(block)).isfinite().all())


def _all_of(read: Read, entry: Entry) -> Iterator[torch.Tensor]:
    return (read(*block) for block in blocks.ranges(entry.num_entries, row=1))


def _opened(model: str) -> _Input:
    folder = Path(model).expanduser()
    folder = folder.resolve() if model != "nano" and folder.is_dir() else _found(model)
    if (folder / ADAPTER_CONFIG).is_file():
        return _opened_adapter(model, folder)
    return _Input(model, folder, folder, open_weights(folder), companions([folder]))


def _found(model: str) -> Path:
    """The folder of what is none itself: the nano model, or a hub id."""
    from vlmpost.models.loader import resolve_folder  # brings PEFT, whose import takes as long as merging 0.2 G parameters

    return resolve_folder(ModelConfig(path=model))


def _opened_adapter(model: str, folder: Path) -> _Input:
    from vlmpost.models.adapters import base_of
    from vlmpost.models.loader import NANO_DIR
    from vlmpost.models.merging.lora import open_adapter

    base = base_of(folder, nano=NANO_DIR)
    weights = open_adapter(folder, open_weights(base), base_folder=base)
    return _Input(model, folder, base, weights, companions([folder, base]))


def _check_alike(inputs: Sequence[_Input]) -> None:
    """Every model has the first one's architecture, names, shapes and tied weights."""
    first, faults = inputs[0], []
    for other in inputs[1:]:
        found = architecture_differences(first.companions[CONFIG], other.companions[CONFIG])
        found += differences(first.weights.entries, other.weights.entries)
        if found:
            faults.append(f"{other.name}: {'; '.join(found)}")
    if faults:
        raise ModelError(
            f"These do not merge with {first.name}: {'. '.join(faults)}. Merge models of one architecture, saved the same way."
        )


def _widest(entries: Mapping[str, Entry]) -> torch.dtype:
    """The widest floating type, which config.json names for all."""
    return max((DTYPES[entry.dtype] for entry in entries.values() if entry.is_float), key=lambda dtype: dtype.itemsize)


def _refuse_existing(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise RunError(f"{folder} exists already. Choose another folder, or delete it first.")
