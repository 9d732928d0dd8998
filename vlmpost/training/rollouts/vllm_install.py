"""Whether the installed vLLM fits, and whether a recipe asks it for something that would train wrongly. Imports no vLLM."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Final

from packaging.requirements import Requirement
from packaging.version import Version

from vlmpost.config.schema import GenerationConfig
from vlmpost.errors import ConfigError, MissingError

OLDEST: Final = Version("0.22.0")
NEWEST: Final = Version("0.31.0")
"""What TRL 1.16 was written for; outside of it TRL only warns."""
MODES: Final = ("colocate", "server")
_HOST_PACKAGES: Final = ("torch", "transformers")
"""What training and vLLM share; vLLM says which versions of them it takes."""
_INSTALL: Final = "Install it with `pip install 'vlmpost[vllm]'`, or leave trl.use_vllm out."


def check_installed() -> None:
    """Passes if vLLM is installed in a version that TRL, torch and transformers here go with.

    Raises:
        MissingError: It is not.
    """
    if importlib.util.find_spec("vllm") is None:
        raise MissingError(f"trl.use_vllm: vLLM is not installed. {_INSTALL}")
    installed = {name: metadata.version(name) for name in _HOST_PACKAGES}
    fault = version_fault(metadata.version("vllm"), metadata.requires("vllm") or (), installed=installed)
    if fault is not None:
        raise MissingError(f"trl.use_vllm: {fault}. {_INSTALL}")


def version_fault(version: str, requirements: Iterable[str], *, installed: Mapping[str, str]) -> str | None:
    """Returns why a vLLM does not go with what is installed, or None if it does.

    Args:
        version: Of vLLM.
        requirements: What it says it needs, as package metadata has it.
        installed: Versions of the packages to look at, by name.

    >>> version_fault("0.31.0", ["transformers<5.18,>=5.10.4"], installed={"transformers": "5.23.0"})
    'vLLM 0.31.0 takes transformers <5.18,>=5.10.4, and 5.23.0 is installed'
    """
    if not OLDEST <= Version(Version(version).base_version) <= NEWEST:
        return f"vLLM {version} is installed, and TRL 1.16 takes {OLDEST} to {NEWEST}"
    for requirement in map(Requirement, requirements):
        is_optional = requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})
        found = installed.get(requirement.name)
        if found is not None and not is_optional and not requirement.specifier.contains(found, prereleases=True):
            return f"vLLM {version} takes {requirement.name} {requirement.specifier}, and {found} is installed"
    return None


def check_recipe(passed: Mapping[str, object], generation: GenerationConfig) -> None:
    """Passes if a recipe asks for nothing that vLLM does wrongly.

    Args:
        passed: The recipe's `trl` block, with `use_vllm` in it.
        generation: How completions are sampled.

    Raises:
        ConfigError: An unknown mode, or a correction that would be biased.
    """
    mode = passed.get("vllm_mode", MODES[0])
    if mode not in MODES:
        raise ConfigError(f"trl.vllm_mode is {mode!r}. Choose one of: {', '.join(MODES)}.")
    narrowed = narrowing_settings(generation)
    if narrowed and passed.get("vllm_importance_sampling_correction", True):
        raise ConfigError(
            f"trl.use_vllm with generation.{' and generation.'.join(narrowed)}: vLLM's log-probabilities are of the narrowed distribution "
            "and the trainer's of the whole one, so the importance-sampling correction would be biased (trl#6789). Leave these keys out "
            "or set trl.vllm_importance_sampling_correction: false."
        )


def narrowing_settings(generation: GenerationConfig) -> list[str]:
    """Returns the settings that make vLLM's log-probabilities those of another distribution than the policy's, in words.

    Where there is one, `parity.check_logps` cannot compare them with the trainer's.
    """
    whole = {"top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
    given = {name: getattr(generation, name) for name in whole}
    return [f"{name} {value:g}" for name, value in given.items() if value != whole[name] and not (name == "min_p" and value == 0.0)]
