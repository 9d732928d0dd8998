"""What answers meant to break a judge cost the others: `python scripts/bench/judge_pathological.py [--ordinary 2000] [--size 1000000]`.

Ordinary answers (numbers, letters, texts and formulas, made by code) are judged alone, and again with every pathological answer of
`pathological_answers.py` mixed in. The time of the ordinary ones is compared: passes when they are at most a fifth slower, no answer
costs more than its limit, and none crashes the judge. Seconds are of the processor, child process included, so that other users of
the machine do not count; each run is a process of its own, alone and mixed in turn, and the least of the repeats counts.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pathological_answers
from child_time import child_seconds

from vlmpost.answers import Reference, judge_reference, symbolic
from vlmpost.errors import GraderError

MAX_SLOWDOWN = 0.2
MAX_SECONDS_PER_CHARACTER = 4e-6
MAX_OWN_SECONDS = 1.0
"""Beside the limit of a comparison and the time per character: what a verdict may cost on a machine that others use."""
REFERENCES = (
    Reference("7654321", "number"),
    Reference("C", "choice", pathological_answers.OPTIONS),
    Reference("red cat", "text"),
    Reference("x^2+4321", "latex"),
)


def main() -> int:
    """Prints the figures; 1 when one is off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ordinary", type=int, default=2000)
    parser.add_argument("--size", type=int, default=1_000_000, help="characters of a long pathological answer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--run", choices=["alone", "mixed"], default=None, help="one run, for the runs in turn")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    if args.run is not None:
        return one_run(num_ordinary=args.ordinary, size=args.size, mixed=args.run == "mixed")
    least = dict.fromkeys(("alone", "mixed"), float("inf"))
    failed = False
    for repeat in range(args.repeats):
        for name in least:
            command = [sys.executable, __file__, "--ordinary", str(args.ordinary), "--size", str(args.size), "--run", name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = done.stdout.splitlines()
            if done.returncode != 0 or repeat == 0:
                print("\n".join(lines[:-1]) + done.stderr, flush=True)
            failed |= done.returncode != 0
            least[name] = min(least[name], float(lines[-1]))
    slowdown = least["mixed"] / least["alone"] - 1
    for name, seconds in least.items():
        print(f"ordinary answers {name}: {args.ordinary / seconds:,.0f} a second")
    failed |= slowdown > MAX_SLOWDOWN
    print(f"slower by {slowdown:.1%} with pathological answers mixed in (bar {MAX_SLOWDOWN:.0%}){'  FAILED' if failed else ''}")
    return int(failed)


def ordinary(count: int) -> list[tuple[str, Reference]]:
    """Answers as models give them; of five, two are numbers, one a letter, one a text, one a formula, and of 25 one needs algebra."""
    noise = random.Random(0)
    made = []
    for number in range(count):
        a, b, right = noise.randint(2, 99), noise.randint(2, 99), noise.random() < 0.5
        match number % 5:
            case 0 | 1:
                text = (rf"So \boxed{{{a * b}}}.", f"Thus {a} x {b} is what we want.\nThe answer is {a * b + (not right)}.")[number % 2]
                made.append((text, Reference(str(a * b), "number")))
            case 2:
                made.append(
                    (f"It must be {noise.choice('ABCD')}) since {a} > {b}.", Reference("B", "choice", ("red", "green", "blue", "black")))
                )
            case 3:
                made.append((f"<think>{a} or {b}?</think> Answer: red cat {a}", Reference(f"red cat {a if right else b}", "text")))
            case _ if number % 25 == 24:
                text = rf"Integrating, \boxed{{{a} + \ln x - \frac{{{b}}}{{\sin x}} + {int(not right)}}}."
                made.append((text, Reference(rf"\ln x + {a} - {b} \csc x", "latex")))
            case _:
                text = rf"Expanding, \boxed{{x^2+{a + b}x+{a * b + (not right)}}}."
                made.append((text, Reference(f"(x+{a})(x+{b})", "latex")))
    return made


def one_run(*, num_ordinary: int, size: int, mixed: bool) -> int:
    """Judges all of it, and prints the seconds of the ordinary answers on its last line."""
    work = [(text, reference, "") for text, reference in ordinary(num_ordinary)]
    symbolic.compare("x+1", "1+x")
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder, "made")
        if mixed:
            noise = random.Random(1)
            for number, (label, text) in enumerate(pathological_answers.texts(size=size, canary=canary).items()):
                reference = REFERENCES[number % len(REFERENCES)]
                work.insert(noise.randrange(len(work) + 1), (text(), reference, f"{label} as {reference.answer_type}"))
        spent = {"ordinary": 0.0, "pathological": 0.0}
        child_before = child_seconds()
        slow: list[tuple[float, str]] = []
        faults = []
        for text, reference, label in work:
            before, child, own, started = symbolic.counts(), child_seconds() if label else 0.0, time.process_time(), time.perf_counter()
            try:
                judge_reference(text, reference)
            except GraderError as error:
                if not label:
                    faults.append(str(error))
            own, wall = time.process_time() - own, time.perf_counter() - started
            spent["ordinary"] += 0.0 if label else own
            stopped = symbolic.counts().timeouts - before.timeouts
            if label:
                in_child = child_seconds() - child
                spent["pathological"] += own + in_child
                spent["ordinary"] -= in_child
                slow.append((wall, label))
                limit = MAX_OWN_SECONDS + MAX_SECONDS_PER_CHARACTER * len(text)
                most = limit + (stopped + 1) * symbolic.MAX_SECONDS * symbolic.MAX_WALL_RATIO
                if own > limit or wall > most:
                    faults.append(f"{label}: {own:.2f} s here, {wall:.2f} s in all")
        spent["ordinary"] += child_seconds() - child_before
        if canary.exists():
            faults.append("text of a model was run")
    counts = symbolic.counts()
    if mixed:
        print(f"{len(slow)} pathological answers of up to {size:,} characters took {spent['pathological']:.1f} s; {counts}")
        print("slowest: " + ", ".join(f"{label} {seconds:.2f} s" for seconds, label in sorted(slow, reverse=True)[:5]))
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"load {os.getloadavg()[0]:.1f}")
    print(spent["ordinary"])
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
