"""Merging by `vlmpost merge` and by mergekit, in turn, on the same random checkpoints: seconds, memory, and how far the numbers differ.

    python scripts/bench/merge_speed.py --mergekit /path/to/mergekit-venv/bin/python

The checkpoints are Qwen2.5-VL folders with random weights in shards (a base and two models trained from it, as it were: the base and
noise) of more than 1 GB, made in a temporary folder; with tied embeddings in bfloat16 and with untied ones in float32. mergekit computes
in float32 too (`dtype: float32`) and saves the type of its inputs (`out_dtype`). Each side is a process of its own with one thread, from
start to exit. Its measures: wall seconds; processor seconds (user and system) of `wait4`; and resident memory at its most, for which
`/proc/PID/status` is asked every 10 ms: `VmHWM`, which counts all pages, mapped files' too (`ru_maxrss` will not do: it begins with what
the starting process had), and the largest sum of `RssAnon` and `RssShmem`, the pages that no file backs. A file's pages can be dropped
when memory runs short, so the second is the kinder one for a side that maps; both are printed.

Masks of DARE and DELLA come from different streams of random numbers, so these two are compared at density 1, where nothing is dropped.

A difference is also told in steps of the type that is saved: its epsilon times the entry, or times the root mean square of the tensor
where the entry is smaller than that, because differences of nearly equal numbers keep the rounding of what was subtracted.

With bfloat16 many differences from the base are equally large, also at the magnitude where TIES cuts. Which of those stay is arbitrary:
entries at a cut are left out of the comparison of TIES below density 1.

The last part merges the eight families of `tests/families.py`, tiny, and an architecture that nobody has heard of: mergekit's own words
where it refuses, whether transformers reads the same model from both results where it does not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from make_random_vlm import make_config, make_tokenizer, processor_settings, template
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, Qwen2_5_VLForConditionalGeneration

VOCABULARY = 65536
SHARD = "400MB"
TRAINED = 0.05
"""Size of the noise on a trained model against that of the weights."""


@dataclass(frozen=True)
class Case:
    """One method with its numbers, said to both sides."""

    name: str
    ours: tuple[str, ...]
    theirs: dict[str, object]
    """Keys of mergekit's configuration; `density` goes to each model."""
    has_base: bool = True


CASES = (
    Case("linear", ("--method", "linear"), {"merge_method": "linear"}, has_base=False),
    Case("slerp", ("--method", "slerp"), {"merge_method": "slerp"}, has_base=False),
    Case("task_arithmetic", ("--method", "task_arithmetic"), {"merge_method": "task_arithmetic"}),
    Case("ties 0.2", ("--method", "ties", "--density", "0.2"), {"merge_method": "ties", "density": 0.2}),
    Case("ties 0.5", ("--method", "ties", "--density", "0.5"), {"merge_method": "ties", "density": 0.5}),
    Case("ties 1", ("--method", "ties", "--density", "1"), {"merge_method": "ties", "density": 1.0}),
    Case("dare_linear 1", ("--method", "dare_linear", "--density", "1"), {"merge_method": "dare_linear", "density": 1.0}),
    Case("dare_ties 1", ("--method", "dare_ties", "--density", "1"), {"merge_method": "dare_ties", "density": 1.0}),
    Case("della 1", ("--method", "della", "--density", "1"), {"merge_method": "della", "density": 1.0}),
)
WEIGHTS = (0.25, 0.75)


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    wall: float
    cpu: float
    peak: float
    """MiB, all resident pages."""
    own: float
    """MiB, resident pages that no file backs."""


