r"""Reads LaTeX arithmetic as `latex2sympy2` does and gives it the value that Python's arithmetic gives its printed form.

Some benchmarks score with `eval(str(latex2sympy(text)))`. This reader covers what such an evaluation can turn into a number,
without `eval`, sympy or a parser of another version, in bounded time: sizes are limited and `TooLarge` says so. What it keeps of
the original, since published verdicts depend on it:

1. the longest beginning that is a formula counts and the rest is ignored, so `5.so,even` is 5; one token further must be readable;
2. a list (`1, 2`) is no number, a letter is a symbol without value, and `3\frac{1}{2}` is a product;
3. `\ln`, `\cot`, `\lceil`, `|x|` have no value, since the printed names (log base E, cot, ceiling, Abs) are not those of Python's `math`;
4. `x = 2` is 2 where the left side is one letter; `3 < 5` is 1.

Source: OrangeX4/latex2sympy @ 52423b77, PS.g4 and latex2sympy2.py.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

MAX_TOKENS: Final = 2000
MAX_DEPTH: Final = 40
MAX_BITS: Final = 100_000
"""Whole numbers beyond this are not computed."""
MAX_FACTORIAL: Final = 5000
MAX_DIGITS: Final = 4000

Value = int | float

_BLANK = re.compile(r"(?:[ \t\r\n$~]|\\,|\\(?:displaystyle|q?quad))*")
_NUMBER = re.compile(r"[0-9]*(?:,[0-9]{3})*\.[0-9]+|[0-9]+(?:,[0-9]{3})*")
_ASSIGNED = re.compile(r"\s*(?:[a-df-zA-DF-Z]|\\(?:alpha|beta|gamma|theta|lambda|mu|phi|omega))(?:_(?:\w|\{\w{1,20}\}))?\s*=(?!=)")
_OPERATORS: Final[Mapping[str, str]] = MappingProxyType(
    {"*": "*", "\\times": "*", "\\cdot": "*", "/": "/", "\\over": "/", "\\div": "/", ":": "/", "\\mod": "mod"}
)
_RELATIONS: Final[Mapping[str, Callable[[Any, Any], bool] | None]] = MappingProxyType(  # Any: int or float; None: no value as printed
    {
        **dict.fromkeys(("<",), operator.lt),
        **dict.fromkeys((">",), operator.gt),
        **dict.fromkeys(("\\leq", "\\le", "\\leqslant"), operator.le),
        **dict.fromkeys(("\\geq", "\\ge", "\\geqslant"), operator.ge),
        **dict.fromkeys(("\\in", "=", "==", "\\equiv", "!=", "!==", "\\ne", "\\neq"), None),
    }
)
_CLOSING: Final[Mapping[str, str]] = MappingProxyType(
    {"(": ")", "{": "}", "[": "]", "\\{": "\\}", "\\lbrace": "\\rbrace", "\\lbrack": "\\rbrack", "\\lgroup": "\\rgroup"}
)
_FUNCTIONS: Final[Mapping[str, Callable[[float], float] | None]] = MappingProxyType(  # None: no value as printed
    {
        "\\sin": math.sin,
        "\\cos": math.cos,
        "\\tan": math.tan,
        "\\sinh": math.sinh,
        "\\cosh": math.cosh,
        "\\tanh": math.tanh,
        "\\arcsin": math.asin,
        "\\arccos": math.acos,
        "\\arctan": math.atan,
        "\\exp": math.exp,
        "\\log": math.log10,
        **dict.fromkeys(("\\ln", "\\csc", "\\sec", "\\cot", "\\arccsc", "\\arcsec", "\\arccot"), None),
    }
)
_INVERSE: Final[Mapping[str, str]] = MappingProxyType({"\\sin": "\\arcsin", "\\cos": "\\arccos", "\\tan": "\\arctan"})
_STOPPING: Final = frozenset(
    # Words and signs that are tokens of the grammar and continue no formula: what stands before them is the whole formula.
    ". _ & \\\\ ) } ] \\} \\rbrace \\rbrack \\rgroup \\rfloor \\rceil \\right \\mright \\to \\rightarrow \\longrightarrow \\choose <-> <=> "
    "E \\leftrightarrow arsinh arcsinh arcosh arccosh artanh arctanh gcd lcm floor ceil eye zeros ones cols rows diag norm rank trace tr "
    "rref hstack vstack orth ortho orthogonal orthogonalize nullspace eig eigen diagonalize eigenvals eigenvalues eigenvects eigenvectors "
    "svd matrix pmatrix bmatrix vmatrix".split()
)
_SYMBOLS: Final = (
    "\\alpha \\beta \\gamma \\delta \\epsilon \\varepsilon \\zeta \\eta \\theta \\vartheta \\iota \\kappa \\lambda \\mu \\nu \\xi "
    "\\omicron \\varpi \\rho \\varrho \\sigma \\varsigma \\tau \\upsilon \\phi \\varphi \\chi \\psi \\omega \\angle \\triangle "
    "\\square \\emptyset \\varnothing \\prime \\ell \\infty \\partial \\text \\textit \\bar \\overline \\vec \\hat \\mathbb \\mathbf "
    "\\mathrm \\mathit \\lim \\int \\sum \\prod \\max \\min \\gcd \\lcm \\det \\lceil \\lvert \\vert \\| | \\operatorname \\begin"
).split()
_WORDS: Final = sorted(
    {
        *_OPERATORS,
        *_RELATIONS,
        *_CLOSING,
        *_FUNCTIONS,
        *_STOPPING,
        *_SYMBOLS,
        *("\\frac", "\\tfrac", "\\dfrac", "\\sqrt", "\\binom", "\\tbinom", "\\dbinom", "\\pi", "\\left", "\\mleft", "\\lfloor"),
        *("+", "-", "^", "!", "'", ",", ";", "\\exponentialE"),
    },
    key=lambda word: (-len(word), word),
)
_WORD = re.compile("|".join(re.escape(word) for word in _WORDS) + "|[A-Za-z]")


class NotANumber(ValueError):
    """The text is not a formula, or its printed form has no real number as its value."""


class TooLarge(ValueError):
    """The formula is longer, deeper or larger than is computed."""


def latex_value(text: str) -> Value:
    r"""Returns the value of the formula that `text` begins with; a whole number where Python's arithmetic gives one.

    Raises:
        NotANumber: There is none.
        TooLarge: It is beyond the limits of this module.

    >>> latex_value(r"2\sqrt{4}}. Done"), latex_value("1,200")
    (4.0, 1200)
    """
    start = 0
    while (assigned := _ASSIGNED.match(text, start)) is not None:
        start = assigned.end()
    try:
        value = _Reader(text, start).formula()
    except (NotANumber, TooLarge):
        raise
    except (ArithmeticError, TypeError, ValueError) as error:
        raise NotANumber(f"{type(error).__name__}: {error}") from error
    except RecursionError as error:
        raise TooLarge("nested too deep") from error
    if isinstance(value, complex) or value != value or value in (math.inf, -math.inf):
        raise NotANumber(f"value {value}")
    return value


class _Reader:
    """Recursive descent over tokens, one token ahead."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.place = start
        self.num_tokens = 0
        self.depth = 0
        self.token = ""
        self.advance()

    def advance(self) -> None:
        self.num_tokens += 1
        if self.num_tokens > MAX_TOKENS:
            raise TooLarge(f"more than {MAX_TOKENS} tokens")
        blank = _BLANK.match(self.text, self.place)
        self.place = blank.end() if blank else self.place
        if self.place >= len(self.text):
            self.token = ""
            return
        found = _NUMBER.match(self.text, self.place) or _WORD.match(self.text, self.place)
        if found is None:
            raise NotANumber(f"unreadable at {self.place}: {self.text[self.place : self.place + 10]!r}")
        self.token, self.place = found.group(), found.end()

    def expect(self, token: str) -> None:
        if self.token != token:
            raise NotANumber(f"wanted {token!r}, got {self.token!r}")
        self.advance()

    def formula(self) -> Value:
        value = self.sum()
        if self.token in _RELATIONS:
            compare = _RELATIONS[self.token]
            if compare is None:
                raise NotANumber("an equation")
            self.advance()
            value = int(compare(value, self.sum()))
        if self.token and self.token not in _STOPPING:
            raise NotANumber(f"a list or chain at {self.token!r}")
        return value

    def sum(self) -> Value:
        value = self.product()
        while self.token in ("+", "-"):
            sign = operator.add if self.token == "+" else operator.sub
            self.advance()
            value = sign(value, self.product())
        return value

    def product(self, *, functions: bool = True) -> Value:
        value = self.signed(functions=functions)
        while self.token in _OPERATORS:
            sign = _OPERATORS[self.token]
            if sign == "mod":
                raise NotANumber("Mod")
            self.advance()
            right = self.signed(functions=functions)
            value = _times(value, right) if sign == "*" else value / right
        return value

    def signed(self, *, functions: bool) -> Value:
        if self.token in ("+", "-"):
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise TooLarge(f"deeper than {MAX_DEPTH}")
            negative = self.token == "-"
            self.advance()
            value = self.signed(functions=functions)
            self.depth -= 1
            return -value if negative else value
        value = self.postfix()
        while self.starts_operand(functions=functions):
            value = _times(value, self.postfix())
        return value

    def starts_operand(self, *, functions: bool) -> bool:
        token = self.token
        if not token or token in _STOPPING or token in _OPERATORS or token in _RELATIONS or token in ("+", "-", "^", ",", ";"):
            return False
        return functions or not (token in _FUNCTIONS or token in ("\\sqrt", "e"))

    def postfix(self) -> Value:
        value = self.power()
        while self.token in ("!", "'"):
            if self.token == "!":
                value = _factorial(value)
            self.advance()
        return value

    def power(self) -> Value:
        value = self.operand()
        while self.token == "^":
            value = _power(value, self.exponent())
        return value

    def exponent(self) -> Value:
        self.expect("^")
        if self.token == "{":
            return self.group()
        return self.atom()

    def atom(self) -> Value:
        token = self.token
        if token == "\\pi":
            self.advance()
            return math.pi
        if token[-1:].isdigit():
            value: Value = _number(token)
            if self.text.startswith("\\%", self.place):
                self.place += 2
                value = _plain(Fraction(token.replace(",", "")) / 100)
            self.advance()
            return value
        raise NotANumber(f"no value at {token!r}")

    def operand(self) -> Value:
        token = self.token
        if token in _CLOSING:
            return self.group()
        if token in ("\\left", "\\mleft"):
            self.advance()
            return self.group(right="\\right" if token == "\\left" else "\\mright")
        if token in ("\\frac", "\\tfrac", "\\dfrac"):
            self.advance()
            top = self.group(opening="{")
            return top / self.group(opening="{")
        if token == "\\sqrt":
            return self.root()
        if token in ("\\binom", "\\tbinom", "\\dbinom"):
            self.advance()
            top = self.group(opening="{")
            return _choose(top, self.group(opening="{"))
        if token == "\\lfloor":
            self.advance()
            value = self.sum()
            self.expect("\\rfloor")
            return math.floor(value)
        if token in ("e", "\\exponentialE"):
            self.advance()
            raised = self.exponent() if self.token == "^" else 1
            if raised == 1:
                raise NotANumber("E")
            return math.exp(raised)
        if token in _FUNCTIONS:
            return self.function()
        return self.atom()

    def group(self, *, opening: str | None = None, right: str = "") -> Value:
        if self.token not in _CLOSING or (opening is not None and self.token != opening):
            raise NotANumber(f"no group at {self.token!r}")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge(f"deeper than {MAX_DEPTH}")
        closing = _CLOSING[self.token]
        chooses = self.token == "{"
        self.advance()
        value = self.sum()
        if chooses and self.token == "\\choose":
            self.advance()
            value = _choose(value, self.sum())
        if right:
            self.expect(right)
        self.expect(closing)
        self.depth -= 1
        return value

    def root(self) -> Value:
        self.expect("\\sqrt")
        degree = self.group() if self.token == "[" else None
        value = self.group(opening="{")
        return math.sqrt(value) if degree is None or degree == 2 else _power(value, 1 / degree)

    def function(self) -> Value:
        name = self.token
        self.advance()
        base = raised = None
        if self.token == "_":
            self.advance()
            base = self.group() if self.token == "{" else self.atom()
        if self.token == "^":
            raised = self.exponent()
        argument = self.group() if self.token == "(" else self.product(functions=False)
        if raised == -1 and name in _INVERSE:
            name, raised = _INVERSE[name], None
        function = _FUNCTIONS[name]
        if name == "\\log" and base is not None:
            value: Value = math.log(argument, base)
        elif function is None:
            raise NotANumber(f"{name} is printed under a name without value")
        else:
            value = function(argument)
        return _power(value, raised) if raised else value


