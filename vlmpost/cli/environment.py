"""`vlmpost env`: what is installed, whether vlmpost was tested with it, and what the machine has."""

from __future__ import annotations

import os
import platform
import sys
from typing import Annotated

import typer

from vlmpost.cli.options import JsonOption, print_json, print_table


def environment(
    as_json: JsonOption = False,
    full: Annotated[bool, typer.Option("--full", help="Also import torch and ask it for devices (takes seconds).")] = False,
) -> None:
    """Versions with verdicts, processor, GPU, settings."""
    packages = package_rows()
    machine = machine_facts()
    if full:
        machine |= torch_facts()
    if as_json:
        print_json(
            {"packages": [dict(zip(("package", "installed", "tested", "verdict"), row, strict=True)) for row in packages], **machine}
        )
        return
    print_table(["package", "installed", "tested", "verdict"], packages, flexible="verdict")
    for name, value in machine.items():
        print(f"{name.replace('_', ' ')}: {value}")
    for hint in hints(machine):
        print(f"hint: {hint}")


def package_rows() -> list[list[str]]:
    """Package, installed version, range it is tested in, verdict; for every package that vlmpost names."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    rows = []
    for text in requires("vlmpost") or []:
        requirement = Requirement(text)
        extra = _extra_of(requirement.marker)
        if extra == "dev":
            continue
        rows.append(_row(requirement.name, str(requirement.specifier) or "any", requirement.specifier, extra))
    rows.insert(0, ["python", platform.python_version(), ">=3.11", "ok" if sys.version_info >= (3, 11) else "too old"])
    return rows


def _row(name: str, tested: str, specifier: object, extra: str | None) -> list[str]:
    from packaging.specifiers import SpecifierSet

    assert isinstance(specifier, SpecifierSet)
    version = _version(name)
    if version is None:
        missing = f"not installed: pip install 'vlmpost[{extra}]'" if extra else "MISSING: pip install vlmpost"
        return [name, "-", tested, missing]
    inside = specifier.contains(version, prereleases=True)
    return [name, version, tested, "ok" if inside else f"OUTSIDE the tested range: pip install '{name}{tested}'"]


def _extra_of(marker: object) -> str | None:
    text = str(marker) if marker is not None else ""
    return text.partition("extra == ")[2].strip("\"' ") or None


def machine_facts() -> dict[str, object]:
    """The machine and the settings that matter, without importing torch."""
    from vlmpost.runs.manifest import hardware

    facts = hardware()
    memory = facts["memory_bytes"]
    gpus = facts["gpus"]
    assert isinstance(gpus, list)
    return {
        "platform": facts["platform"],
        "cores": facts["num_cores"],
        "memory_gib": round(memory / 2**30, 1) if isinstance(memory, int) else None,
        "gpu": [f"{gpu['name']}, {gpu['memory_bytes'] / 2**30:.0f} GiB" for gpu in gpus] or "none",
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS") or "not set",
        "hf_home": os.environ.get("HF_HOME", "default"),
        "offline": os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"),
    }


def torch_facts() -> dict[str, object]:
    """What torch itself sees."""
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "torch_threads": torch.get_num_threads(),
        "torch_cuda_build": torch.version.cuda or "no (CPU build)",
        "torch_sees": devices or "no GPU",
        "bfloat16_on_gpu": bool(devices) and torch.cuda.is_bf16_supported(),
    }


def hints(facts: dict[str, object]) -> list[str]:
    """What the user may want to change, given the facts."""
    result = []
    if facts["omp_num_threads"] == "not set" and facts["gpu"] == "none":
        result.append("set OMP_NUM_THREADS=1 for the nano model: threads that share cores make its steps 10 to 40 times slower")
    torch_version = _version("torch") or ""
    if facts["gpu"] != "none" and torch_version.endswith("+cpu"):
        result.append(f"there is a GPU, but torch {torch_version} cannot use it: install a torch build for CUDA")
    if _version("torchvision") is None:
        result.append("torchvision is not installed: images are processed with Pillow, which is slower; pip install 'vlmpost[vision]'")
    return result


def _version(name: str) -> str | None:
    """The installed version of a package; None: not installed."""
    from vlmpost.runs.manifest import package_versions

    return package_versions([name])[name]
