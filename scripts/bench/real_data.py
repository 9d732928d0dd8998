"""Runs `vlmpost data check`, `sft`, `rl` and `eval` on real benchmark questions in four layouts, and prints what came of it.

    python scripts/bench/real_data.py DATA_DIR [--model nano|FOLDER] [--num-steps 2] [--num-questions 16]

DATA_DIR holds mathvision/test_200.jsonl (with images/), mathvision/hf_layout (the hub's Parquet layout),
mathvision/vlmevalkit_layout/MathVision_40.tsv and puzzlevqa/sample.jsonl: MATH-Vision and PuzzleVQA, which are not part of this project.

A mechanical run: the rows are test questions, so the weights that saw them are thrown away with the temporary folder, and scores of a
tiny or random model are poor and mean nothing. What must hold: every command ends with 0; the token counts of the audit are those
that the processor gives for the decoded images; SFT trains on exactly as many tokens as the audit counted. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_COMPLETION_LENGTH = 24
NUM_COMPARED = 6
"""Rows of each layout whose counts are compared with the processor's own."""
LAYOUTS = {
    "MathVision JSONL": "mathvision/test_200.jsonl",
    "MathVision Parquet": "mathvision/hf_layout",
    "MathVision TSV": "mathvision/vlmevalkit_layout/MathVision_40.tsv",
    "PuzzleVQA JSONL": "puzzlevqa/sample.jsonl",
}


@dataclass
class Outcome:
    """One line of the table."""

    layout: str
    command: str
    code: int
    seconds: float
    rows: int = 0
    text_tokens: int = 0
    """Of the prompts, and of the solutions where they are imitated."""
    image_tokens: int = 0
    score: str = ""
    faults: list[str] = field(default_factory=list)


def main() -> None:
    """Runs every command on every layout and prints the table; ends with 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, nargs="?", help="folder with the files named above")
    parser.add_argument("--model", default="nano", help="nano, or a model folder")
    parser.add_argument("--num-steps", type=int, default=2, help="optimizer steps of SFT and RL, of two rows each")
    parser.add_argument("--num-questions", type=int, default=16, help="questions of each evaluation")
    parser.add_argument("--only", default="", help="layouts whose name holds this word")
    args = parser.parse_args()
    if args.data_dir is None:
        parser.error("give DATA_DIR, a folder with " + ", ".join(LAYOUTS.values()))
    missing = [path for path in LAYOUTS.values() if not (args.data_dir / path).exists()]
    if missing:
        parser.error(f"{args.data_dir} lacks {', '.join(missing)}")
    print("| layout | model | command | rows | text tokens | image tokens | exit | score | s |\n|---|---|---|--:|--:|--:|--:|---|--:|")
    faults = []
    for layout, path in LAYOUTS.items():
        if args.only.lower() not in layout.lower():
            continue
        with tempfile.TemporaryDirectory(prefix="vlmpost-real-") as folder:
            for outcome in outcomes(layout, (args.data_dir / path).resolve(), Path(folder), args):
                show(outcome, model=Path(args.model).name)
                faults += [f"{layout}, {outcome.command}: {fault}" for fault in outcome.faults]
    print("\nThe trained weights are deleted: their rows are test questions.")
    print("\n".join(["FAILED", *faults]) if faults else "Every command ended with 0, and all token counts agree.")
    sys.exit(1 if faults else 0)


def show(outcome: Outcome, *, model: str) -> None:
    """Prints a line of the table."""
    cells = [outcome.layout, model, outcome.command, outcome.rows, outcome.text_tokens, outcome.image_tokens]
    print("| " + " | ".join(str(cell) for cell in [*cells, outcome.code, outcome.score, f"{outcome.seconds:.1f}"]) + " |", flush=True)


def outcomes(layout: str, data: Path, folder: Path, args: argparse.Namespace) -> Iterator[Outcome]:
    """Runs the commands on one layout."""
    num_rows = 2 * args.num_steps
    yield check(layout, data, folder, model=args.model)
    yield sft(layout, data, folder, model=args.model, num_rows=num_rows)
    yield rl(layout, data, folder, model=args.model, num_rows=num_rows)
    yield evaluate(layout, data, folder, model=args.model, num_rows=args.num_questions)


def check(layout: str, data: Path, folder: Path, *, model: str) -> Outcome:
    """`vlmpost data check` on all rows, and its counts beside the processor's."""
    ledger = folder / "ledger.jsonl"
    command = ["data", "check", str(data), "--split", "test", "--model", model, "--ledger", str(ledger), "--max-drop-share", "0"]
    outcome = run(layout, "data check", command, folder)
    if outcome.code == 0:
        kept = [row for row in map(json.loads, ledger.read_text(encoding="utf-8").splitlines()) if row["event"] == "kept"]
        compared = {row["id"]: row for row in kept[:NUM_COMPARED] + kept[-NUM_COMPARED:]}
        outcome.rows = len(kept)
        outcome.image_tokens = sum(row["image_tokens"] for row in kept)
        outcome.text_tokens = sum(row["prompt_tokens"] + row.get("solution_tokens", 0) for row in kept) - outcome.image_tokens
        wrong = wrong_counts(data, compared, model=model)
        outcome.score = f"{len(compared) - len(wrong)} of {len(compared)} rows as the processor counts"
        outcome.faults += wrong
    return outcome


