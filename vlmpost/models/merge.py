"""Merging models by arithmetic on their weights: folders and LoRA adapters in, one folder out, shard by shard in bounded memory.

The formulas are in `merging.methods`. Arithmetic is float32, whatever the models are stored in. Nothing here builds a model, so any
architecture merges; what must agree between the models (names, shapes, tied weights) is compared before the first number is read.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import torch

from vlmpost import __version__, jsonl
from vlmpost.config.schema import ModelConfig
from vlmpost.errors import ConfigError, ModelError, RunError
from vlmpost.models.adapters import base_of, is_adapter
from vlmpost.models.loader import NANO_DIR, resolve_folder
from vlmpost.models.merging.companions import CONFIG, architecture_differences, companions, copy_companions, notes_on
from vlmpost.models.merging.lora import AdaptedWeights, open_adapter
from vlmpost.models.merging.methods import METHODS, Formula, merged
from vlmpost.models.merging.shards import NAMES, write_weights
from vlmpost.models.merging.stored import DTYPES, Entry, StoredWeights, differences, listed, open_weights
from vlmpost.models.weights import weights_hash

logger = logging.getLogger(__name__)

SAVE_DTYPES: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
RECORD: Final = "merge.json"
VISION_PARTS: Final = frozenset({"vision_model", "vision_tower", "visual"})
PROJECTOR_PARTS: Final = frozenset({"connector", "deepstack_merger_list", "merger", "multi_modal_projector"})
"""Parts of tensor names in files; the projector may lie inside the tower and is not of it, as where towers are frozen."""

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class MergePlan:
    """What to merge and how; `checked_formula` makes a sound one out of a user's options."""

    models: tuple[str, ...]
    """Folders, hub ids or adapters; the first one's files travel along."""
    formula: Formula
    base: str | None = None
    """What task vectors are measured from, and whose vision tower `vision="keep"` keeps."""
    vision: str = "merge"
    """The vision tower: "merge", "keep" (the base's), or the number of the model it comes from, "1" the first."""
    dtype: str | None = None
    """Type of the saved weights; None: tensor by tensor the first model's."""


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
    weights: StoredWeights | AdaptedWeights
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
    entries = _result_entries(first.weights.entries, plan.dtype)
    maker = _Maker(plan, [one.weights for one in inputs], None if base is None else base.weights, entries, progress)
    maker.check_vision()
    notes = tuple(note for one in every[1:] for note in notes_on(first.companions, one.companions, whose=one.name))
    record = {**_described(plan), "inputs": [one.described() for one in inputs], "base": None if base is None else base.described()}
    record = {**record, "num_tensors": len(entries), "notes": list(notes)}
    scratch = folder.parent / f".tmp-{folder.name}-{os.getpid()}"
    try:
        scratch.mkdir(parents=True)
        write_weights(scratch, entries, maker.make)
        copy_companions(first.companions, scratch, dtype=SAVE_DTYPES[plan.dtype] if plan.dtype else None)
        jsonl.replace_json(scratch / RECORD, record)
        scratch.rename(folder)
    except OSError as error:
        raise RunError(f"The merged model could not be saved to {folder}: {error}. Free space or choose another folder.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return MergeResult(folder, record, notes)


def checked_formula(
    method: str,
    *,
    num_models: int,
    weights: Sequence[float] | None = None,
    density: float | None = None,
    epsilon: float | None = None,
    lam: float | None = None,
    seed: int | None = None,
) -> Formula:
    """Returns the formula for a user's options; None is an option that was not given, and takes the method's default.

    Weights are equal shares of 1 by default.

    Raises:
        ConfigError: The method is unknown, an option is out of its range, or the method does not use it.
    """
    if method not in METHODS:
        raise ConfigError(f"--method {method!r} is unknown. Choose one of: {', '.join(METHODS)}.")
    chosen = METHODS[method]
    uses = {
        "--density": (density, bool(chosen.sparsify)),
        "--epsilon": (epsilon, chosen.sparsify == "magnitude_drop"),
        "--lam": (lam, chosen.on_task_vectors),
        "--seed": (seed, chosen.sparsify in ("drop", "magnitude_drop")),
    }
    unused = [option for option, (value, is_used) in uses.items() if value is not None and not is_used]
    if unused:
        raise ConfigError(f"--method {method} does not use {' and '.join(unused)}; leave {'it' if len(unused) == 1 else 'them'} out.")
    default_density = 0.5 if chosen.sparsify else 1.0
    formula = Formula(chosen, tuple(weights) if weights is not None else (1 / num_models,) * num_models)
    formula = replace(formula, density=default_density if density is None else density, seed=seed or 0)
    formula = replace(formula, epsilon=formula.epsilon if epsilon is None else epsilon, lam=1.0 if lam is None else lam)
    _check_numbers(formula, num_models=num_models)
    return formula


def check_plan(plan: MergePlan) -> None:
    """Checks what can be seen before any folder is opened.

    Raises:
        ConfigError: A base is missing or not used, or a choice is unknown.
    """
    method, numbers = plan.formula.method, [str(number) for number in range(1, len(plan.models) + 1)]
    if len(plan.models) < 2 and not method.on_task_vectors:
        raise ConfigError(f"--method {method.name} needs at least two models, got {len(plan.models)}.")
    if plan.vision not in ("merge", "keep", *numbers):
        raise ConfigError(
            f"--vision {plan.vision!r} is unknown. Choose merge, keep (the base's), or a model's number: {', '.join(numbers)}."
        )
    if plan.base is None and method.on_task_vectors:
        raise ConfigError(f"--method {method.name} works on differences from a base model: give --base.")
    if plan.base is None and plan.vision == "keep":
        raise ConfigError("--vision keep keeps the base's vision tower: give --base.")
    if plan.base is not None and not method.on_task_vectors and plan.vision != "keep":
        raise ConfigError(f"--method {method.name} does not use --base; leave it out, or keep its vision tower with --vision keep.")
    if plan.dtype is not None and plan.dtype not in SAVE_DTYPES:
        raise ConfigError(f"--dtype {plan.dtype!r} is unknown. Choose one of: {', '.join(SAVE_DTYPES)}.")


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
    models: list[StoredWeights | AdaptedWeights]
    base: StoredWeights | AdaptedWeights | None
    entries: Mapping[str, Entry]
    progress: Progress | None
    num_done: int = 0

    def check_vision(self) -> None:
        """Refuses a policy for a vision tower that is not there."""
        if self.plan.vision != "merge" and not any(is_vision_tower(name) for name in self.entries):
            parts = ", ".join(sorted(VISION_PARTS))
            raise ModelError(
                f"--vision {self.plan.vision}: no tensor of {self.plan.models[0]} lies in a vision tower, "
                f"a part named {parts}. Leave --vision out."
            )

    def make(self, name: str) -> torch.Tensor:
        """The numbers of one tensor, in the type in which it is saved."""
        if self.progress is not None:
            self.progress("merging tensors", self.num_done, len(self.entries))
        self.num_done += 1
        source = self._only_source(name)
        if source is not None:
            tensor = source.read(name)
            stays = not tensor.is_floating_point() or tensor.dtype == DTYPES[self.entries[name].dtype]
            return tensor if stays else self._rounded(name, tensor)
        if not self.entries[name].is_float:
            return self._common(name)
        base = self.base.read(name) if self.base is not None and self.plan.formula.method.on_task_vectors else None
        return self._rounded(name, merged(self.plan.formula, [model.read(name) for model in self.models], base, name=name))

    def _only_source(self, name: str) -> StoredWeights | AdaptedWeights | None:
        """The one model whose tensor this is; None where it is merged."""
        if self.plan.vision != "merge" and is_vision_tower(name):
            return self.base if self.plan.vision == "keep" else self.models[int(self.plan.vision) - 1]
        index = self.plan.formula.only_one()
        return None if index is None else self.base if index < 0 else self.models[index]

    def _common(self, name: str) -> torch.Tensor:
        """Whole numbers are no weights: they must be the same in all models."""
        tensors = [model.read(name) for model in self.models]
        if any(not torch.equal(tensor, tensors[0]) for tensor in tensors[1:]):
            raise ModelError(f"The models differ in {name}, which holds whole numbers and cannot be merged.")
        return tensors[0]

    def _rounded(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """In the type that is saved; numbers that it cannot hold, and those that were none, are refused."""
        rounded = tensor.to(DTYPES[self.entries[name].dtype])
        if not torch.isfinite(rounded).all():
            dtype = str(rounded.dtype).removeprefix("torch.")
            raise ModelError(
                f"{name} would hold infinities or NaN in {dtype}: a model holds them, or a number is too large. Try --dtype float32."
            )
        return rounded


def _opened(model: str) -> _Input:
    folder = resolve_folder(ModelConfig(path=model))
    base_folder = base_of(folder, nano=NANO_DIR) if is_adapter(folder) else folder
    weights: StoredWeights | AdaptedWeights = open_weights(base_folder)
    if is_adapter(folder):
        assert isinstance(weights, StoredWeights), folder
        weights = open_adapter(folder, weights, base_folder=base_folder)
    return _Input(model, folder, base_folder, weights, companions([folder] if folder == base_folder else [folder, base_folder]))


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


def _result_entries(entries: Mapping[str, Entry], dtype: str | None) -> dict[str, Entry]:
    if dtype is None:
        return dict(entries)
    stored = NAMES[SAVE_DTYPES[dtype]]
    return {name: replace(entry, dtype=stored) if entry.is_float else entry for name, entry in entries.items()}


def _check_numbers(formula: Formula, *, num_models: int) -> None:
    method, weights = formula.method, formula.weights
    if len(weights) != num_models:
        raise ConfigError(f"--weights: {len(weights)} weights for {num_models} models; give one for each, with commas between.")
    if not all(map(math.isfinite, (*weights, formula.lam, formula.density, formula.epsilon))):
        raise ConfigError(f"--weights, --lam, --density and --epsilon must be finite numbers; got {listed([str(w) for w in weights])}.")
    if method.on_arc and num_models != 2:
        raise ConfigError(f"--method {method.name} goes from one model to another: give two, not {num_models}.")
    if (method.on_arc or method.elects_signs) and min(weights) < 0:
        raise ConfigError(
            f"--weights of --method {method.name} are shares, so none may be below 0; got {listed([str(w) for w in weights])}."
        )
    if (not method.on_task_vectors or method.on_arc) and math.fsum(weights) == 0:
        raise ConfigError(f"--weights of --method {method.name} are divided by their sum, which is 0.")
    if not 0 < formula.density <= 1:
        raise ConfigError(f"--density is the share of a task vector that is kept: above 0, at most 1; got {formula.density}.")
    half = formula.epsilon / 2
    if (
        method.sparsify == "magnitude_drop"
        and formula.density < 1
        and not (half >= 0 and half < formula.density and formula.density + half <= 1)
    ):
        raise ConfigError(
            f"--epsilon {formula.epsilon} around --density {formula.density} gives keep-probabilities outside 0 to 1. Lower --epsilon."
        )


def _described(plan: MergePlan) -> dict[str, object]:
    formula = plan.formula
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "vlmpost": __version__,
        "method": formula.method.name,
        "weights": list(formula.weights),
        **({"density": formula.density} if formula.method.sparsify else {}),
        **({"epsilon": formula.epsilon} if formula.method.sparsify == "magnitude_drop" else {}),
        **({"lam": formula.lam} if formula.method.on_task_vectors else {}),
        **({"seed": formula.seed} if formula.method.sparsify in ("drop", "magnitude_drop") else {}),
        "vision": plan.vision,
        "dtype": plan.dtype,
    }


def _refuse_existing(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise RunError(f"{folder} exists already. Choose another folder, or delete it first.")
