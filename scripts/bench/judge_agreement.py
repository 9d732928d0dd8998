"""How often judges of answers agree with a careful reader and with official verdicts.

    python scripts/bench/judge_agreement.py CASES.jsonl [--only SUITE] [--json] [--wrong JUDGE]

One table for: vlmpost's generic judge, vlmpost's profile of the row, math-verify, TRL's accuracy_reward, and "the last number" (on
questions with options "the last letter"). `--json` prints the same as JSON, `--only SUITE` takes one suite, `--wrong JUDGE` lists the
rows on which that judge is not with the labels.

CASES has one JSON object a line. Read by every judge: `output`, `gold` (text, or a list of accepted answers), and where there are any
`choices` (letter to text, or a list), `question_type`, `answer_type`, `precision`, `unit`, `question`, as `vlmpost reward score` reads
them. Read here: `id`, `suite` (the group in the table), `rule_profile` (a profile of vlmpost) and the labels, null or left out
where there is none:
  semantic_correct  what a careful reader says;
  robust            true: no independent evaluator disagrees with the official verdict; false: one does, a dispute, which
                    `semantic_correct` settles; null: nobody else has an opinion;
  expected_correct  the official verdict.

A judge without an opinion (math-verify and TRL cannot read the gold, vlmpost is uncertain, the gold has no number, the time limit) is
counted in the last column and left out of the shares. The golds of math-verify and TRL are written as `$gold$` where they are a formula,
a number or an option letter, which is how they read most of them.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmpost.answers import profiles
from vlmpost.answers.profiles.lettered import gold_letters
from vlmpost.answers.reference import Reference, reference_of
from vlmpost.errors import GraderError
from vlmpost.rewards.rows import rollout_of

MAX_START_SECONDS = 300.0
LABELS = ("robust", "dispute", "reader", "official")
"""Columns: with a careful reader on robust rows, on settled disputes, on all rows; with the official verdict."""
_NUMBER = re.compile(r"-?(?:\d+,)*\d+(?:\.\d+)?")
_LETTER = re.compile(r"\b[A-Z]\b")


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the file."""

    id: str
    suite: str
    profile: str | None
    output: str
    reference: Reference
    labels: Mapping[str, bool]
    """Column -> label, for the columns the row has one for."""


Judge = Callable[[Case], bool | None]


class Rival:
    """A checker of `rival_judges.py` in a child process; a row over the time limit costs it its process."""

    def __init__(self, name: str, *, max_seconds: float) -> None:
        self.name, self.max_seconds = name, max_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, case: Case) -> bool | None:
        """The checker's verdict; None where it has none or took too long."""
        process = self._process or self._start()
        assert process.stdin is not None, "started with a pipe"
        request = {"gold": gold_as_formula(case.reference), "output": case.output}
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            reply = _read_line(process, self.max_seconds)
        except BrokenPipeError:
            reply = None
        if reply is None:
            print(f"{self.name}: {case.id} took more than {self.max_seconds:g} s or ended the process", file=sys.stderr)
            self.close()
            return None
        right = json.loads(reply)["right"]
        return None if right is None else bool(right)

    def close(self) -> None:
        """Ends the child."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(Path(__file__).with_name("rival_judges.py")), self.name]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
        )
        self._process = process
        if _read_line(process, MAX_START_SECONDS) is None:
            self.close()
            raise SystemExit(f"{self.name} did not start; try: {' '.join(command)}")
        return process


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--only", help="one suite")
    parser.add_argument("--json", action="store_true", help="JSON in place of the table")
    parser.add_argument("--wrong", metavar="JUDGE", help="list the rows on which this judge is not with the labels")
    parser.add_argument("--max-seconds", type=float, default=30.0, help="wall-clock limit of a row for a child process")
    args = parser.parse_args()
    cases = [case for case in read_cases(args.cases) if args.only in (None, case.suite)]
    rivals = [Rival(name, max_seconds=args.max_seconds) for name in ("math-verify", "trl")]
    judges: dict[str, Judge] = {"vlmpost": generic, "vlmpost, profile": by_profile}
    judges |= {"math-verify": rivals[0], "TRL accuracy_reward": rivals[1], "last number or letter": last_number_or_letter}
    if args.wrong is not None and args.wrong not in judges:
        raise SystemExit(f"There is no judge {args.wrong!r}. Judges: {', '.join(judges)}.")
    found: dict[str, list[bool | None]] = {}
    seconds = {}
    for name, judge in judges.items():
        begin = time.perf_counter()
        found[name] = [judge(case) for case in cases]
        seconds[name] = time.perf_counter() - begin
    for rival in rivals:
        rival.close()
    counts = count(cases, found)
    print(json.dumps({"rows": len(cases), "seconds": seconds, "counts": counts}, indent=1) if args.json else table(counts, cases))
    if args.wrong is not None:
        print_wrong(cases, found[args.wrong])


def read_cases(path: Path) -> list[Case]:
    """The rows of a file that have a label."""
    cases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        reader, official = row.get("semantic_correct"), row.get("expected_correct")
        labels = {"reader": reader, "official": official}
        if row.get("robust") is not None:
            labels["robust" if row["robust"] else "dispute"] = reader
        labels = {name: label for name, label in labels.items() if label is not None}
        if not labels:
            continue
        rollout = rollout_of(row, where=f"{path.name}, line {number}")
        name, suite = str(row.get("id", number)), str(row.get("suite", "all rows"))
        cases.append(Case(name, suite, row.get("rule_profile"), rollout.text, reference_of(rollout.example), labels))
    return cases


def generic(case: Case) -> bool | None:
    """vlmpost's own judge."""
    return _opinion("generic", case)


