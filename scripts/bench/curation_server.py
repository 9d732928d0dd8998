"""Curation from a server that misbehaves, killed with -9 and resumed: `python scripts/bench/curation_server.py [--kills 6] [SOURCE ...]`.

A source is a data file, or FILE=N for its first N rows; without one, the small fixtures of the tests. The server
(tests/curation/scripted_server.py) is slow, fails, limits the rate, sends what is no JSON, cuts connections and replies, and refuses. One
curation runs against it without a break and without faults that pass; another one meets them all, is killed while answers come and
while rows are written, and is called again until it is finished. Passes when after each call every answer stands once, every ledger adds
up to what came in, and both leave the same rows, pass rates and numbers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import launch

from vlmpost.config.curate import CurateConfig
from vlmpost.config.schema import DataConfig
from vlmpost.curation.chats import Turn
from vlmpost.curation.endpoint import API_KEY, BASE_URL, EndpointChat
from vlmpost.data import build
from vlmpost.data.conversation import to_messages

sys.path.insert(0, str(launch.ROOT / "tests" / "curation"))
from scripted_server import Asked, Script, ScriptedServer, by_chance

FIXTURES = launch.ROOT / "tests" / "data" / "fixtures"
SOURCES = (f"{FIXTURES}/mathvision/test.jsonl", f"{FIXTURES}/puzzlevqa/test.jsonl")
KEY = "sk-this-must-be-written-nowhere"
PASSING = {"slow": 0.05, "status_500": 0.08, "rate_limited": 0.08, "not_json": 0.05, "no_choices": 0.05, "cut_connection": 0.08}
PASSING |= {"no_text": 0.03, "filtered": 0.03, "huge": 0.005}
"""Shares of faults that another try or another call passes."""
LASTING = {"length": 0.1, "reasoning": 0.2, "cut_reasoning": 0.05, "silent_end": 0.05, "too_long": 0.02}
"""Shares of replies that come out the same for the same question and seed."""
RIGHT_SHARE = 0.7
MAX_CALLS = 40
SLOW_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Setting:
    """What is curated."""

    recipe: Path
    config: CurateConfig
    answers: Mapping[str, str]
    """Question as it is sent -> its right answer."""
    num_rows: int
    """Questions in all."""


def main() -> int:
    """Prints a line per call and the ledger; 1 when something was lost, came twice or came out otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", default=SOURCES, metavar="SOURCE")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vlmpost-curate-") as folder:
        faults = check(args.sources, Path(folder), num_kills=args.kills, num_samples=args.samples, seed=args.seed)
    for fault in faults:
        print(f"FAULT: {fault}")
    print("passed" if not faults else f"{len(faults)} faults")
    return bool(faults)


