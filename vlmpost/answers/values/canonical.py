"""The one form that equal answers share, so that answers can be counted and voted on without comparing each with each."""

from __future__ import annotations

import functools

from vlmpost.answers.values import units
from vlmpost.answers.values.equivalence import COMMAND, PROSE, Target, part_target, same_number
from vlmpost.answers.values.normal import latex
from vlmpost.answers.values.numbers import Number, canonical, parse_number
from vlmpost.answers.values.structures import Parts, read_parts
from vlmpost.answers.values.units import split_unit
from vlmpost.answers.values.wording import polarity, wording


def canonical_form(target: Target, written: str) -> str:
    """Returns `written` in the one form that equal answers share: an exact number, the parts of a list, a normal form."""
    number = parse_number(written)
    if number is not None:
        return _canonical_number(target, number)
    parts = read_parts(written)
    if parts is not None and (target.parts is not None or not PROSE.search(COMMAND.sub(" ", written))):
        return _canonical_parts(target, parts)
    if target.polar is not None:
        said = polarity(written)
        return wording(written) if said is None else ("no", "yes")[said]
    return latex(split_unit(written)[0]) if target.symbols else wording(written)


@functools.lru_cache(maxsize=4096)
def canonical_target(target: Target) -> str:
    """Returns the form that every right answer shares.

    >>> canonical_target(part_target("1,000.50 m"))
    '2001/2'
    """
    return canonical_form(target, target.text)


def _canonical_number(target: Target, number: Number) -> str:
    """The value in the unit of the reference answer; where that has none, units do not count."""
    gold = target.number
    if gold is None:
        return canonical(number)
    if same_number(target, number):
        return canonical(Number(gold.value, 0))
    value = number.value
    if gold.unit and number.unit and gold.unit != number.unit:
        ratio = units.ratio(gold.unit, number.unit)
        if ratio is None:
            return canonical(number)
        value *= ratio
    return canonical(Number(value, 0, number.percent and not gold.percent and target.percent_shown))


def _canonical_parts(target: Target, parts: Parts) -> str:
    members = [_canonical_parts(target, member) for member in parts.members]
    items = [canonical_form(part_target(item), item) if read_parts(item) is None else " ".join(item.split()) for item in parts.items]
    if parts.kind in ("list", "set", "union") and not target.ordered:
        items, members = sorted(items), sorted(members)
    shape = parts.shape if len(parts.shape) == 2 and parts.kind != "matrix" and not target.ordered else "{}"
    return f"{shape[0]}{'; '.join([*items, *members])}{shape[1]}"