def by_profile(case: Case) -> bool | None:
    """vlmpost under the rules the row names; no opinion where it names none."""
    return None if case.profile is None else _opinion(case.profile, case)


def last_number_or_letter(case: Case) -> bool | None:
    """The last lone capital on questions with options, else the last number as a float; no opinion where the gold has none."""
    reference = case.reference
    if reference.answer_type == "choice":
        letters = _LETTER.findall(case.output)
        return bool(letters) and letters[-1] in gold_letters(reference)
    golds = {_float(numbers[-1]) for answer in reference.answers if (numbers := _NUMBER.findall(answer))}
    if not golds:
        return None
    numbers = _NUMBER.findall(case.output)
    return bool(numbers) and _float(numbers[-1]) in golds


def gold_as_formula(reference: Reference) -> str:
    """The reference answer as math-verify reads it best."""
    if reference.answer_type == "choice":
        return f"${min(gold_letters(reference))}$"
    gold = reference.answer
    wrapped = "$" in gold or "\\boxed" in gold or "\\(" in gold or "\\[" in gold
    formula = reference.answer_type != "text" or any(mark in gold for mark in "\\^_{}=<>") or gold[:1] in "([0123456789-"
    return gold if wrapped or not formula else f"${gold}$"


def count(cases: Sequence[Case], found: Mapping[str, Sequence[bool | None]]) -> dict[str, dict[str, dict[str, list[int]]]]:
    """Suite -> judge -> column -> [agrees, has an opinion, rows]; the suite "all" holds every row."""
    counts: dict[str, dict[str, dict[str, list[int]]]] = {}
    for suite in [*dict.fromkeys(case.suite for case in cases), "all"]:
        counts[suite] = {}
        for name, verdicts in found.items():
            columns: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
            for case, verdict in zip(cases, verdicts, strict=True):
                if suite not in (case.suite, "all"):
                    continue
                for column, label in case.labels.items():
                    columns[column][0] += verdict is label
                    columns[column][1] += verdict is not None
                    columns[column][2] += 1
                columns["no opinion"][0] += verdict is None
                columns["no opinion"][1] += 1
                columns["no opinion"][2] += 1
            counts[suite][name] = dict(columns)
    return counts


def table(counts: Mapping[str, Mapping[str, Mapping[str, Sequence[int]]]], cases: Sequence[Case]) -> str:
    """The counts as a Markdown table."""
    lines = ["| suite | judge | reader, robust | reader, disputes | reader, all | official | no opinion |", "|---|---|--:|--:|--:|--:|--:|"]
    for suite, judges in counts.items():
        for name, columns in judges.items():
            shown = [_share(columns.get(label)) for label in LABELS]
            without, rows = columns["no opinion"][0], columns["no opinion"][1]
            lines.append(f"| {suite} | {name} | {' | '.join(shown)} | {without} of {rows} |")
    return "\n".join([*lines, "", f"{len(cases)} rows. A share is of the rows with that label on which the judge has an opinion."])


def print_wrong(cases: Sequence[Case], verdicts: Sequence[bool | None]) -> None:
    """The rows on which a judge is not with the careful reader, or with the official verdict where no reader has said anything."""
    for case, verdict in zip(cases, verdicts, strict=True):
        label = case.labels.get("reader", case.labels.get("official"))
        if verdict is not label:
            print(f"{case.id} {case.profile}: {verdict} for {label}; gold {case.reference.answer!r:.60}; ...{case.output[-120:]!r}")


def _opinion(profile: str, case: Case) -> bool | None:
    """What a profile says; no opinion where it is uncertain or cannot be applied to the reference answer."""
    try:
        verdict = profiles.find(profile).function(case.output, case.reference)
    except GraderError as error:
        print(f"{profile}: {case.id}: {error}", file=sys.stderr)
        return None
    return None if verdict.outcome == "uncertain" else verdict.correct


def _share(counted: Sequence[int] | None) -> str:
    if counted is None or counted[1] == 0:
        return "-"
    return f"{counted[0]}/{counted[1]} {100 * counted[0] / counted[1]:.1f} %"


def _float(text: str) -> float:
    return float(text.replace(",", ""))


def _read_line(process: subprocess.Popen[bytes], max_seconds: float) -> bytes | None:
    """One line from the child; None where it did not come in time."""
    assert process.stdout is not None, "started with a pipe"
    handle, deadline, read = process.stdout.fileno(), time.monotonic() + max_seconds, b""
    while not read.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([handle], [], [], left)[0]:
            return None
        chunk = os.read(handle, 4096)
        if not chunk:
            return None
        read += chunk
    return read


if __name__ == "__main__":
    main()