def main() -> None:
    """Builds, merges in turn, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--mergekit", type=Path, required=True, help="Python of an environment with mergekit")
    parser.add_argument(
        "--kinds", default="bfloat16-tied-19,float32-untied-2", help="DTYPE-tied-LAYERS or DTYPE-untied-LAYERS, with commas"
    )
    parser.add_argument("--cases", default=",".join(case.name for case in CASES), help="which, with commas between")
    parser.add_argument("--repeats", type=int, default=3, help="merges of each side")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    args = parser.parse_args()
    cases = [case for case in CASES if case.name in args.cases.split(",")]
    with tempfile.TemporaryDirectory(prefix="merge-speed-", dir=args.folder) as name:
        folder = Path(name)
        for kind in args.kinds.split(","):
            dtype, tied, layers = kind.split("-")
            models = build(folder / kind, dtype=dtype, is_tied=tied == "tied", num_layers=int(layers))
            print(f"\n{kind}: {size_of(models[0]) / 1e9:.2f} GB a model, {len(list(models[0].glob('*.safetensors')))} shards", flush=True)
            print("| method | mergekit s | vlmpost s | ratio | CPU ratio | peak MiB | | ratio | own pages ratio | max difference | steps |")
            print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
            for case in cases:
                print(row_of(case, *compared(case, models, dtype, args.mergekit, folder, repeats=args.repeats)), flush=True)
            shutil.rmtree(folder / kind)
        other_families(folder / "families", args.mergekit)


def build(folder: Path, *, dtype: str, is_tied: bool, num_layers: int) -> list[Path]:
    """Writes a base and two models, and returns their folders."""
    tokenizer = make_tokenizer(2048)
    shape = argparse.Namespace(hidden=1024, layers=num_layers, vision_hidden=1024, vision_layers=12)
    config = make_config(shape, tokenizer)
    config.text_config.vocab_size = VOCABULARY
    config.text_config.intermediate_size = 4096
    config.tie_word_embeddings = is_tied
    config.text_config.tie_word_embeddings = is_tied
    config.architectures = ["Qwen2_5_VLForConditionalGeneration"]
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    model = model.to(getattr(torch, dtype)).to_empty(device="cpu")
    model.tie_weights()
    with torch.no_grad():
        base = [torch.randn(parameter.shape).mul_(0.02).to(parameter.dtype) for parameter in model.parameters()]
        for index, name in enumerate(("base", "first", "second")):
            for parameter, values in zip(model.parameters(), base, strict=True):
                parameter.copy_(values if index == 0 else values.float() + 0.02 * TRAINED * torch.randn(values.shape))
            write_folder(model, tokenizer, folder / name)
    return [folder / name for name in ("base", "first", "second")]


def write_folder(model: Qwen2_5_VLForConditionalGeneration, tokenizer: object, folder: Path) -> None:
    """Writes weights in shards, and what stands beside them."""
    model.save_pretrained(folder, max_shard_size=SHARD)
    tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]  # a tokenizer of transformers
    (folder / "chat_template.jinja").write_text(template(), encoding="utf-8")
    (folder / "processor_config.json").write_text(json.dumps(processor_settings(3136, 1003520)), encoding="utf-8")


def compared(
    case: Case, models: Sequence[Path], dtype: str, mergekit: Path, folder: Path, *, repeats: int
) -> tuple[list[Cost], list[Cost], tuple[float, float]]:
    """Costs of both sides, run in turn, and the largest difference between their results."""
    theirs, ours = [], []
    out = {side: folder / f"out-{side}" for side in ("mergekit", "vlmpost")}
    for _ in range(repeats):
        for path in out.values():
            shutil.rmtree(path, ignore_errors=True)
        theirs.append(measured(their_command(case, models, dtype, mergekit, folder / "config.yml", out["mergekit"])))
        ours.append(measured(our_command(case, models, out["vlmpost"])))
    density = float(case.theirs["density"]) if case.theirs["merge_method"] == "ties" else 1.0  # type: ignore[arg-type]  # a number
    difference = largest_difference(out["mergekit"], out["vlmpost"], models=models, density=density)
    return theirs, ours, difference


def our_command(case: Case, models: Sequence[Path], out: Path) -> list[str]:
    """`vlmpost merge` of the two models."""
    base = ["--base", str(models[0])] if case.has_base else []
    weights = ["--weights", ",".join(map(str, WEIGHTS))]
    return [sys.executable, "-m", "vlmpost", "merge", str(models[1]), str(models[2]), *case.ours, *base, *weights, "--out", str(out)]


def their_command(case: Case, models: Sequence[Path], dtype: str, mergekit: Path, config: Path, out: Path) -> list[str]:
    """mergekit-yaml on a configuration that says the same."""
    density = {"density": case.theirs["density"]} if "density" in case.theirs else {}
    is_arc = case.theirs["merge_method"] == "slerp"
    entries = [
        {"model": str(model), **({} if is_arc else {"parameters": {"weight": weight, **density}})}
        for model, weight in zip(models[1:], WEIGHTS, strict=True)
    ]
    said: dict[str, object] = {
        "merge_method": case.theirs["merge_method"],
        "models": entries,
        "dtype": "float32",
        "out_dtype": dtype,
        **({"base_model": str(models[0])} if case.has_base else {}),
        **({"base_model": str(models[1]), "parameters": {"t": WEIGHTS[1]}} if is_arc else {}),
    }
    config.write_text(json.dumps(said), encoding="utf-8")
    script = mergekit.parent / "mergekit-yaml"
    return [str(script), str(config), str(out), "--quiet", "--num-threads", "1"]


def measured(command: Sequence[str]) -> Cost:
    """Runs a process to its end, which must be 0, and returns what it took."""
    with tempfile.TemporaryFile() as said:
        begin = time.monotonic()
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment())
        peak = own = 0.0
        while (done := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            pages = resident(process.pid)
            peak, own = max(peak, pages[0]), max(own, pages[1])
            time.sleep(0.01)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(done[1])
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{said.read().decode(errors='replace')[-3000:]}")
    return Cost(wall, done[2].ru_utime + done[2].ru_stime, peak, own)


def environment() -> dict[str, str]:
    """One thread, no network."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def resident(pid: int) -> tuple[float, float]:
    """MiB of all resident pages at their most, and of those that no file backs now; zeros once the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    sizes = {key: int(value.split()[0]) / 1024 for key, _, value in (line.partition(":") for line in lines) if value.endswith("kB")}
    return sizes.get("VmHWM", 0.0), sizes.get("RssAnon", 0.0) + sizes.get("RssShmem", 0.0)


def tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and numbers, one after another."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - safe_open is no mapping
                yield name, opened.get_tensor(name)


def largest_difference(first: Path, second: Path, *, models: Sequence[Path], density: float) -> tuple[float, float]:
    """Over all tensors, as a number and in steps of the type; ends the script where names, shapes or types differ.

    Below density 1, entries at a cut are left out (see `at_a_cut`).
    """
    places = {name: file for file in sorted(second.glob("*.safetensors")) for name in names_in(file)}
    largest = most_steps = 0.0
    for name, tensor in tensors(first):
        with safe_open(places.pop(name), framework="pt") as opened:
            other = opened.get_tensor(name)
        assert (tensor.shape, tensor.dtype) == (other.shape, other.dtype), (name, tensor.shape, other.shape, tensor.dtype, other.dtype)
        apart = (tensor.float() - other.float()).abs()
        if density < 1:
            apart[at_a_cut(name, models, density)] = 0
        size = torch.maximum(tensor.float().abs(), other.float().abs()).clamp_(min=float(other.float().square().mean().sqrt()))
        largest = max(largest, float(apart.max()))
        most_steps = max(most_steps, float((apart / size).max()) / torch.finfo(tensor.dtype).eps)
    assert not places, f"only in {second}: {sorted(places)[:10]}"
    return largest, most_steps


def at_a_cut(name: str, models: Sequence[Path], density: float) -> torch.Tensor:
    """Entries whose difference from the base is exactly as large as the smallest that a model keeps.

    Of equal ones vlmpost keeps the first; which ones mergekit keeps hangs on a sort that is not stable.
    """
    base, *others = (one_tensor(model, name).float() for model in models)
    found = torch.zeros(base.shape, dtype=torch.bool)
    for other in others:
        magnitudes = (other - base).abs()
        place = magnitudes.numel() - max(1, int(density * magnitudes.numel()))
        found |= magnitudes == float(np.partition(magnitudes.flatten().numpy(), place)[place])
    return found


def one_tensor(folder: Path, name: str) -> torch.Tensor:
    """A tensor of a folder in shards."""
    file = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))["weight_map"][name]
    with safe_open(folder / file, framework="pt") as opened:
        return opened.get_tensor(name)


def names_in(file: Path) -> list[str]:
    """The tensors of one file."""
    with safe_open(file, framework="pt") as opened:
        return list(opened.keys())


def size_of(folder: Path) -> int:
    """Bytes of weights."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def row_of(case: Case, theirs: Sequence[Cost], ours: Sequence[Cost], difference: tuple[float, float]) -> str:
    """A line of the table: medians."""
    middle = {key: [statistics.median(getattr(cost, key) for cost in side) for side in (theirs, ours)] for key in Cost.__annotations__}
    ratio = {key: ours / theirs for key, (theirs, ours) in middle.items()}
    far, steps = difference
    return (
        f"| {case.name} | {middle['wall'][0]:.1f} | {middle['wall'][1]:.1f} | {ratio['wall']:.2f} | {ratio['cpu']:.2f} "
        f"| {middle['peak'][0]:.0f} | {middle['peak'][1]:.0f} | {ratio['peak']:.2f} | {ratio['own']:.2f} | {far:.2g} | {steps:.2g} |"
    )


