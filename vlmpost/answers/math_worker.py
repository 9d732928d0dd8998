"""The child process that compares formulas with math-verify: one JSON request a line in, one JSON reply a line out.

Started by file name from `symbolic.py`; imports nothing of vlmpost. Only the LaTeX reader of math-verify is used: its
plain-expression reader goes through Python's `eval`, which model text must never reach.
"""

from __future__ import annotations

import json
import resource
import signal
import sys


def main() -> None:
    """Answers requests until standard input closes."""
    max_memory_bytes, max_cpu_seconds = int(sys.argv[1]), float(sys.argv[2])
    from math_verify import LatexExtractionConfig, parse, verify  # type: ignore[import-untyped]

    resource.setrlimit(resource.RLIMIT_AS, (max_memory_bytes, max_memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    config = [LatexExtractionConfig()]
    # The first formulas take long: the parser builds its tables.
    verify(parse(r"$\frac{x^2}{2}$", config, parsing_timeout=None), parse("$x+1$", config, parsing_timeout=None), timeout_seconds=None)
    out = sys.stdout
    sys.stdout = sys.stderr
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, max_cpu_seconds)  # SIGPROF ends the process
        try:
            gold, answer = (
                parse(_formula(request[key]), extraction_config=config, parsing_timeout=None, raise_on_error=False)
                for key in ("gold", "answer")
            )
            if not gold or not answer:
                reply = "gold_unreadable" if not gold else "answer_unreadable"
            else:
                same = verify(gold, answer, strict=True, timeout_seconds=None, raise_on_error=True)
                reply = "equal" if same else "different"
        except (MemoryError, RecursionError) as error:
            reply = f"failed:{type(error).__name__}"
        except Exception as error:  # noqa: BLE001 - the edge of the process: sympy raises anything, and it is reported, not swallowed
            reply = f"failed:{type(error).__name__}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps({"id": request["id"], "reply": reply}), file=out, flush=True)


def _formula(text: str) -> str:
    return text if "$" in text or "\\(" in text or "\\[" in text else f"${text}$"


if __name__ == "__main__":
    main()
