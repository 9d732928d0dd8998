"""Reads units of measurement and says how many of one make one of another; knows nothing about numbers.

A unit is a product of powers of base units (length, mass, time, ...) times an exact factor. A word that is no known unit (apples)
stands for itself. Degrees Celsius, Fahrenheit and kelvin are three kinds: they differ by more than a factor.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

MAX_TOKENS: Final = 6
"""More words than this behind a number are a sentence, not a unit."""

_TOKEN = re.compile(
    r"\s*(?:([A-Za-z\u00b5\u03bc\u03a9\u2126\u00b0\u00ba\u00a2\u20ac\u00a3\u00a5]+)"
    r"(?:\s*\^\s*\{?\s*([-\u2212]?\d)\s*\}?|([\u00b2\u00b3])|([23])(?!\w))?|([/*\u00b7\u22c5.-])|\^?\s*\{?(\\?['\"\u2032\u2033])\}?)"
)
_WRAPPED_END = re.compile(r"(?:\\(?:text[a-z]*|mathrm|mbox)\s*|(?<=[\d}i)]))\{\s*~?([A-Za-z ./]{1,40}?)\s*\}(\s*\^\s*\{?\d\}?)?\Z")
_GLUED_POWER = re.compile(r"\b(square|cubic)(?=[a-z])")
_GENERIC = re.compile(r"(?:square|cubic|sq\.?|cu\.?)?\s*units?(?:\s*\^\s*\{?[23]\}?|\s+squared|\s+cubed|[\u00b2\u00b3])?")
_NOT_UNITS = frozenset(
    "and or to not but is are was if so than sin cos tan log exp sqrt pi plus minus times over frac "
    "the then with for from theta alpha beta mod".split()
)
_FILLERS = frozenset("a an of by in".split())
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_RAISED = {"squared": 2, "cubed": 3}
_DIGITS = {"\u00b2": "2", "\u00b3": "3"}
_PREFIXES = {
    "p": -12, "n": -9, "u": -6, "\u00b5": -6, "\u03bc": -6, "m": -3, "c": -2, "d": -1, "k": 3, "M": 6, "G": 9, "T": 12,
}  # fmt: skip
_LONG_PREFIXES = {"nano": -9, "micro": -6, "milli": -3, "centi": -2, "deci": -1, "kilo": 3, "mega": 6, "giga": 9}
_SYMBOLS = {
    "m": "m", "g": "g", "s": "s", "l": "m3 1/1000", "L": "m3 1/1000", "N": "kg m s-2", "J": "kg m2 s-2", "W": "kg m2 s-3",
    "Pa": "kg m-1 s-2", "Hz": "s-1", "V": "kg m2 s-3 A-1", "A": "A", "C": "A s", "F": "A2 s4 kg-1 m-2", "T": "kg s-2 A-1",
    "\u03a9": "kg m2 s-3 A-2", "\u2126": "kg m2 s-3 A-2", "mol": "mol", "eV": "eV", "B": "byte", "cal": "cal",
}  # fmt: skip
_NAMES = {
    "meter": "m", "metre": "m", "gram": "g", "second": "s", "liter": "l", "litre": "l", "newton": "N", "joule": "J", "watt": "W",
    "pascal": "Pa", "hertz": "Hz", "volt": "V", "amp": "A", "ampere": "A", "coulomb": "C", "farad": "F", "tesla": "T", "ohm": "\u03a9",
    "mole": "mol", "byte": "B", "calorie": "cal",
}  # fmt: skip
_OTHERS = {
    "sec": "s", "min": "s 60", "minute": "s 60", "h": "s 3600", "hr": "s 3600", "hour": "s 3600", "day": "s 86400", "week": "s 604800",
    "month": "year 1/12", "yr": "year", "year": "year",
    "in": "m 127/5000", "inch": "m 127/5000", "inches": "m 127/5000", "ft": "m 381/1250", "foot": "m 381/1250", "feet": "m 381/1250",
    "yd": "m 1143/1250", "yard": "m 1143/1250", "mi": "m 201168/125", "mile": "m 201168/125", "mph": "m s-1 1397/3125",
    "kmh": "m s-1 5/18", "kph": "m s-1 5/18", "kmph": "m s-1 5/18",
    "t": "g 1000000", "tonne": "g 1000000", "lb": "lb", "pound": "lb", "oz": "lb 1/16", "ounce": "lb 1/16",
    "ha": "m2 10000", "hectare": "m2 10000", "acre": "acre", "cc": "m3 1/1000000",
    "gal": "gal", "gallon": "gal", "quart": "gal 1/4", "pint": "gal 1/8", "cup": "gal 1/16",
    "bar": "kg m-1 s-2 100000", "atm": "atm", "dB": "dB", "rad": "rad", "radian": "rad", "rpm": "rpm", "kWh": "kg m2 s-2 3600000",
    "\u00b0": "degree", "\u00ba": "degree", "deg": "degree", "degree": "degree", "\u2032": "arc", "'": "arc",
    "\u00b0C": "celsius", "\u00baC": "celsius", "celsius": "celsius", "centigrade": "celsius", "\u00b0F": "fahrenheit",
    "\u00baF": "fahrenheit", "fahrenheit": "fahrenheit", "K": "kelvin", "kelvin": "kelvin", "kelvins": "kelvin",
    "dollar": "$", "usd": "$", "USD": "$", "buck": "$", "cent": "$ 1/100", "\u00a2": "$ 1/100", "\u20ac": "euro", "euro": "euro",
    "EUR": "euro", "\u00a3": "sterling", "\u00a5": "yen", "yen": "yen", "yuan": "yuan", "rupee": "rupee", "pct": "%",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit in base units."""

    factor: Fraction
    """How many base units one of it is."""
    powers: tuple[tuple[str, int], ...]
    """Base units with their powers, by name."""
    words: frozenset[str]
    """The words that are no known unit, without plural endings."""


