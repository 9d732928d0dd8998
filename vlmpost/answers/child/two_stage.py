"""Makes latex2sympy2 read a formula in ANTLR's quick prediction mode first, and in its full one only where that fails.

ANTLR's SLL mode gives the tree that LL mode gives, or a syntax error; it remembers every prediction, which LL mode in Python does
not, and is several times faster on a warm parser. Importing this module is enough; only the child process does.
"""

from __future__ import annotations

from typing import Any

from latex2sympy2_extended import latex2sympy2  # type: ignore[import-untyped]


class TwoStageParser(latex2sympy2.PSParser):  # type: ignore[misc]
    """The parser of latex2sympy2 with a first try in SLL mode."""

    def math(self) -> Any:  # Any: a context of the generated parser, which has no types
        """Returns the tree of the whole formula; raises what the full mode raises."""
        full = self._interp.predictionMode
        self._interp.predictionMode = type(full).SLL
        try:
            return super().math()
        except (MemoryError, RecursionError):
            raise
        except Exception:  # noqa: BLE001 - latex2sympy2 reports a syntax error as a bare Exception; the full mode has the last word
            self._interp.predictionMode = full
            lexer = self.getTokenStream().tokenSource
            lexer.reset()
            self.setTokenStream(latex2sympy2.CommonTokenStream(lexer))  # reads the text anew: the fault may have been the lexer's
            return super().math()


latex2sympy2.PSParser = TwoStageParser
