"""Kill -9 in every stage of a strategy, resume, compare: `python scripts/bench/combine_kill.py [--kills 4] [--runs 1] [--seed 0]`.

For two_stage, data_mix, merge, interleaved and progressive each, in a few steps of the nano VLM: one run to its end, then runs that are
killed `--kills` times, in stages that rise over the strategy, and resumed after each kill until they end. By turns a kill falls just when
a stage begins, at a random moment of its work, and just when it ends.
Passes when every such run ends with the same bytes as the one without a break (weights of every stage and of the strategy, answers,
pass rates, choices, results; lines of a file sorted, folders of the run by one name), and when no file of a stage that was finished at a
kill was written again after it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import launch

POLL_SECONDS = 0.001
SETTLE_SECONDS = 0.05
"""How long after the beginning or the end of a stage a kill may still fall."""
PLACES = ("beginning", "middle", "end")
OF_ATTEMPTS = ("manifest.json", "status.json", "metrics.jsonl", "checkpoint.json", "trainer_state.json", "training_args.bin", "merge.json")
"""Files that say when and how often something was run, or where."""
_QUESTIONS = {"num_samples": 1, "generation": {"max_completion_length": 48}}
_SFT = launch.sft_recipe(max_steps=4, examples_per_step=8, save_steps=1, num_examples=40)
_RL = launch.rl_recipe(max_steps=4, prompts_per_step=2, save_steps=1, num_examples=8)
_SHARED: launch.Recipe = {
    "evaluation": {
        "data": [{"task": "card_sums", "num_examples": 8, "split": "test"}],
        "levels": {"num_samples": 5},
        **_QUESTIONS,
    }
}
_SELECT = {"data": [{"task": "card_sums", "num_examples": 8, "split": "validation"}], **_QUESTIONS}


def _guided(preset: str) -> launch.Recipe:
    return launch.guided_recipe(preset, max_steps=4, prompts_per_step=2, save_steps=1)


RECIPES: dict[str, launch.Recipe] = {
    "two_stage": {
        "sft": _SFT,
        "rl": _RL,
        "two_stage": {"start": "best", "measure_length": {"num_examples": 4, "num_samples": 2, "max_completion_length": 64}},
        "select": _SELECT,
    },
    "data_mix": {"sft": _SFT, "rl": _RL, "data_mix": {"num_samples": 2, "training": {"max_steps": 4, "examples_per_step": 4}}},
    "merge": {
        "sft": _SFT,
        "rl": _RL,
        "merge": {"methods": ["linear", "ties"], "ratios": [0.0, 0.5, 1.0], "densities": [0.5]},
        "select": _SELECT,
    },
    "interleaved": {"rl": _guided("interleaved_buffered") | {"guidance": launch.GUIDED["interleaved_buffered"]}},
    "progressive": {"rl": _guided("progressive") | {"guidance": {}}, "pass_rates": {"num_samples": 2}},
}
"""By strategy."""


def main() -> int:
    """Prints a line per kill and the counts; 1 when a resumed run differs, or a finished stage was written again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=4, help="of each run")
    parser.add_argument("--runs", type=int, default=1, help="killed runs of each strategy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strategies", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    args = parser.parse_args()
    source = random.Random(args.seed)
    num_right = num_all = 0
    with tempfile.TemporaryDirectory(prefix="vlmpost-kill-") as folder:
        for strategy in args.strategies:
            recipe = launch.write_recipe({"strategy": strategy, **_SHARED, **RECIPES[strategy]}, Path(folder) / f"{strategy}.yaml")
            straight = Path(folder) / f"{strategy}-straight"
            launch.run("combine", recipe, straight)
            wanted, seconds = contents(straight), stage_seconds(straight)
            said = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
            print(f"{strategy}: {len(wanted)} files compared; {said}", flush=True)
            for number in range(args.runs):
                faults = killed_run(recipe, Path(folder) / f"{strategy}-{number}", wanted, seconds, num_kills=args.kills, source=source)
                print(f"{strategy} run {number + 1}: {'; '.join(faults) or 'identical'}", flush=True)
                num_right, num_all = num_right + (not faults), num_all + 1
    print(f"{num_right} of {num_all} runs with {args.kills} kills each end as the run without a break, bit for bit")
    return int(num_right != num_all)


def killed_run(
    recipe: Path, run_dir: Path, wanted: dict[str, str], seconds: dict[str, float], *, num_kills: int, source: random.Random
) -> list[str]:
    """What is wrong with a run that was killed so often and resumed until it ended."""
    names = list(seconds)
    faults: list[str] = []
    flags: list[str] = []
    kept: dict[str, dict[str, tuple[int, str]]] = {}
    for number in range(num_kills):
        first, last = number * len(names) // num_kills, max(1, (number + 1) * len(names) // num_kills) - 1
        stage = names[source.randint(min(first, last), last)]
        place = PLACES[number % len(PLACES)]
        reached = kill_in(recipe, run_dir, stage, place, seconds=seconds[stage], flags=flags, source=source)
        faults += changed(run_dir, kept)
        done = finished(run_dir)
        kept = {name: stamps(run_dir / "stages" / name) for name in done}
        print(f"  kill {number + 1} at the {place} of {stage}{'' if reached else ' (came too late)'}: {len(done)} stages done", flush=True)
        flags = ["--resume"]
    launch.run("combine", recipe, run_dir, *flags)
    faults += changed(run_dir, kept)
    found = contents(run_dir)
    return faults + [f"{name} differs" for name in sorted(wanted.keys() | found.keys()) if wanted.get(name) != found.get(name)]


def kill_in(recipe: Path, run_dir: Path, stage: str, place: str, *, seconds: float, flags: list[str], source: random.Random) -> bool:
    """Kills a run in a stage; False: it had ended before."""
    folder = run_dir / "stages" / stage
    process = launch.start("combine", recipe, run_dir, *flags)
    while process.poll() is None and not (is_finished(folder) if place == "end" else folder.is_dir()):
        time.sleep(POLL_SECONDS)
    time.sleep(source.uniform(0, seconds if place == "middle" else SETTLE_SECONDS))
    was_running = process.poll() is None
    process.kill()
    process.wait()
    return was_running


def is_finished(folder: Path) -> bool:
    """Whether a stage says that it is done."""
    path = folder / "status.json"
    return path.is_file() and json.loads(path.read_text(encoding="utf-8"))["state"] == "finished"


def finished(run_dir: Path) -> list[str]:
    """The stages that are done."""
    folder = run_dir / "stages"
    return sorted(path.name for path in folder.iterdir() if is_finished(path)) if folder.is_dir() else []


def stage_seconds(run_dir: Path) -> dict[str, float]:
    """How long each stage of a run took, in their order."""
    folders = sorted((run_dir / "stages").iterdir())
    return {path.name: (path / "status.json").stat().st_mtime - (path / "manifest.json").stat().st_mtime for path in folders}


def stamps(folder: Path) -> dict[str, tuple[int, str]]:
    """When each file of a folder was written, and the hash of its bytes."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


def changed(run_dir: Path, kept: dict[str, dict[str, tuple[int, str]]]) -> list[str]:
    """The files of finished stages that were written, made or deleted since."""
    faults = []
    for name, before in kept.items():
        now = stamps(run_dir / "stages" / name)
        faults += [
            f"stages/{name}/{file} was touched after its stage"
            for file in sorted(before.keys() | now.keys())
            if before.get(file) != now.get(file)
        ]
    return faults


def contents(run_dir: Path) -> dict[str, str]:
    """The hash of every file of a run that its result lies in."""
    files = [path for path in sorted(run_dir.rglob("*")) if path.is_file() and is_result(path)]
    return {str(path.relative_to(run_dir)): hashlib.sha256(compared(path, run_dir)).hexdigest() for path in files}


def is_result(path: Path) -> bool:
    """Whether a file is more than a trace of how a run went: of its attempts, or a hidden one that a kill left half written."""
    return path.name not in OF_ATTEMPTS and path.parent.name != "logs" and not path.name.startswith(".")


def compared(path: Path, run_dir: Path) -> bytes:
    """A file's bytes, without the place of the run, and without the order of lines."""
    data = path.read_bytes().replace(str(run_dir).encode(), b"RUN")
    return b"\n".join(sorted(data.splitlines())) if path.suffix == ".jsonl" else data


if __name__ == "__main__":
    sys.exit(main())