def _number(token: str) -> Value:
    if len(token) > MAX_DIGITS:
        raise TooLarge(f"a number of {len(token)} digits")
    return _plain(Fraction(token.replace(",", "")))


def _plain(value: Fraction) -> Value:
    return value.numerator if value.denominator == 1 else value.numerator / value.denominator


def _times(left: Value, right: Value) -> Value:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_BITS:
        raise TooLarge("a product beyond the limit")
    return left * right


def _power(base: Value, exponent: Value) -> Value:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MAX_BITS and abs(base) > 1:
        raise TooLarge("a power beyond the limit")
    result = base**exponent
    if isinstance(result, complex):
        raise NotANumber("a complex number")
    return float(result) if isinstance(result, float) else int(result)


def _factorial(value: Value) -> int:
    if not isinstance(value, int) or value < 0:
        raise NotANumber("a factorial of what is no whole number")
    if value > MAX_FACTORIAL:
        raise TooLarge("a factorial beyond the limit")
    return math.factorial(value)


def _choose(top: Value, bottom: Value) -> int:
    if not isinstance(top, int) or not isinstance(bottom, int) or min(top, bottom) < 0:
        raise NotANumber("a binomial of what are no whole numbers")
    if top > MAX_FACTORIAL:
        raise TooLarge("a binomial beyond the limit")
    return math.comb(top, bottom)
