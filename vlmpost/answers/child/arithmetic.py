"""Reads arithmetic as a tree, so that text is never evaluated: numbers, names, + - * / // % **, brackets, calls, and where asked 2x and 5!.

What the tree means is the caller's: rules turn it into sympy objects or into a number. Nothing here computes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_TOKENS: Final = 1000
MAX_DEPTH: Final = 60
_TOKEN: Final = re.compile(
    r"\s*(?:(\d+(?:_\d+)*\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)|([^\W\d]\w*)|(\*\*|//|[-+*/%()\[\],!]))", re.ASCII
)
_LETTERS_TOKEN: Final = re.compile(_TOKEN.pattern)
"""The same with letters of every script as names; digits are ASCII in both."""
_ROWS: Final = (frozenset("+-"), frozenset(("*", "/", "//", "%")))


class UnreadableError(ValueError):
    """The text is not arithmetic of the kind that was asked for."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the tree."""

    kind: str
    """ "number", "name", "call", "tuple", "list", "negative", "positive", "factorial", or the operator as written."""
    text: str = ""
    """The digits of a number, the letters of a name, the name that is called."""
    parts: tuple[Node, ...] = ()


def read(text: str, *, implicit: bool = False) -> Node:
    """Returns the tree of an expression, with Python's precedence.

    Args:
        text: The expression; ASCII digits.
        implicit: Whether neighbours multiply (2x, 3(4+5), names of several letters are products) and ! is a factorial.

    Raises:
        UnreadableError: It is not an expression, has more than `MAX_TOKENS` tokens or brackets deeper than `MAX_DEPTH`.

    >>> read("1+2*3").kind
    '+'
    """
    reader = _Reader(_tokens(text, implicit), implicit)
    tree = reader.tuple_until("")
    if reader.place != len(reader.tokens):
        raise UnreadableError(f"{reader.peek()!r} is left over")
    return tree


def _tokens(text: str, implicit: bool) -> list[tuple[str, str]]:
    pattern = _LETTERS_TOKEN if implicit else _TOKEN
    tokens: list[tuple[str, str]] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = pattern.match(text, place)
        if match is None or len(tokens) >= MAX_TOKENS:
            raise UnreadableError("a character that is not arithmetic, or too many of them")
        number, name, mark = match.groups()
        if number is not None:
            if not number.isascii() or re.match(r"0+[1-9]\d*\Z", number):
                raise UnreadableError("an integer with leading zeros")
            tokens.append(("number", number.replace("_", "")))
        elif name is not None:
            tokens.append(("name", name))
        else:
            tokens.append((mark, mark))
        place = match.end()
    return tokens


class _Reader:
    """A recursive descent over the tokens."""

    def __init__(self, tokens: list[tuple[str, str]], implicit: bool) -> None:
        self.tokens = tokens
        self.implicit = implicit
        self.place = 0
        self.depth = 0

    def peek(self) -> str:
        """The kind of the next token; "" at the end."""
        return self.tokens[self.place][0] if self.place < len(self.tokens) else ""

    def take(self) -> str:
        """The text of the next token, which is passed."""
        text = self.tokens[self.place][1]
        self.place += 1
        return text

    def tuple_until(self, closing: str) -> Node:
        """An expression, or several with commas between as a tuple, up to a closing bracket."""
        parts = [self.row(0)]
        comma = False
        while self.peek() == ",":
            comma = True
            self.take()
            if self.peek() == closing:
                break
            parts.append(self.row(0))
        return Node("tuple", parts=tuple(parts)) if comma else parts[0]

    def row(self, level: int) -> Node:
        """A chain of operators of one precedence."""
        if level == len(_ROWS):
            return self.signed()
        left = self.row(level + 1)
        while True:
            if self.peek() in _ROWS[level]:
                left = Node(self.take(), parts=(left, self.row(level + 1)))
            elif level == 1 and self.implicit and self.peek() in ("number", "name", "("):
                left = Node("*", parts=(left, self.power()))
            else:
                return left

    def signed(self) -> Node:
        """A power with the signs before it."""
        if self.peek() not in ("-", "+"):
            return self.power()
        kind = "negative" if self.take() == "-" else "positive"
        self.deeper()
        node = Node(kind, parts=(self.signed(),))
        self.depth -= 1
        return node

    def power(self) -> Node:
        """An atom and what it is raised to."""
        base = self.atom()
        while self.implicit and self.peek() == "!":
            self.take()
            base = Node("factorial", parts=(base,))
        if self.peek() != "**":
            return base
        self.take()
        self.deeper()
        node = Node("**", parts=(base, self.signed()))
        self.depth -= 1
        return node

    def atom(self) -> Node:
        """A number, a name, a call or brackets."""
        kind = self.peek()
        if kind == "number":
            return Node("number", self.take())
        if kind == "name":
            return self.name()
        if kind in ("(", "["):
            return self.brackets()
        raise UnreadableError(f"{kind or 'the end'!r} in place of a value")

    def name(self) -> Node:
        """A name, or a call of it."""
        name = self.take()
        if self.peek() != "(" or (self.implicit and len(name) == 1):
            return Node("name", name)
        inner = self.brackets()
        return Node("call", name, inner.parts if inner.kind == "tuple" else (inner,))

    def brackets(self) -> Node:
        """What stands in brackets; a list in square ones."""
        closing = ")" if self.take() == "(" else "]"
        self.deeper()
        if self.peek() == closing:
            raise UnreadableError("empty brackets")
        node = self.tuple_until(closing)
        if self.peek() != closing:
            raise UnreadableError("brackets that are not closed")
        self.take()
        self.depth -= 1
        if closing == "]":
            return Node("list", parts=node.parts if node.kind == "tuple" else (node,))
        return node

    def deeper(self) -> None:
        """One level down."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError(f"brackets deeper than {MAX_DEPTH}")