def wrong_counts(data: Path, counted: dict[str, Any], *, model: str) -> list[str]:
    """The rows for which the processor gives other tokens than the audit counted; the images are decoded."""
    from vlmpost.config.schema import DataConfig, SourceConfig
    from vlmpost.data import build
    from vlmpost.data.conversation import to_messages
    from vlmpost.media.images import open_image

    source = SourceConfig(path=str(data), split="test")
    examples, _ = build([source], data=DataConfig(train=[source]), base_dir=None)
    processor = processor_of(model)
    image_id = processor.tokenizer.convert_tokens_to_ids(processor.image_token)
    wrong = []
    for example in examples:
        if example.id not in counted:
            continue
        text = processor.apply_chat_template(to_messages(example, instruction=None), tokenize=False, add_generation_prompt=True)
        batch = processor(text=[text], images=[[open_image(ref) for ref in example.images]], return_tensors="pt")
        ids = batch["input_ids"][0].tolist()
        row = counted[example.id]
        found, said = (len(ids), ids.count(image_id)), (row["prompt_tokens"], row["image_tokens"])
        # A placeholder stands for merge_size squared patches: what the vision tower gives must fill what the text holds.
        merged = int(batch["image_grid_thw"].prod(-1).sum()) // processor.image_processor.merge_size**2
        if found != said or merged != found[1]:
            wrong.append(f"{example.id}: counted {said}, the processor gives {found}, the vision tower {merged} (all tokens, image tokens)")
    return wrong


def sft(layout: str, data: Path, folder: Path, *, model: str, num_rows: int) -> Outcome:
    """`vlmpost sft` once over the first rows, their answers being the texts to imitate."""
    recipe = folder / "sft.yaml"
    recipe.write_text(recipe_text(data, model=model, num_rows=num_rows, columns="{solution: answer}") + "  examples_per_step: 2\n")
    outcome = run(layout, "sft", ["sft", str(recipe), "--run-dir", str(folder / "sft")], folder)
    outcome.rows, outcome.text_tokens, outcome.image_tokens = counts_of(data, model=model, num_rows=num_rows, solution="answer")
    if outcome.code == 0:
        rows = metrics(folder / "sft")
        outcome.score = "loss " + ", ".join(f"{row['loss']:.3f}" for row in rows)
        if rows[-1]["num_tokens"] != outcome.text_tokens + outcome.image_tokens:
            outcome.faults.append(f"trained on {rows[-1]['num_tokens']} tokens, counted {outcome.text_tokens + outcome.image_tokens}")
    return outcome