def check(sources: Sequence[str], folder: Path, *, num_kills: int, num_samples: int, seed: int) -> list[str]:
    """Runs both curations in a folder and returns what is wrong; says what it does on standard output."""
    setting = setting_of(sources, folder, num_samples=num_samples, seed=seed)
    with server_of(setting, {}, seed=seed) as server:
        start = time.monotonic()
        status = call(setting, folder / "straight", server).wait()
        straight = folder / "straight"
        print(f"without a break: {setting.num_rows} questions, {len(server.asked)} requests, {time.monotonic() - start:.1f} s", flush=True)
    faults = [f"the curation without a break ended with {status}"] if status else faults_in(straight, setting)
    with server_of(setting, PASSING, seed=seed) as server:
        faults += killed_and_resumed(setting, folder / "killed", server, num_kills=num_kills, seed=seed)
        acts = ", ".join(f"{number} {act}" for act, number in Counter(server.acts).most_common())
        print(f"{len(server.asked)} requests: {acts}")
        print(f"{_num_wasted(server)} replies were asked for again after they had been sent whole")
    if faults:
        return faults
    print(json.dumps(json.loads((folder / "killed" / "ledger.json").read_text()), indent=1))
    for name in ("train.jsonl", "pass_rates.jsonl", "ledger.json"):
        if (straight / name).read_bytes() != (folder / "killed" / name).read_bytes():
            faults.append(f"{name} differs from that of the curation without a break")
    shown = [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    return faults + [f"the key stands in {path}" for path in shown]


def setting_of(sources: Sequence[str], folder: Path, *, num_samples: int, seed: int) -> Setting:
    """Writes the recipe, and reads the questions to know the right answers."""
    named = [source.partition("=") for source in sources]
    recipe: launch.Recipe = {
        "teacher": {"kind": "endpoint", "name": "scripted", "max_tries": 3, "max_seconds": 10.0},
        "data": [{"path": path} | ({"num_examples": int(number)} if number else {}) for path, _, number in named],
        "instruction": "Put the final answer in \\boxed{}.",
        "num_samples": num_samples,
        "seed": seed,
    }
    config = CurateConfig.model_validate(recipe)
    examples, _ = build(config.data, data=DataConfig(train=config.data, max_drop_share=config.max_drop_share), base_dir=None)
    os.environ[BASE_URL] = "http://localhost:1/v1"  # nothing is sent: only what would be is looked at
    chat = EndpointChat(config.teacher, generation=config.generation)
    answers = {}
    for example in examples:
        turn = Turn(tuple(to_messages(example, instruction=config.instruction)), example.images, seed=0)
        answers[json.dumps(chat.request(turn).messages)] = example.answer or ""
    return Setting(launch.write_recipe(recipe, folder / "recipe.yaml"), config, answers, len(examples))


def server_of(setting: Setting, shares: Mapping[str, float], *, seed: int) -> ScriptedServer:
    """Returns a server whose replies depend on question and seed alone, with faults that pass before them."""

    def drawn(asked: Asked, what: str) -> float:
        text = json.dumps([what, asked.body["messages"], asked.body["seed"]])
        return random.Random(hashlib.sha256(text.encode()).digest()).random()

    def say(asked: Asked) -> str:
        right = drawn(asked, "right") < RIGHT_SHARE
        answer = setting.answers[json.dumps(asked.body["messages"])] if right else "-98765"
        return f"Step {drawn(asked, 'text'):.6f} leads to the answer. So it is \\boxed{{{answer}}}."

    chance: Script = by_chance(shares, seed=seed, otherwise="")

    def script(asked: Asked) -> str:
        if (act := chance(asked)) == "slow":
            time.sleep(SLOW_SECONDS)
        elif act:
            return act
        place = drawn(asked, "act")
        for act, share in LASTING.items():
            place -= share
            if place < 0:
                return act
        return "good"

    return ScriptedServer(script=script, say=say)


def call(setting: Setting, folder: Path, server: ScriptedServer) -> subprocess.Popen[bytes]:
    """`vlmpost curate` as a process."""
    command = [sys.executable, "-m", "vlmpost", "curate", str(setting.recipe), "--out", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", BASE_URL: server.url, API_KEY: KEY}
    with open(f"{folder}.log", "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def killed_and_resumed(setting: Setting, folder: Path, server: ScriptedServer, *, num_kills: int, seed: int) -> list[str]:
    """Calls until the curation is finished, and returns what is wrong after any call."""
    source = random.Random(seed)
    num_all = setting.num_rows * setting.config.num_samples
    moments = sorted(source.uniform(0.02, 0.9) for _ in range(num_kills - 1))
    faults: list[str] = []
    for number in range(MAX_CALLS):
        process = call(setting, folder, server)
        if number < len(moments):
            wait_for(process, lambda share=moments[number]: _num_lines(folder / "samples.jsonl") >= share * num_all)
        elif number == len(moments):
            wait_for(process, lambda: (folder / "pass_rates.jsonl").exists())  # the first of the files that are written in the end
        else:
            process.wait()
        if process.poll() is None:
            time.sleep(source.uniform(0, 0.03))
            process.kill()
        status = process.wait()
        print(f"call {number + 1} ended with {status}, {_num_lines(folder / 'samples.jsonl')} answers", flush=True)
        faults += faults_in(folder, setting) if status == 0 else twice_in(folder)
        if status not in (0, -signal.SIGKILL):
            faults.append(f"call {number + 1} ended with {status}: {Path(f'{folder}.log').read_text(errors='replace')[-500:]}")
        if faults or (status == 0 and json.loads((folder / "ledger.json").read_text())["finished"]):
            return faults
    return [f"not finished after {MAX_CALLS} calls"]


def wait_for(process: subprocess.Popen[bytes], is_time: object) -> None:
    """Waits until it is time, or the process has ended."""
    assert callable(is_time)
    while process.poll() is None and not is_time():
        time.sleep(0.002)


def twice_in(folder: Path) -> list[str]:
    """Returns the answers that stand there twice; a last line that a kill tore is no answer."""
    path = folder / "samples.jsonl"
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")] if path.exists() else []
    rows = [json.loads(line) for line in lines]
    counts = Counter((row.get("purpose"), row["id"], row["sample"]) for row in rows if "text" in row)
    return [f"{key} stands there {number} times" for key, number in counts.items() if number > 1]


def faults_in(folder: Path, setting: Setting) -> list[str]:
    """Returns what is wrong with a folder whose call came to its end."""
    ledger = json.loads((folder / "ledger.json").read_text())
    faults = twice_in(folder)
    num_answers = setting.num_rows * setting.config.num_samples
    for name, num_all in (("questions", setting.num_rows), ("samples", num_answers)):
        bins = {bin: ledger[name][bin]["all"] for bin in ("kept", "dropped", "failed")}
        if not sum(bins.values()) == ledger[name]["all"] == num_all:
            faults.append(f"{name}: {num_all} came in, the ledger says {bins}")
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    if not len(rows) == ledger["num_rows"] == ledger["samples"]["kept"]["all"]:
        faults.append(f"{len(rows)} rows, the ledger says {ledger['num_rows']} and {ledger['samples']['kept']}")
    if len({row["id"] for row in rows}) != len(rows):
        faults.append("two rows have the same id")
    return faults


def _num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _num_wasted(server: ScriptedServer) -> int:
    whole = Counter(
        json.dumps([asked.body["messages"], asked.body["seed"]])
        for asked, act in zip(server.asked, server.acts, strict=True)
        if act in ("good", *LASTING) and act != "too_long"
    )
    return sum(number - 1 for number in whole.values())


if __name__ == "__main__":
    sys.exit(main())
