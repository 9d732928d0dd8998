"""Where a run came from: command, code, packages, machine, seeds and hashes of everything that went in.

The environment is not stored, and arguments that look like secrets are blanked.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from vlmpost import __version__, jsonl
from vlmpost.records import Example
from vlmpost.runs.directory import RunDirectory, world_size

PACKAGES: Final = (
    "accelerate",
    "datasets",
    "math-verify",
    "numpy",
    "peft",
    "pillow",
    "pydantic",
    "safetensors",
    "tokenizers",
    "torch",
    "torchvision",
    "transformers",
    "trl",
    "vllm",
)
"""Packages whose version may change a number."""

_SECRET = re.compile(r"(?i)(token|secret|password|passwd|api[_-]?key|credential)")


def build_manifest(
    *,
    kind: str,
    argv: Sequence[str],
    config: BaseModel,
    seeds: Mapping[str, int],
    data_hashes: Mapping[str, str] | None = None,
    model_hash: str | None = None,
    chat_template_hash: str | None = None,
    pixel_budget: Mapping[str, int | None] | None = None,
    parent_runs: Sequence[str] = (),
) -> dict[str, object]:
    """The manifest of a run that starts now; what is not known yet is null and follows with `update_manifest`."""
    return {
        "kind": kind,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": public_arguments(argv),
        "vlmpost": __version__,
        "code_revision": code_revision(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": package_versions(),
        "hardware": hardware(),
        "world_size": world_size(),
        "seeds": dict(seeds),
        "config_hash": config_hash(config),
        "data_hashes": None if data_hashes is None else dict(data_hashes),
        "model_hash": model_hash,
        "chat_template_hash": chat_template_hash,
        "pixel_budget": None if pixel_budget is None else dict(pixel_budget),
        "parent_runs": list(parent_runs),
    }


def read_manifest(run: RunDirectory) -> dict[str, object]:
    """The manifest of a run.

    Raises:
        RunError: It cannot be read.
    """
    return jsonl.read_json(run.manifest_path)


def update_manifest(run: RunDirectory, **fields: object) -> None:
    """Writes what is known only after data and model are there, e.g. `model_hash`; does nothing where another rank writes.

    Raises:
        RunError: The manifest cannot be read or written.
    """
    if run.writes:
        jsonl.replace_json(run.manifest_path, {**read_manifest(run), **fields})


def config_hash(config: BaseModel) -> str:
    """A hash of every value of a config, the same whatever the order of keys."""
    text = json.dumps(config.model_dump(mode="json"), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def examples_hash(examples: Iterable[Example]) -> str:
    """A hash of what is trained on: ids, texts, answers, and the images, those in memory by content and files by path and size."""
    digest = hashlib.blake2b(digest_size=16)
    for example in examples:
        texts = [example.id, example.task, str(example.answer), str(example.solution), str(example.level), *example.choices]
        texts += [f"{message.role}:{part}" for message in example.prompt for part in message.content]
        for image in example.images:
            texts.append(hashlib.blake2b(image.data).hexdigest() if image.data is not None else f"{image.path}:{_file_size(image.path)}")
        digest.update("\0".join([*texts, "\n"]).encode())
    return digest.hexdigest()


def _file_size(path: str | None) -> int | None:
    """The size of a file; None when it cannot be seen."""
    try:
        return os.stat(path).st_size if path is not None else None
    except OSError:
        return None


def public_arguments(argv: Sequence[str]) -> list[str]:
    """The arguments with the values of those that look like secrets blanked.

    >>> public_arguments(["rl", "--set", "trl.hub_token=abc"])
    ['rl', '--set', 'trl.hub_token=***']
    """
    result = []
    blank_next = False
    for argument in argv:
        if blank_next and not argument.startswith("-"):
            result.append("***")
            blank_next = False
            continue
        name, equals, _ = argument.partition("=")
        secret = bool(_SECRET.search(name))
        result.append(f"{name}=***" if secret and equals else argument)
        blank_next = secret and not equals and argument.startswith("--")
    return result


def code_revision(folder: Path) -> str | None:
    """The git commit of the code, with "+changed" when files differ from it; None when the code is not in a git checkout."""
    if shutil.which("git") is None:
        return None

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", str(Path(__file__))) is None:
        return None
    commit = git("rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}+changed" if git("status", "--porcelain", "--untracked-files=no") else commit


def package_versions(names: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """The installed version of each package, without importing it; None: not installed."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def hardware() -> dict[str, object]:
    """The machine: processor, cores this process may use, memory, GPUs."""
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "num_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "gpus": gpus(),
    }


def gpus() -> list[dict[str, object]]:
    """Name and memory of each NVIDIA GPU, asked of nvidia-smi; empty when there is none."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode != 0:
        return []
    rows = [line.rsplit(",", 1) for line in done.stdout.splitlines() if line.count(",")]
    return [{"name": name.strip(), "memory_bytes": int(memory) * 2**20} for name, memory in rows if memory.strip().isdecimal()]


def _memory_bytes() -> int | None:
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
