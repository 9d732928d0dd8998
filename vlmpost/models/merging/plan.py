"""What to merge and how, checked against itself before any folder is opened; knows no files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch

from vlmpost.errors import ConfigError
from vlmpost.models.merging.methods import METHODS, Formula
from vlmpost.models.merging.stored import listed

SAVE_DTYPES: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class MergePlan:
    """What to merge and how; `checked_formula` makes a sound formula out of a user's options."""

    models: tuple[str, ...]
    """Folders, hub ids or adapters; the first one's files travel along."""
    formula: Formula
    base: str | None = None
    """What task vectors are measured from, and whose vision tower `vision="keep"` keeps."""
    vision: str = "merge"
    """The vision tower: "merge", "keep" (the base's), or the number of the model it comes from, "1" the first."""
    dtype: str | None = None
    """Type of the saved weights; None: tensor by tensor the first model's, or that of the one model whose tensor it is."""


def checked_formula(
    method: str,
    *,
    num_models: int,
    weights: Sequence[float] | None = None,
    density: float | None = None,
    epsilon: float | None = None,
    lam: float | None = None,
    seed: int | None = None,
    normalize: bool | None = None,
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
        f"--{'no-' * (normalize is False)}normalize": (normalize, not chosen.on_arc),
    }
    unused = [option for option, (value, is_used) in uses.items() if value is not None and not is_used]
    if unused:
        raise ConfigError(f"--method {method} does not use {' and '.join(unused)}; leave {'it' if len(unused) == 1 else 'them'} out.")
    default_density = 0.5 if chosen.sparsify else 1.0
    formula = Formula(chosen, tuple(weights) if weights is not None else (1 / num_models,) * num_models)
    formula = replace(formula, density=default_density if density is None else density, seed=seed or 0)
    formula = replace(formula, epsilon=formula.epsilon if epsilon is None else epsilon, lam=1.0 if lam is None else lam)
    formula = replace(formula, normalize=chosen.normalizes if normalize is None else normalize)
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


def described(plan: MergePlan) -> dict[str, object]:
    """Returns the method and its numbers as JSON values; those that it does not use are left out."""
    formula = plan.formula
    return {
        "method": formula.method.name,
        "weights": list(formula.weights),
        **({"density": formula.density} if formula.method.sparsify else {}),
        **({"epsilon": formula.epsilon} if formula.method.sparsify == "magnitude_drop" else {}),
        **({"lam": formula.lam} if formula.method.on_task_vectors else {}),
        **({"seed": formula.seed} if formula.method.sparsify in ("drop", "magnitude_drop") else {}),
        **({} if formula.method.on_arc else {"normalize": formula.normalize}),
        "vision": plan.vision,
        "dtype": plan.dtype,
    }


def _check_numbers(formula: Formula, *, num_models: int) -> None:
    method, weights = formula.method, formula.weights
    given = listed([str(weight) for weight in weights])
    if len(weights) != num_models:
        raise ConfigError(f"--weights: {len(weights)} weights for {num_models} models; give one for each, with commas between.")
    if not all(map(math.isfinite, (*weights, formula.lam, formula.density, formula.epsilon))):
        raise ConfigError(f"--weights, --lam, --density and --epsilon must be finite numbers; got {given}.")
    if method.on_arc and num_models != 2:
        raise ConfigError(f"--method {method.name} goes from one model to another: give two, not {num_models}.")
    if (method.on_arc or method.elects_signs) and min(weights) < 0:
        raise ConfigError(f"--weights of --method {method.name} are shares, so none may be below 0; got {given}.")
    divides = method.on_arc or (formula.normalize and not method.elects_signs)
    if (
        math.fsum(weights) == 0
        and (divides or not method.on_task_vectors)
        and (any(weights) or not method.on_task_vectors or method.on_arc)
    ):
        raise ConfigError(f"--weights of --method {method.name} are divided by their sum, which is 0.")
    if not 0 < formula.density <= 1:
        raise ConfigError(f"--density is the share of a task vector that is kept: above 0, at most 1; got {formula.density}.")
    half = formula.epsilon / 2
    is_band = half >= 0 and half < formula.density and formula.density + half <= 1
    if method.sparsify == "magnitude_drop" and formula.density < 1 and not is_band:
        raise ConfigError(
            f"--epsilon {formula.epsilon} around --density {formula.density} gives keep-probabilities outside 0 to 1. Lower --epsilon."
        )
