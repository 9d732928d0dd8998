"""Kill -9 a curation at random moments, go on, compare: `python scripts/bench/curation_kill.py SOURCE... [--kills 10] [--seed 0]`.

A SOURCE is a file or folder of stored questions, or a drawn task; they share the questions evenly. One curation runs to its end; another
of the same recipe is killed and called again, until it was killed so many times and has ended. Passes when nothing is lost (the same
samples, rows, pass rates and fates, byte for byte), nothing is there twice, and both ledgers sum to the questions and answers that
went in.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

POLL_SECONDS = 0.002
MAX_WAIT_SECONDS = 0.3
SAME_FILES = ("samples.jsonl", "train.jsonl", "pass_rates.jsonl", "fates.jsonl", "ledger.json")


def main() -> int:
    """Prints a line per kill and the ledger; 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--num-questions", type=int, default=200)
    parser.add_argument("--num-samples", type=int, default=4)
    parser.add_argument("--max-completion-length", type=int, default=48)
    parser.add_argument("--max-concurrent", type=int, default=32)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vlmpost-curation-") as folder:
        recipe = Path(folder) / "curate.yaml"
        recipe.write_text(yaml.safe_dump(recipe_of(args)), encoding="utf-8")
        straight, broken = Path(folder) / "straight", Path(folder) / "broken"
        begin = time.monotonic()
        finish(recipe, straight)
        print(f"without a break: {time.monotonic() - begin:.0f} s", flush=True)
        source, num_all = random.Random(args.seed), num_samples(straight)
        for number, target in enumerate(sorted(source.choices(range(num_all + 1), k=args.kills)), start=1):
            print(f"kill {number:2d}: {killed(recipe, broken, num_wanted=target, source=source)}", flush=True)
        finish(recipe, broken)
        faults = [*differences(straight, broken), *ledger_faults(straight, args), *ledger_faults(broken, args)]
        print((straight / "ledger.json").read_text(encoding="utf-8"))
    print("\n".join(faults) or f"{args.kills} kills: the same files byte for byte, nothing lost, nothing twice, the ledgers sum")
    return int(bool(faults))


def recipe_of(args: argparse.Namespace) -> dict[str, object]:
    """The recipe; duplicates and wrong answers are kept out, as by default."""
    share, rest = divmod(args.num_questions, len(args.sources))
    numbers = [share + (place < rest) for place in range(len(args.sources))]
    return {
        "data": [_source(text, number) for text, number in zip(args.sources, numbers, strict=True)],
        "num_samples": args.num_samples,
        "generation": {"max_completion_length": args.max_completion_length, "max_concurrent": args.max_concurrent},
        "filters": {"truncated": False},
        "seed": args.seed,
    }


def _source(text: str, number: int) -> dict[str, object]:
    path = Path(text)
    return {"path": str(path.resolve()), "num_examples": number} if path.exists() else {"task": text, "num_examples": number}


def start(recipe: Path, out: Path) -> subprocess.Popen[bytes]:
    """Begins a curation, or goes on with it."""
    command = [sys.executable, "-m", "vlmpost", "curate", str(recipe), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(recipe: Path, out: Path) -> None:
    """Lets a curation end by itself."""
    code = start(recipe, out).wait()
    if code != 0:
        raise SystemExit(f"the curation ended with {code}")


def killed(recipe: Path, out: Path, *, num_wanted: int, source: random.Random) -> str:
    """Kills a curation a moment after it has so many samples, and says what it had."""
    process = start(recipe, out)
    while process.poll() is None and num_samples(out) < num_wanted:
        time.sleep(POLL_SECONDS)
    time.sleep(source.uniform(0, MAX_WAIT_SECONDS))
    was_running = process.poll() is None
    process.kill()
    process.wait()
    samples = out / "samples.jsonl"
    is_torn = samples.exists() and not samples.read_bytes().endswith(b"\n")
    return f"{num_samples(out)} samples{', a torn line' if is_torn else ''}{'' if was_running else ', it had ended by itself'}"


def num_samples(out: Path) -> int:
    """The whole lines of samples that a folder holds."""
    path = out / "samples.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def differences(straight: Path, broken: Path) -> list[str]:
    """What is not the same in two folders; the order of samples may differ."""
    faults = []
    for name in SAME_FILES:
        one, other = ((folder / name).read_bytes().splitlines() for folder in (straight, broken))
        if name == "samples.jsonl":
            one, other = sorted(one), sorted(other)
        if one != other:
            faults.append(f"{name} differs: {len(one)} and {len(other)} lines, {len(set(one) ^ set(other))} in one only")
    keys = [(row["purpose"], row["id"], row["sample"]) for row in map(json.loads, (broken / "samples.jsonl").open(encoding="utf-8"))]
    return [*faults, *([f"{len(keys) - len(set(keys))} samples stand there twice"] if len(keys) != len(set(keys)) else [])]


def ledger_faults(folder: Path, args: argparse.Namespace) -> list[str]:
    """Where the numbers of a ledger do not add up to what went in."""
    ledger = json.loads((folder / "ledger.json").read_text(encoding="utf-8"))
    fates = [json.loads(line) for line in (folder / "fates.jsonl").open(encoding="utf-8")]
    num_asked = sum("samples" in fate for fate in fates)
    faults = []
    for name, num_in in (("questions", args.num_questions), ("samples", num_asked * args.num_samples)):
        num_out = sum(ledger[name][bin]["all"] for bin in ("kept", "dropped", "failed"))
        if not num_in == num_out == ledger[name]["all"]:
            faults.append(f"{folder.name}: {num_in} {name} went in, {num_out} are in the ledger")
    num_rows = sum(1 for _ in (folder / "train.jsonl").open(encoding="utf-8"))
    if num_rows != ledger["num_rows"] or ledger["samples"]["kept"]["all"] != num_rows:
        faults.append(f"{folder.name}: {num_rows} rows, the ledger says {ledger['num_rows']} and {ledger['samples']['kept']['all']}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
