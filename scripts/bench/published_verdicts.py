"""Rule profiles against verdicts that were published: `python scripts/bench/published_verdicts.py FOLDER`.

FOLDER holds checkouts of public repositories, those that are there: MATH-V (mathllm), MathVista (lupantech), MMMU (MMMU-Benchmark),
grade-school-math (openai). Their files of model outputs carry the verdict of the benchmark's own scoring;
each output is scored by the profile of that name. MathVista's outputs are scored twice: the extraction that a language model made, as
the official code scores it, and the raw response. Rows that the official code answered at random are left out.
Nothing here is timed. Passes when all but the explained rows agree (`vlmpost reward show PROFILE` explains).
"""

from __future__ import annotations

import argparse
import ast
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # of the rows of others' files

from vlmpost.answers import Reference, profiles
from vlmpost.errors import GraderError


@dataclass(frozen=True)
class Output:
    """A model's output with the verdict that was published for it."""

    text: str
    reference: Reference
    correct: bool
    where: str


def main() -> int:
    """Prints a line per source; 1 when a source agrees less than it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", type=int, default=0, help="differing rows to print for each source")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    sources: list[tuple[str, str, Callable[[Path], Iterator[Output]], float]] = [
        ("MATH-V", "mathvision", math_vision, 0.9999),
        ("MathVista", "mathvista_official", math_vista_extractions, 0.998),
        ("MathVista", "mathvista", math_vista_responses, 0.9),
        ("MMMU", "mmmu_pro", mmmu_pro, 1.0),
        ("grade-school-math", "gsm8k", gsm8k, 1.0),
    ]
    failed = False
    for folder, profile, read, share in sources:
        if not (args.folder / folder).is_dir():
            print(f"{profile:20} no checkout {args.folder / folder}")
            continue
        failed |= compared(profile, read(args.folder / folder), share, num_shown=args.show)
    return int(failed)


def compared(profile: str, outputs: Iterator[Output], share: float, *, num_shown: int) -> bool:
    """Prints how many verdicts agree; whether they are fewer than the share."""
    rules = profiles.find(profile).function
    num_rows = num_same = num_unusable = 0
    for output in outputs:
        num_rows += 1
        try:
            verdict = rules(output.text, output.reference)
        except GraderError:
            num_unusable += 1
            continue
        num_same += verdict.correct is output.correct
        if verdict.correct is not output.correct and num_shown:
            num_shown -= 1
            print(f"  {output.where}: published {output.correct}, gold {output.reference.answer!r}, {verdict}")
    failed = num_rows == 0 or num_same < share * num_rows
    note = f", {num_unusable} with a reference that cannot be used" if num_unusable else ""
    agreed = f"{num_same:6} of {num_rows:6} verdicts as published ({num_same / max(1, num_rows):.3%})"
    print(f"{profile:20} {agreed}{note}{'  FAILED' if failed else ''}")
    return failed


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def math_vision(root: Path) -> Iterator[Output]:
    """outputs/**/*.jsonl: the response and whether it was correct; questions in data/test.jsonl."""
    questions = {row["id"]: row for row in lines(root / "data" / "test.jsonl")}
    for path in sorted(root.rglob("outputs/**/*.jsonl")):
        for row in lines(path):
            if "model_answer" not in row:
                continue
            question = questions[row["id"]]
            options = tuple(question["options"])
            reference = Reference(str(question["answer"]), "choice" if options else "latex", options, id=row["id"])
            yield Output(row["response"], reference, row["correct"], f"{path.name} {row['id']}")


def math_vista_rows(root: Path) -> Iterator[tuple[dict[str, Any], Reference, str]]:
    """results/*/output_*.json: rows that were scored."""
    for path in sorted(root.glob("results/*/output_*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")).values():
            if "extraction" not in row or "true_false" not in row:
                continue
            chosen = row["question_type"] == "multi_choice"
            reference = Reference(
                row["answer"],
                "choice" if chosen else "text" if row["answer_type"] == "list" else "number",
                tuple(row["choices"] or ()),
                kind="text" if chosen else row["answer_type"],
                precision=None if row["precision"] is None else int(row["precision"]),
                unit=row["unit"] or "",
                question=row["question"],
                id=row["pid"],
            )
            yield row, reference, f"{path.name} {row['pid']}"


def math_vista_extractions(root: Path) -> Iterator[Output]:
    """What a language model extracted."""
    for row, reference, where in math_vista_rows(root):
        yield Output(row["extraction"], reference, row["true_false"], where)


def math_vista_responses(root: Path) -> Iterator[Output]:
    """The raw responses."""
    for row, reference, where in math_vista_rows(root):
        yield Output(row["response"] or "", reference, row["true_false"], where)


def mmmu_pro(root: Path) -> Iterator[Output]:
    """mmmu-pro/output/*.jsonl; rows are left out where the published letter was drawn, which shows in that the profile reads none."""
    read = profiles.find("mmmu_pro").function
    for path in sorted(root.glob("mmmu-pro/output/*.jsonl")):
        for row in lines(path):
            options = [str(option) for option in ast.literal_eval(str(row["options"]))]
            reference = Reference(row["answer"], "choice", tuple(options), id=row["id"])
            text = row["response"] if isinstance(row["response"], str) else ""
            if ord(row["answer"]) - ord("A") < len(options) and read(text, reference).outcome != "unparsed":
                yield Output(text, reference, row["if_right"], f"{path.name} {row['id']}")


def gsm8k(root: Path) -> Iterator[Output]:
    """example_model_solutions.jsonl: solutions of four systems."""
    for number, row in enumerate(lines(root / "grade_school_math" / "data" / "example_model_solutions.jsonl"), start=1):
        for system in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
            yield Output(row[system]["solution"], Reference(row["ground_truth"], "number"), row[system]["is_correct"], f"{number} {system}")


if __name__ == "__main__":
    sys.exit(main())