def rl(layout: str, data: Path, folder: Path, *, model: str, num_rows: int) -> Outcome:
    """`vlmpost rl` once over the first rows."""
    recipe = folder / "rl.yaml"
    recipe.write_text(
        recipe_text(data, model=model, num_rows=num_rows)
        + "  prompts_per_step: 2\nrewards:\n  - {name: accuracy}\nalgorithm: {num_generations: 2}\n"
        + f"generation: {{max_completion_length: {MAX_COMPLETION_LENGTH}}}\n"
    )
    outcome = run(layout, "rl", ["rl", str(recipe), "--run-dir", str(folder / "rl")], folder)
    outcome.rows, outcome.text_tokens, outcome.image_tokens = counts_of(data, model=model, num_rows=num_rows, solution=None)
    if outcome.code == 0:
        outcome.score = "reward " + ", ".join(f"{row['reward']:.2f}" for row in metrics(folder / "rl"))
    return outcome


def evaluate(layout: str, data: Path, folder: Path, *, model: str, num_rows: int) -> Outcome:
    """`vlmpost eval` on the first rows."""
    command = ["eval", model, "--data", str(data), "--num-examples", str(num_rows), "--out", str(folder / "eval"), "--json"]
    outcome = run(layout, "eval", [*command, "--max-completion-length", str(MAX_COMPLETION_LENGTH)], folder)
    outcome.rows, outcome.text_tokens, outcome.image_tokens = counts_of(data, model=model, num_rows=num_rows, solution=None)
    if outcome.code == 0:
        result = json.loads((folder / "eval" / "results.json").read_text(encoding="utf-8"))
        accuracy = result["accuracy"]
        interval = "" if accuracy["low"] is None else f" [{accuracy['low']:.1%}, {accuracy['high']:.1%}]"
        outcome.score = f"accuracy {accuracy['mean']:.1%}{interval}"
        if result["num_questions"] != num_rows:
            outcome.faults.append(f"{result['num_questions']} of {num_rows} questions were asked")
    return outcome


def recipe_text(data: Path, *, model: str, num_rows: int, columns: str = "{}") -> str:
    """The start of a recipe over the first rows, ending inside its training section."""
    source = json.dumps(str(data))
    return (
        f"model: {{path: {json.dumps(model)}}}\n"
        f"data:\n  train:\n    - {{path: {source}, split: test, num_examples: {num_rows}, columns: {columns}}}\n"
        f"training:\n  max_steps: {num_rows // 2}\n"
    )


def counts_of(data: Path, *, model: str, num_rows: int, solution: str | None) -> tuple[int, int, int]:
    """Rows, text tokens and image tokens of the first rows, as the audit counts them; `solution` is the column to imitate."""
    from vlmpost.config.schema import DataConfig, SourceConfig
    from vlmpost.data import build
    from vlmpost.data.audit import audit

    columns = {} if solution is None else {"solution": solution}
    source = SourceConfig(path=str(data), split="test", num_examples=num_rows, columns=columns)
    config = DataConfig(train=[source])
    examples, _ = build([source], data=config, base_dir=None)
    kept = audit(examples, processor_of(model), config, with_solution=solution is not None)[1].kept
    image_tokens = sum(row.image_tokens or 0 for row in kept)
    return len(kept), sum((row.prompt_tokens or 0) + (row.solution_tokens or 0) for row in kept) - image_tokens, image_tokens


@functools.cache
def processor_of(model: str) -> Any:
    """The processor of a model folder."""
    from vlmpost.config.schema import ModelConfig
    from vlmpost.models.loader import load_processor

    return load_processor(ModelConfig(path=model))


def metrics(run_dir: Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics."""
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def run(layout: str, name: str, command: Sequence[str], folder: Path) -> Outcome:
    """Runs a command and times it; an exit code other than 0 is a fault, told with the end of what it printed."""
    start = time.perf_counter()
    said = vlmpost(command, folder)
    outcome = Outcome(layout, name, said.returncode, time.perf_counter() - start)
    if said.returncode != 0:
        outcome.faults.append(f"exit code {said.returncode}: {said.stderr[-2000:]}")
    return outcome


def vlmpost(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs `python -m vlmpost COMMAND`."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "vlmpost", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    main()
