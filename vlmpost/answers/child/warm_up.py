r"""Formulas that bring the parser of latex2sympy2 to speed: it builds its tables as it meets kinds of formulas, and forgets nothing.

The first formula of a kind takes ten times as long as the next one. Read once before the process forks, these make every server
quick from its first comparison on, so also the one that follows a server that was killed. Each is compared with the next one,
which does the same for sympy; they say nothing about right answers.
"""

from __future__ import annotations

from typing import Final

FORMULAS: Final[tuple[str, ...]] = (
    "-1.5",
    "-\\frac{3}{4}",
    "\\frac{1+\\sqrt{5}}{2}",
    "3\\sqrt{2}+2\\sqrt{7}",
    "2\\pi r^{2}",
    "\\frac{9\\pi}{4}-\\frac{\\sqrt{3}}{2}",
    "(x-1)(x+1)",
    "3x^{2}-12x+10",
    "x^2+12x+10",
    "(x+2)(x+5)",
    "x^2+7x+10",
    "x^2-y^{3}+\\frac{1}{2}z",
    "2^{n+1}-1",
    "6 \\cdot 10^{23}",
    "\\ln x+C",
    "y=-\\frac{1}{2}x+3",
    "x=5",
    "x^2+y^2=4",
    "2x+3y-5=0",
    "-2<x\\leq 3",
    "(-\\infty,2)\\cup(3,\\infty)",
    "\\left[-1,\\frac{3}{2}\\right)",
    "(1,-2)",
    "1,2,3",
    "\\begin{pmatrix}1&-2\\\\0&3\\end{pmatrix}",
    "45^\\circ",
    "\\sin^{2} x-\\cos(2x)",
    "\\frac{1}{\\sin x}+2\\csc x",
    "\\tan\\frac{\\theta}{2}",
    "e^{-2x}+3",
    "\\log_{2} 8",
    "|x-3|",
    "x=\\pm 2",
)