@functools.lru_cache(maxsize=4096)
def read_unit(text: str, *, glued: bool = False) -> Unit | None:
    """Returns the unit that the whole text is, or None; "" is the unit of a bare number.

    Args:
        text: What stands behind the number.
        glued: Whether no blank parts it from the number, so that only known units count ("7x" is no quantity).

    >>> read_unit("km / h").factor
    Fraction(5, 18)
    """
    reader = _Reader(glued=glued)
    place, num_tokens, text = 0, 0, text.rstrip(" .,;")
    while place < len(text):
        match = _TOKEN.match(text, place)
        num_tokens += 1
        if match is None or num_tokens > MAX_TOKENS or not reader.take(match, first=num_tokens == 1):
            return None
        place = match.end()
    return reader.unit()


class _Reader:
    """Puts a unit together, one word or sign after the other."""

    def __init__(self, *, glued: bool) -> None:
        self._glued = glued
        self._powers: dict[str, int] = {}
        self._factor = Fraction(1)
        self._words = set[str]()
        self._sign = 1
        """-1 behind "per" and "/"."""
        self._raised = 1
        """What a "square" or "cubic" does to the next word."""
        self._last: tuple[Fraction, tuple[tuple[str, int], ...]] | None = None

    def take(self, match: re.Match[str], *, first: bool) -> bool:
        """Whether the next word or sign can belong to a unit; if so, it does."""
        word, mark = match.group(1) or match.group(6), match.group(5)
        if mark is not None:
            self._sign = -1 if mark == "/" else self._sign
            return not (mark == "/" and first)
        if word.lower() in ("per", "each"):
            self._sign = -1
        elif word in _POWERS:
            self._raised = _POWERS[word]
        elif word in _RAISED:
            if self._last is None:
                return False
            self._multiply(*self._last, _RAISED[word] - 1)
        elif first or word not in _FILLERS:
            return self._take_word(
                word, int((match.group(2) or match.group(4) or _DIGITS.get(match.group(3), "1")).replace("\u2212", "-")), first
            )
        return True

    def unit(self) -> Unit:
        """The unit read so far."""
        powers = tuple(sorted((name, power) for name, power in self._powers.items() if power))
        return Unit(self._factor, powers, frozenset(self._words))

    def _take_word(self, word: str, power: int, first: bool) -> bool:
        known = _known(word)
        if known is not None:
            power *= self._raised * self._sign
            self._last = (known[0] ** power, tuple((name, exponent * power) for name, exponent in known[1]))
            self._multiply(*self._last, 1)
        elif word.lower() in ("unit", "units"):
            self._last = None
        elif word.lower() in _NOT_UNITS or len(word) < 3 or (self._glued and first):
            return False
        else:
            self._words.add(_stem(word.lower()))
        self._raised = 1
        return True

    def _multiply(self, factor: Fraction, powers: tuple[tuple[str, int], ...], times: int) -> None:
        self._factor *= factor**times
        for name, exponent in powers:
            self._powers[name] = self._powers.get(name, 0) + exponent * times