def other_families(folder: Path, mergekit: Path) -> None:
    """Prints what both sides make of tiny folders of every family and of an architecture of no family."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    import families

    print("\n| architecture | mergekit | vlmpost |\n|---|---|---|", flush=True)
    for family in families.FAMILIES:
        pair = [families.build(family, folder / family / name, seed=seed) for seed, name in enumerate(("first", "second"))]
        print(f"| {family} | {' | '.join(both_results(pair, folder / family, mergekit))} |", flush=True)
    print(f"| unheard_vlm | {' | '.join(both_results(unheard_of(folder / 'unheard'), folder / 'unheard', mergekit))} |", flush=True)


def both_results(pair: Sequence[Path], folder: Path, mergekit: Path) -> tuple[str, str]:
    """What mergekit said, and what vlmpost did."""
    out = {side: folder / side for side in ("mergekit", "vlmpost")}
    models = [pair[0], *pair]
    theirs = subprocess.run(
        their_command(CASES[0], models, "float32", mergekit, folder / "config.yml", out["mergekit"]),
        capture_output=True,
        text=True,
        env=environment(),
    )
    ours = subprocess.run(our_command(CASES[0], models, out["vlmpost"]), capture_output=True, text=True, env=environment())
    last = next((line.strip() for line in reversed((theirs.stdout + theirs.stderr).splitlines()) if line.strip()), "")
    said = "merged" if ours.returncode == 0 else f"refused: {ours.stderr.strip()}"
    if ours.returncode or theirs.returncode:
        return f"refused: {last[:140]}" if theirs.returncode else "merged", said
    return verdict_on(out["mergekit"], out["vlmpost"]), said


def verdict_on(theirs: Path, ours: Path) -> str:
    """Whether transformers reads the same model from both folders."""
    loaded = [AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32).state_dict() for path in (theirs, ours)]
    differing = [name for name, tensor in loaded[0].items() if not torch.allclose(tensor, loaded[1][name], atol=1e-6)]
    return f"merged, but {len(differing)} tensors are not read back, e.g. {differing[0]}" if differing else "merged, the same model"


def unheard_of(folder: Path) -> list[Path]:
    """Two folders of an architecture that transformers does not know either."""
    for seed, name in enumerate(("first", "second")):
        (folder / name).mkdir(parents=True)
        config = {"model_type": "unheard_vlm", "architectures": ["UnheardVlmForConditionalGeneration"]}
        (folder / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
        generator = torch.Generator().manual_seed(seed)
        names = ("vision_tower.stem.weight", "state_space.0.decay.weight", "head.weight")
        save_file({name: torch.randn(64, 64, generator=generator) for name in names}, folder / name / "model.safetensors")
    return [folder / name for name in ("first", "second")]


if __name__ == "__main__":
    main()
