"""Speed of the generic judge: `python scripts/bench/judge_speed.py CASES.jsonl [--limit N] [--core 0]`.

CASES holds rows as `vlmpost reward score` reads them; `semantic_correct` (true, false or null) is what a careful reader says. Each
case is judged by vlmpost and by math-verify called in this process (`parse` of both sides, then `verify`), in turn and on one core.
Seconds are of the processor, vlmpost's child process included, so that other users of the machine do not count; wall seconds stand beside
them. Nothing is remembered before the run; starting the child and math-verify's first formula are left out of both.
Passes at 5 times math-verify's speed, verdicts as good or better, and 20,000 plain answers a second.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from child_time import child_seconds
from math_verify import parse, verify

from vlmpost.answers import Reference, judge_reference, reference_of, symbolic
from vlmpost.errors import GraderError
from vlmpost.rewards.rows import rollout_of

MIN_RATIO = 5.0
MIN_PLAIN_PER_SECOND = 20_000
NUM_PLAIN = 40_000
LETTERS = "ABCD"


@dataclass(frozen=True)
class Case:
    """One answer to judge."""

    text: str
    reference: Reference
    gold: str
    expected: bool | None


def main() -> int:
    """Prints the figures; 1 when one is below its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--core", type=int, default=0)
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})
    logging.disable(logging.WARNING)
    cases = read_cases(args.cases)[: args.limit]
    symbolic.compare("x+1", "1+x")
    warm_math_verify()
    failed = compared(cases)
    failed |= plain()
    print(f"symbolic comparisons: {symbolic.counts()}   (load {os.getloadavg()[0]:.1f})")
    return int(failed)


def read_cases(path: Path) -> list[Case]:
    """The rows of a file."""
    cases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        reference = reference_of(rollout_of(row, where=f"{path}:{number}").example)
        cases.append(Case(row["output"], reference, reference.answer, row.get("semantic_correct")))
    return cases


def warm_math_verify() -> None:
    """Builds the tables of its parser."""
    for formula in (r"$\frac{x^2}{2}$", "$x+1$", r"$\sqrt{2}\pi$", "$[1,2)$", "$(1, 2)$"):
        verify(parse(formula), parse(formula))


def by_vlmpost(case: Case) -> bool | None:
    """Whether our judge takes the answer for right; None where it cannot judge such a reference."""
    try:
        return judge_reference(case.text, case.reference).correct
    except GraderError:
        return None


def by_math_verify(case: Case) -> bool | None:
    """Whether math-verify does, called as its documentation shows; None where it cannot read the reference."""
    gold, answer = parse(case.gold), parse(case.text)
    return bool(verify(gold, answer)) if gold else None


def compared(cases: list[Case]) -> bool:
    """Times both on every case in turn; whether speed or verdicts fail."""
    judges: dict[str, Callable[[Case], bool | None]] = {"vlmpost": by_vlmpost, "math-verify": by_math_verify}
    seconds, wall, slowest = dict.fromkeys(judges, 0.0), dict.fromkeys(judges, 0.0), dict.fromkeys(judges, 0.0)
    right, opinions = dict.fromkeys(judges, 0), dict.fromkeys(judges, 0)
    before = child_seconds()
    settled = sum(case.expected is not None for case in cases)
    for number, case in enumerate(cases):
        names = list(judges) if number % 2 else list(reversed(judges))
        for name in names:
            start, started = time.process_time(), time.perf_counter()
            said = judges[name](case)
            seconds[name] += time.process_time() - start
            taken = time.perf_counter() - started
            wall[name] += taken
            slowest[name] = max(slowest[name], taken)
            opinions[name] += said is not None
            right[name] += case.expected is not None and bool(said) is case.expected
    seconds["vlmpost"] += child_seconds() - before
    print(f"{len(cases)} cases, {settled} with a settled verdict; verdicts agree with a careful reader's:")
    for name in judges:
        print(
            f"{name:12} {seconds[name]:6.2f} s (wall {wall[name]:6.2f}) {len(cases) / seconds[name]:7.0f} a second   "
            f"slowest {slowest[name]:.2f} s   "
            f"reference read {opinions[name]}/{len(cases)}   right {right[name]}/{settled} = {right[name] / settled:.2%}"
        )
    ratio = seconds["math-verify"] / seconds["vlmpost"]
    failed = ratio < MIN_RATIO or right["vlmpost"] < right["math-verify"]
    print(f"vlmpost is {ratio:.1f} times as fast (bar {MIN_RATIO:g}){'  FAILED' if failed else ''}")
    return failed


def plain() -> bool:
    """Times plain numbers and letters, no two answers alike in number; whether that is too slow."""
    noise = random.Random(0)
    forms = ("{}", r"\boxed{{{}}}", "The answer is {}.", "<think>I count them.</think> The answer is {}.", "So I get ${}$.", "Answer: {}")
    failed = False
    for name in ("numbers", "letters"):
        work = []
        for number in range(NUM_PLAIN):
            said, gold = (str(number), str(number + noise.randint(0, 1))) if name == "numbers" else noise.choices(LETTERS, k=2)
            reference = Reference(gold, "number") if name == "numbers" else Reference(gold, "choice", ("red", "green", "blue", "black"))
            work.append((forms[number % len(forms)].format(said), reference, said == gold))
        start = time.process_time()
        verdicts = [judge_reference(text, reference).correct for text, reference, _ in work]
        rate = len(work) / (time.process_time() - start)
        wrong = sum(verdict is not same for verdict, (_, _, same) in zip(verdicts, work, strict=True))
        failed |= rate < MIN_PLAIN_PER_SECOND or wrong > 0
        print(f"plain {name}: {rate:,.0f} a second (bar {MIN_PLAIN_PER_SECOND:,}), {wrong} of {len(work)} verdicts wrong")
    return failed


if __name__ == "__main__":
    sys.exit(main())