def known_length(text: str, start: int, end: int) -> int:
    """Returns where the known unit that stands at `start` ends; `start` where none does."""
    best, place = start, start
    for _ in range(MAX_TOKENS):
        match = _TOKEN.match(text, place, min(end, place + 40))
        if match is None:
            break
        word = match.group(1)
        if word is None and match.group(5) not in ("/", "\u00b7", "*"):
            break
        if (
            word is not None
            and word not in _POWERS
            and word not in _RAISED
            and word != "per"
            and (_known(word) is None or word in ("in", "a", "A"))
        ):
            break
        place = match.end()
        if word is not None and word not in _POWERS and word != "per":
            best = place
    return best


@functools.lru_cache(maxsize=4096)
def ratio(gold: str, answer: str) -> Fraction | None:
    """Returns by what a value in unit `answer` is multiplied to be in unit `gold`; None where the two differ in kind.

    Where one of them is missing the value stands as it is.

    >>> ratio("m", "cm")
    Fraction(1, 100)
    """
    if gold == answer:
        return Fraction(1)
    left, right = read_unit(gold), read_unit(answer)
    if left is None or right is None or not gold or not answer:
        return Fraction(1) if not gold or not answer else None
    if not left.powers and not right.powers:
        return Fraction(1) if not left.words or not right.words or left.words & right.words else None
    if left.powers == right.powers:
        return right.factor / left.factor
    empty = (left if not left.powers else right) if not left.powers or not right.powers else None
    return Fraction(1) if empty is not None and not empty.words else None


def split_unit(text: str) -> tuple[str, str]:
    r"""Returns a formula and the known unit that stands behind it, "" where none does.

    >>> split_unit(r"2\\sqrt{3} square meters")
    ('2\\\\sqrt{3}', 'square meters')
    """
    whole, text = text, text.strip().rstrip(".,;$ ")
    wrapped = _WRAPPED_END.search(text, max(0, len(text) - 60))
    if wrapped is not None and wrapped.start() > 0:
        unit = _GLUED_POWER.sub(r"\1 ", wrapped.group(1).strip()) + (wrapped.group(2) or "")
        if _is_measure(unit, short=True):
            return text[: wrapped.start()].rstrip(" \\,;:~"), unit
    words = text.rsplit(maxsplit=3)
    for count in range(len(words) - 1, 0, -1):
        unit = " ".join(words[-count:])
        if _is_measure(unit):
            return text[: text.rfind(words[-count], 0, len(text) - sum(map(len, words[-count:])) + len(words[-count]))].rstrip(), unit
    return whole, ""


def _is_measure(text: str, *, short: bool = False) -> bool:
    """Whether the text is a known unit and nothing more; a lone letter only where it is marked as text."""
    if _GENERIC.fullmatch(text.strip()):
        return True
    unit = read_unit(text.strip()) if text.strip()[:1].isalpha() or text.strip()[:1] == "\u00b0" else None
    return unit is not None and bool(unit.powers) and not unit.words and (short or len(text.strip()) > 1)


@functools.lru_cache(maxsize=2048)
def _known(word: str) -> tuple[Fraction, tuple[tuple[str, int], ...]] | None:
    for form in _forms(word):
        if form in _OTHERS:
            return _definition(_OTHERS[form])
        if form in _SYMBOLS and (form == word or len(form) > 1):
            return _definition(_SYMBOLS[form])
        if form in _NAMES:
            return _definition(_SYMBOLS[_NAMES[form]])
        for prefixes, table in ((_LONG_PREFIXES, {name: _SYMBOLS[symbol] for name, symbol in _NAMES.items()}), (_PREFIXES, _SYMBOLS)):
            for prefix, exponent in prefixes.items():
                rest = form.removeprefix(prefix)
                if rest != form and rest in table and (table is not _SYMBOLS or form == word):
                    size, base = _definition(table[rest])
                    return size * Fraction(10) ** exponent, base
    return None


def _forms(word: str) -> Iterator[str]:
    yield word
    lower = word.lower()
    yield lower
    if lower.endswith("s") and len(lower) > 2:
        yield lower[:-1]


def _definition(text: str) -> tuple[Fraction, tuple[tuple[str, int], ...]]:
    """A line of the tables: base units with powers ("m2", "s-1"), then a factor; grams are the base of mass."""
    factor, base = Fraction(1), []
    for part in text.split():
        match = re.fullmatch(r"([A-Za-z$%]+)(-?\d)?", part)
        if match is None:
            factor *= Fraction(part)
            continue
        name, power = match.group(1), int(match.group(2) or 1)
        if name == "kg":
            name, factor = "g", factor * Fraction(1000) ** power
        base.append((name, power))
    return factor, tuple(base)


def _stem(word: str) -> str:
    """The word without a plural ending."""
    for ending, kept in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 2 and not word.endswith("ss"):
            return word[: -len(ending)] + kept
    return word
