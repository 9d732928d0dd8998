"""Formulas over card numbers (the 24 game): reading, exact value, and the exact solver.

What it does not do: reward (`rewards/general_points.py`) or deal hands (`tasks/general_points/`). Nothing here evaluates text as code:
`tokens.py` reads it within limits of length, depth and digits, `values.py` folds the tokens, `solver.py` finds a formula for a hand, and
`listing.py` lists the formulas of a hand in the forms of the published solver.
"""

from __future__ import annotations

from vlmpost.answers.formulas.listing import is_start_of_solution, solution_strings
from vlmpost.answers.formulas.solver import find_solution, is_solvable, num_solvable
from vlmpost.answers.formulas.tokens import Misplacement, misplacements, tokens_of
from vlmpost.answers.formulas.values import FormulaError, evaluate, value_of

__all__ = [
    "FormulaError",
    "Misplacement",
    "evaluate",
    "find_solution",
    "is_solvable",
    "is_start_of_solution",
    "misplacements",
    "num_solvable",
    "solution_strings",
    "tokens_of",
    "value_of",
]
