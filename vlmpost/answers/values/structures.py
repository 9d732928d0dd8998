r"""Reads answers made of several values - lists, sets, tuples, intervals, unions, matrices, inequalities - and compares them part by part.

Brackets mean what they mean in mathematics: [0, 1] is not (0, 1), a set has no order, a tuple has one. A bare list is a set of
values unless the other side has an order. How two single values compare is the caller's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Sameness = Literal["same", "different", "unsure"]
Compare = Callable[[str, str], Sameness]

MAX_CHARACTERS: Final = 2000
"""A longer text is not taken apart."""
MAX_PART_CHARACTERS: Final = 200
"""What has longer parts is prose, not a list."""
MAX_DEPTH: Final = 8
"""Brackets nested deeper than this are not taken apart."""
MAX_PAIRED: Final = 3
"""So many parts that differ in writing are compared each with each."""

_OPEN, _CLOSE = "([{", ")]}"
_JOINT = re.compile(r",?\s*(?:\\q?quad\s*)*(?:\\text\s*\{\s*(?:and|or)\s*\}|\b(?:and|or)\b|&)\s*(?:\\q?quad\s*)*|,\s*\\q?quad(?![A-Za-z])")
_LOOKS = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\s*\.?|\\(?:displaystyle|[,;:! ])|[$]|\\[()]|\\(?=[{}|])")
_BRACED = re.compile(r"\\(?=[{}])")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_THIN_COMMA = re.compile(r"\{,\}|(?<=\d),\\! ?(?=\d{3}(?!\d))")
_GROUPED = re.compile(r"\s*\$+\s*\{[^{}]*\}\s*\$+\s*\.?\Z")
_NAME = re.compile(r"\s*(\\?[A-Za-z]+(?:_\{?\w+\}?|')?(?:\([A-Za-z](?:,\s*[A-Za-z])*\))?)\s*(?::=|=|\\in(?![a-z])|\u2208)\s*(?=\S)")
_TUPLE_NAME = re.compile(r"\s*\(\s*\\?[A-Za-z]\w*(?:\s*,\s*\\?[A-Za-z]\w*){1,5}\s*\)\s*(?:=|\\in(?![a-z])|:)\s*(?=\S)")
_UNION = re.compile(r"\\cup(?![a-z])|\u222a")
_MATRIX = re.compile(r"\\begin\{([pbBvV]?matrix|array)\}(?:\{[lcr|\s]*\})?(.*?)\\end\{\1\}", re.DOTALL)
_RELATION = re.compile(r"\\(leqslant|geqslant|leq|geq|le|ge|lt|gt)(?![a-z])|<=|>=|[<>\u2264\u2265]")
_VARIABLE = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?\Z")
_BUILDER = re.compile(r"\{?\s*(\\?[A-Za-z]+)\s*(?:\\in\s*\\mathbb\s*\{?R\}?|\u2208\s*\u211d)?\s*(?:\\mid(?![a-z])|[|:])(.*)\}\Z", re.DOTALL)
_PLUS_MINUS = re.compile(r"\\pm(?![a-z])|\u00b1|\+/-|\+-")
_BRACKET_ROW = re.compile(r"\s*\[\s*[\[(]")
_ALL_REALS = frozenset(("allrealnumbers", "allreals", "\\mathbb{r}", "\\mathbbr", "\u211d", "allrealnumber"))
_SIGNS = {
    **dict.fromkeys(("leq", "le", "<=", "\u2264"), "\u2264"),
    **dict.fromkeys(("geq", "ge", ">=", "\u2265"), "\u2265"),
    **dict.fromkeys(("lt", "<"), "<"),
    **dict.fromkeys(("gt", ">"), ">"),
}
_LEFT = {">": "(", "<": "(", "\u2265": "[", "\u2264": "["}
_RIGHT = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Parts:
    """An answer taken apart."""

    kind: Literal["list", "set", "tuple", "square", "interval", "union", "matrix"]
    items: tuple[str, ...]
    """The parts in order; of an interval its two ends; of a matrix its entries, row by row."""
    shape: str = ""
    """The brackets of an interval or tuple, or the number of columns of a matrix with its kind."""
    names: tuple[str, ...] = ()
    """The variable each part is a value of, where every part has one."""
    members: tuple[Parts, ...] = ()
    """The intervals of a union."""


def read_parts(text: str) -> Parts | None:
    """Returns the answer taken apart, or None where it is a single value.

    >>> read_parts("[0, 9)")
    Parts(kind='interval', items=('0', '9'), shape='[)', names=(), members=())
    """
    if len(text) > MAX_CHARACTERS:
        return None
    matrix = _MATRIX.search(text)
    if matrix is not None:
        return _matrix(text, matrix)
    if _GROUPED.match(text):  # braces that TeX does not show
        text = text.strip(" .$").removeprefix("{").removesuffix("}")
    text = _LOOKS.sub(" ", _BRACED.sub("", _THIN_COMMA.sub("", text)).replace("\\infin", "\\infty")).strip().rstrip(".;").strip()
    if "".join(text.split()).lower() in _ALL_REALS:
        return Parts("interval", ("-\\infty", "\\infty"), "()")
    if _UNION.search(text):
        return _union([_interval(_without_name(part)) for part in _UNION.split(text)])
    if _RELATION.search(text):
        return _inequality(text)
    text = _without_name(text)
    if _BRACKET_ROW.match(text) and text.endswith("]"):
        rows = [_bracketed(row) for row in _split(text[1:-1].strip()) or ()]
        if rows and all(row is not None and row.kind in ("square", "tuple", "list") for row in rows):
            entries = [row.items for row in rows if row is not None]
            if len({len(row) for row in entries}) == 1:
                return Parts("matrix", tuple(item for row in entries for item in row), f"{len(entries[0])}")
    return _bracketed(_JOINT.sub(",", text))


def same_parts(gold: Parts, answer: Parts, *, cheap: Compare, full: Compare, ordered: bool = False) -> Sameness:
    """Returns how two answers made of parts stand to each other.

    Args:
        cheap: Compares two parts by their writing and value only.
        full: Compares two parts with all means; asked where `cheap` finds no partner.
        ordered: Whether the order counts and brackets do not, as in a list that a program prints.
    """
    if gold.kind == "union" or answer.kind == "union":
        return _same_union(gold, answer, cheap, full)
    if gold.kind == "matrix" or answer.kind == "matrix":
        return _same_matrix(gold, answer, cheap, full)
    if len(gold.items) != len(answer.items):
        return "different"
    if gold.names and answer.names and len(set(gold.names)) == len(gold.names) > 1:
        if set(gold.names) != set(answer.names):
            return "different"
        return _in_order(gold.items, [answer.items[answer.names.index(name)] for name in gold.names], cheap, full)
    if ordered:
        return _in_order(gold.items, answer.items, cheap, full)
    if not _brackets_agree(gold, answer):
        return "different"
    if {gold.kind, answer.kind} <= {"list", "set"}:
        return _any_order(gold.items, answer.items, cheap, full)
    if "set" in (gold.kind, answer.kind):
        return _any_order(gold.items, answer.items, cheap, full) if len(gold.items) > 2 else "different"
    return _in_order(gold.items, answer.items, cheap, full)


def _brackets_agree(gold: Parts, answer: Parts) -> bool:
    """Whether the brackets may stand for the same; a square bracket around three values or more is no interval."""
    kinds = {gold.kind, answer.kind}
    if kinds <= {"list", "set"} or kinds == {"list", "tuple"} or kinds == {"tuple"}:
        return True
    if "interval" in kinds or (kinds & {"square"} and len(gold.items) == 2):
        return gold.shape == answer.shape and "list" not in kinds
    return "tuple" not in kinds or "set" not in kinds


def _same_union(gold: Parts, answer: Parts, cheap: Compare, full: Compare) -> Sameness:
    left, right = gold.members or (gold,), answer.members or (answer,)
    if len(left) != len(right):
        return "different"
    rest, result = list(right), "same"
    for one in left:
        found = [(same_parts(one, other, cheap=cheap, full=full), other) for other in rest]
        best = next((pair for wanted in ("same", "unsure") for pair in found if pair[0] == wanted), None)
        if best is None:
            return "different"
        result = "unsure" if best[0] == "unsure" else result
        rest.remove(best[1])
    return "same" if result == "same" else "unsure"


def _same_matrix(gold: Parts, answer: Parts, cheap: Compare, full: Compare) -> Sameness:
    """A matrix equals one of its shape; a column or row of numbers also a tuple or list of them."""
    vectors = [parts for parts in (gold, answer) if parts.kind != "matrix"]
    if len(gold.items) != len(answer.items):
        return "different"
    if not vectors:
        left, right = gold.shape, answer.shape
        if left.rstrip("v") != right.rstrip("v") or ("v" in left) != ("v" in right):
            return "different"
    else:
        matrix = gold if gold.kind == "matrix" else answer
        if vectors[0].kind in ("set", "interval") or matrix.shape not in ("1", str(len(matrix.items))):
            return "different"
    return _in_order(gold.items, answer.items, cheap, full)


def _in_order(golds: Sequence[str], answers: Sequence[str], cheap: Compare, full: Compare) -> Sameness:
    open_pairs = [(one, other) for one, other in zip(golds, answers, strict=True) if cheap(one, other) != "same"]
    results = set[Sameness]()
    for one, other in open_pairs:
        results.add(full(one, other))
        if "different" in results:
            return "different"
    return "unsure" if results - {"same"} else "same"


def _any_order(golds: Sequence[str], answers: Sequence[str], cheap: Compare, full: Compare) -> Sameness:
    left, missing = list(answers), []
    for one in golds:
        match = next((other for other in left if cheap(one, other) == "same"), None)
        if match is None:
            missing.append(one)
        else:
            left.remove(match)
    if len(missing) > MAX_PAIRED:
        return "different"
    result: Sameness = "same"
    for one in missing:
        found = [(full(one, other), other) for other in left]
        best = next((pair for wanted in ("same", "unsure") for pair in found if pair[0] == wanted), None)
        if best is None:
            return "different"
        result = "unsure" if best[0] == "unsure" else result
        left.remove(best[1])
    return result


def _matrix(text: str, match: re.Match[str]) -> Parts | None:
    before = _LOOKS.sub(" ", _BRACED.sub("", text[: match.start()])).strip().removesuffix("(").removesuffix("[").strip()
    after = _LOOKS.sub(" ", text[match.end() :]).strip(" .,)]")
    if after or (before and not re.search(r"(?:=|\A[A-Za-z])\s*\Z", before)):
        return None
    rows = [row for row in re.split(r"\\\\|\\cr(?![a-z])", match.group(2)) if row.strip()]
    entries = [[entry.strip() for entry in row.replace("\\hline", "").split("&")] for row in rows]
    if not entries or len({len(row) for row in entries}) != 1:
        return None
    determinant = "v" if match.group(1) in ("vmatrix", "Vmatrix") else ""
    return Parts("matrix", tuple(entry for row in entries for entry in row), f"{len(entries[0])}{determinant}")


def _without_name(text: str) -> str:
    """The text without "S = ", "x \\in " or "(x, y) = " before a bracket or a list of plain values."""
    match = _TUPLE_NAME.match(text) or _NAME.match(text)
    if match is None or "=" in text[match.end() :]:
        return text.strip()
    return text[match.end() :].strip()


def _interval(text: str) -> Parts | None:
    text = text.strip()
    if _RELATION.search(text):
        return _inequality(text)
    parts = _bracketed(text)
    return parts if parts is not None and parts.kind in ("interval", "tuple", "square", "set") else None


def _union(members: list[Parts | None]) -> Parts | None:
    found = tuple(member for member in members if member is not None)
    return Parts("union", (), members=found) if len(found) == len(members) > 1 else None


def _bracketed(text: str) -> Parts | None:
    text = text.strip()
    if len(text) < 2:
        return None
    first, last = text[0], text[-1]
    if first in "[]" and last in "[]" and (first, last) != ("[", "]"):
        inner = _split(text[1:-1])
        if inner is not None and len(inner) == 2:
            return Parts("interval", inner, ("(" if first == "]" else "[") + (")" if last == "[" else "]"))
    if first in _OPEN and last in _CLOSE:
        inner = _split(text[1:-1])
        if inner is not None:
            return _in_brackets(inner, first + last)
    inner = _split(text)
    return _listed("list", inner) if inner is not None and len(inner) > 1 else _plus_minus(text)


def _in_brackets(items: tuple[str, ...], brackets: str) -> Parts | None:
    if brackets == "{}":
        return _listed("set", items) if items != ("",) else None
    if len(items) < 2:
        return Parts("square", items, brackets) if brackets == "[]" and items != ("",) else None
    if brackets in ("[)", "(]"):
        return Parts("interval", items, brackets) if len(items) == 2 else None
    if brackets == "()":
        return Parts("tuple", items, brackets, _names(items))
    return Parts("square", items, brackets) if brackets == "[]" else None


def _listed(kind: Literal["list", "set"], items: tuple[str, ...]) -> Parts | None:
    """A list or set, each value once, a plus-minus sign in it written out as two values."""
    if any(len(item) > MAX_PART_CHARACTERS for item in items):
        return None
    values = [
        value for item in items for value in ((_PLUS_MINUS.sub(sign, item) for sign in "+-") if _PLUS_MINUS.search(item) else (item,))
    ]
    once = {"".join(value.split()): value for value in reversed(values)}
    items = tuple(reversed(once.values()))
    return Parts(kind, items, "", _names(items))


def _plus_minus(text: str) -> Parts | None:
    if len(_PLUS_MINUS.findall(text)) != 1:
        return None
    return Parts("list", (_PLUS_MINUS.sub("+", text), _PLUS_MINUS.sub("-", text)))


def _names(items: tuple[str, ...]) -> tuple[str, ...]:
    found = [_NAME.match(item) for item in items]
    return tuple("".join(match.group(1).split()) for match in found if match) if all(found) else ()


def _split(text: str) -> tuple[str, ...] | None:
    """The parts between the commas (or semicolons) that no bracket holds; None where the brackets do not match."""
    if ", " in text or ";" in text:
        text = _THOUSANDS.sub("", text)
    for mark in ";,":
        parts, depth, start = [], 0, 0
        for place, character in enumerate(text):
            depth += (character in _OPEN) - (character in _CLOSE)
            if not 0 <= depth <= MAX_DEPTH:
                return None
            if character == mark and depth == 0:
                parts.append(text[start:place].strip())
                start = place + 1
        if depth != 0:
            return None
        if parts or mark == ",":
            last = text[start:].strip()
            return (*parts, last) if last or not parts else tuple(parts)
    return None


def _inequality(text: str) -> Parts | None:
    """An inequality in one variable as the interval it says; several with "or" as a union."""
    builder = _BUILDER.match(text) if text[:1] == "{" else None
    if builder is not None:
        text = builder.group(2)
    pieces = re.split(r"\bor\b|\\text\s*\{\s*or\s*\}|\\lor(?![a-z])|\\vee(?![a-z])", text)
    if len(pieces) > 1:
        return _union([_inequality(piece) for piece in pieces])
    signs = [_SIGNS[mark.group().removeprefix("\\").removesuffix("slant")] for mark in _RELATION.finditer(text)]
    sides = [side.strip(" ,") for side in re.sub(_RELATION, "\x00", text).split("\x00")]
    if len(sides) == 3 and _VARIABLE.match(sides[1]) and len({sign in "<\u2264" for sign in signs}) == 1:
        if signs[0] in ">\u2265":
            sides, signs = sides[::-1], [{">": "<", "\u2265": "\u2264"}[sign] for sign in reversed(signs)]
        return Parts("interval", (sides[0], sides[2]), _LEFT[signs[0]] + _RIGHT[_LEFT[signs[1]]], (sides[1],))
    if len(sides) == 2 and len([side for side in sides if _VARIABLE.match(side)]) == 1 and "=" not in "".join(sides):
        if _VARIABLE.match(sides[1]):
            sides, signs = sides[::-1], [{">": "<", "\u2265": "\u2264", "<": ">", "\u2264": "\u2265"}[signs[0]]]
        if signs[0] in ">\u2265":
            return Parts("interval", (sides[1], "\\infty"), _LEFT[signs[0]] + ")", (sides[0],))
        return Parts("interval", ("-\\infty", sides[1]), "(" + _RIGHT[_LEFT[signs[0]]], (sides[0],))
    return None
