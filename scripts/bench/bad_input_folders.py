"""Folders with something wrong in them, for `bad_input_cases.py`: recipes, rows, images, model folders, runs, disks."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Container
from pathlib import Path

import vlmpost

NANO = Path(vlmpost.__file__).parent / "models" / "nano"
Setup = Callable[[Path], None]
Row = dict[str, object]


def sft(source: str = "task: counting, num_examples: 8, difficulties: [1]", *, more: str = "") -> Setup:
    """r.yaml for `vlmpost sft`, of one step of two examples."""
    return text("r.yaml", f"data:\n  train:\n    - {{{source}}}\ntraining: {{examples_per_step: 2, max_steps: 1}}\n{more}")


def rl(
    source: str = "task: counting, num_examples: 8, difficulties: [1]", *, rewards: str = "{name: accuracy}", steps: int = 1, more: str = ""
) -> Setup:
    """r.yaml for `vlmpost rl`, of steps of two prompts with two completions."""
    return text(
        "r.yaml",
        f"data:\n  train:\n    - {{{source}}}\nrewards:\n  - {rewards}\n"
        f"training: {{prompts_per_step: 2, max_steps: {steps}}}\n"
        f"algorithm: {{num_generations: 2}}\ngeneration: {{max_completion_length: 4}}\ncheckpoints: {{save_steps: 1}}\n{more}",
    )


def text(name: str, content: str) -> Setup:
    """A text file."""

    def write(folder: Path) -> None:
        (folder / name).write_text(content, encoding="utf-8")

    return write


def rows(change: Row | None = None, *, only: Container[int] = range(1, 9), num_rows: int = 8) -> Setup:
    """rows.jsonl with an image each; the values of `change` go into the rows numbered in `only`, from 1."""

    def write(folder: Path) -> None:
        lines = []
        for number in range(1, num_rows + 1):
            (folder / f"{number}.png").write_bytes(picture())
            row: Row = {"id": f"q{number}", "prompt": "<image>\nHow many?", "images": [f"{number}.png"], "answer": "2"}
            row["solution"] = "<think> two </think> \\boxed{2}"
            lines.append(json.dumps(row | (change or {}) if number in only else row))
        (folder / "rows.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    return write


def folder(name: str) -> Setup:
    """An empty folder."""

    def make(root: Path) -> None:
        (root / name).mkdir()

    return make


def bytes_of(name: str, make: Callable[[], bytes]) -> Setup:
    """A file of bytes."""

    def write(folder: Path) -> None:
        (folder / name).write_bytes(make())

    return write


@functools.cache
def picture() -> bytes:
    """A small PNG of noise, so that half of it is not a whole one."""
    from PIL import Image

    file = io.BytesIO()
    Image.effect_noise((56, 56), 80).convert("RGB").save(file, "PNG")
    return file.getvalue()


def half_picture() -> bytes:
    """The first half of a PNG."""
    return picture()[: len(picture()) // 2]


def bomb() -> bytes:
    """A PNG whose header promises 60000 x 60000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + picture()[33:]


def model(change: Callable[[Path], None]) -> Setup:
    """A copy of the nano VLM in `model`, changed."""

    def write(folder: Path) -> None:
        shutil.copytree(NANO, folder / "model")
        change(folder / "model")

    return write


def tensors(change: Callable[[dict[str, object]], None]) -> Callable[[Path], None]:
    """Changes the weights of a model folder."""

    def rewrite(folder: Path) -> None:
        from safetensors.numpy import load_file, save_file

        loaded = load_file(folder / "model.safetensors")
        change(loaded)
        save_file(loaded, folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


def drop_norm(loaded: dict[str, object]) -> None:
    """Takes the last norm of the language model away."""
    del loaded["model.norm.weight"]


def add_tensor(loaded: dict[str, object]) -> None:
    """Adds a tensor that no part of the model has."""
    loaded["model.layers.99.extra.weight"] = loaded["model.norm.weight"].copy()  # type: ignore[attr-defined]


def cut(folder: Path) -> None:
    """Leaves the first half of the weights."""
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without(name: str) -> Callable[[Path], None]:
    """Takes a file of a model folder away."""

    def remove(folder: Path) -> None:
        (folder / name).unlink()

    return remove


def broken_template(folder: Path) -> None:
    """Makes the chat template one that does not compile."""
    (folder / "chat_template.jinja").write_text("{% for message in %}")


def pickled(folder: Path) -> None:
    """Leaves weights in torch's old format only."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def text_only(folder: Path) -> None:
    """Makes config.json that of a language model."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))


def earlier_run(folder: Path) -> None:
    """runs/r: a run of r.yaml that stopped after a step, with a checkpoint."""
    from vlmpost.config.load import load
    from vlmpost.runs.directory import create
    from vlmpost.runs.status import write_status

    config = load("sft", folder / "r.yaml").config
    run = create(folder / "runs", "r", recipe_text=(folder / "r.yaml").read_text(), config=config, manifest={"kind": "sft"})
    run.checkpoint_path(1).mkdir()
    (run.checkpoint_path(1) / "model.safetensors").write_bytes(b"weights")
    run.metrics_path.write_text('{"step": 1, "loss": 2.0}\n')
    write_status(run, state="stopped", phase="sft", step=1, num_steps=2)
    run.unlock()


def enlarge(folder: Path) -> None:
    """Makes room on the file system at `disk`."""
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder / "disk")], check=True)


@functools.cache
def can_mount() -> bool:
    """Whether this user may mount file systems."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True).returncode:
            return False
        return subprocess.run(["umount", folder], check=False, capture_output=True).returncode == 0


TASK = """
from vlmpost.tasks import Task
from vlmpost.tasks.problem import Problem

class Parity(Task):
    name = "parity"

    def pose(self, rng, *, options, difficulty):
        return self.of(rng.randrange(1000))

    def of(self, number):
        word = "odd" if number % 2 else "even"
        return Problem(prompt=(f"Is {number} even or odd?",), content={"number": number}, solution=word, answer=word)

    def from_row(self, row):
        return self.example_of(self.of(row["number"]), id="given", facts={})

class Wrong(Parity):
    def solve(self, example, *, style="answer"):
        return "neither"

    def of(self, number):
        return Problem(prompt=(f"Is {number} even or odd?",), content={"number": number}, answer="odd")

class Fails(Parity):
    def pose(self, rng, *, options, difficulty):
        return {}["number"]

class NoTask:
    pass
"""
REWARDS = """
def raises(rollout):
    return 1 / 0

def gives_nan(rollout):
    return float("nan")

def gives_text(rollout):
    return "good"

def alternates(rollout):
    return float(rollout.sample)

calls = 0

def raises_later(rollout):
    global calls
    calls += 1
    if calls > 4:
        raise ValueError("no verdict")
    return 1.0
"""
