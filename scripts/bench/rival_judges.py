"""`python rival_judges.py NAME`: a public answer checker in a process of its own, which `judge_agreement.py` may kill.

One JSON request a line in ({"gold", "output"}), one JSON reply a line out: {"right": true, false, or null for no opinion}.
Each checker is called as its users call it, with the settings it comes with, in the main thread, where its time-outs work.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

Checker = Callable[[str, str], bool | None]
"""(gold, output) -> verdict."""


def main() -> None:
    """Answers requests until standard input closes."""
    checker = CHECKERS[sys.argv[1]]()
    out, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"ready": sys.argv[1]}), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply: dict[str, object] = {"right": checker(request["gold"], request["output"])}
        except Exception as error:  # noqa: BLE001 - the edge of the process: what a checker raises is its answer to the row
            reply = {"right": None, "error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(reply), file=out, flush=True)


def math_verify() -> Checker:
    """math-verify: `parse` of both sides and `verify`, all with their defaults; no opinion where it cannot read the gold."""
    from math_verify import parse, verify

    def check(gold: str, output: str) -> bool | None:
        parsed = parse(gold)
        return bool(verify(parsed, parse(output))) if parsed else None

    return check


def trl() -> Checker:
    """TRL's `accuracy_reward` on one completion; no opinion where it returns None."""
    from trl.rewards import accuracy_reward

    def check(gold: str, output: str) -> bool | None:
        reward = accuracy_reward([[{"role": "assistant", "content": output}]], [gold])[0]
        return None if reward is None else reward == 1.0

    return check


CHECKERS: dict[str, Callable[[], Checker]] = {"math-verify": math_verify, "trl": trl}

if __name__ == "__main__":
    main()
