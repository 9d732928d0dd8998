r"""Reads plain numbers exactly: 1,234 - 1{,}234 - 3/4 - 1 1/2 - \frac{3}{4} - 1.5e3 - 2 \times 10^{4} - 25% - $5 - seven - 12 cm.

Values are fractions, so that comparing never rounds by accident. Anything with a letter variable is not a number here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 400
"""A longer run of digits, or a larger power of ten, is not read as a number."""
RELATIVE_TOLERANCE = Fraction(1, 10**6)

_PLAIN = re.compile(r"[-+]?\d{1,40}(?:\.\d{0,40})?\Z")
_WORDS = (
    "zero one two three four five six seven eight nine ten "
    "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
).split()
WORD_VALUES = {word: value for value, word in enumerate(_WORDS)}
_UNSIGNED = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_FULL = re.compile(
    rf"(?P<sign>[-+]?)(?P<currency>[$\u20ac\u00a3\u00a5]\s*)?(?P<sign2>-?)(?:"
    rf"(?P<whole>\d+)?\\frac\{{(?P<top>-?\d+)\}}\{{(?P<bottom>\d+)\}}"
    rf"|(?:(?P<mixed>\d+)[ -])?(?P<num>\d+)/(?P<den>\d+)"
    rf"|(?P<base>{_UNSIGNED})(?P<dot>\.(?!\d))?(?:[eE](?P<exp>[-+]?\d+)|\*10(?:\^|\*\*)\{{?(?P<power>[-+]?\d+)\}}?)?"
    rf"|10\^\{{?(?P<tenpower>[-+]?\d+)\}}?)"
    rf"(?P<rest>.*)\Z",
    re.DOTALL,
)
NUMBER_IN_TEXT = re.compile(
    rf"(?<![\w.\\])[-+\u2212]?[$\u20ac\u00a3\u00a5]?\s?(?:\\?[dt]?frac\{{-?\d+\}}\{{\d+\}}|(?:\d+\s)?\d+/\d+(?![\d/])"
    rf"|(?:\d{{1,3}}(?:(?:\{{,\}}|,?\\[,!])\d{{3}})+(?!\d)(?:\.\d+)?|{_UNSIGNED})(?:[eE][-+]?\d+|\s*(?:\\times|\\cdot|\u00d7|x|\*)\s*10\^?\{{?[-+]?\d+\}}?)?)\s?(?:\\?%)?"
)
WORD_IN_TEXT = re.compile(rf"\b(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})\b", re.IGNORECASE)
_UNIT_TOKEN = re.compile(r"\s*(?:([A-Za-z\u00b5\u03a9\u00b0]+)([\u00b2\u00b3]|\^\{?-?\d\}?|[23](?!\w))?|([/*\u00b7.-]))")
_SHORT_UNITS = frozenset(
    "m s g h l L N J W V A C F K T \u03a9 \u00b0 cm mm km nm "
    "kg mg ft in lb oz hr min sec ms us Hz ml mL dm kW kV kJ mA mV Pa bar mph kmh mi yd rad "
    "deg \u00b0C \u00b0F \u00b5m \u00b5s \u00b5F k\u03a9 dB eV mol ha pm am GB MB kB GHz MHz kHz sq cu cc lbs hrs mins secs kN kPa".split()
)
_NOT_UNITS = frozenset(
    "and or to not but is are was if so than sin cos tan log exp sqrt pi plus minus times over frac "
    "the then with for from theta alpha beta".split()
)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
MAX_UNIT_TOKENS = 6
_NOISE = re.compile(r"\\(?:[,;:! ]|left|right|quad|qquad|displaystyle|approx)|[$](?!\s?\d)|\\[()\[\]]|\*\*|[`~\u2248\u200b\u200e\u200f]")
_WRAPPED = re.compile(r"\\(?:text[a-z]*|math(?:rm|bf|it)|mbox|rm|bf|boxed)\s*\{([^{}]*)\}")
_ASSIGNMENT = re.compile(r"\A[\s$]*(?:\\[(\[])?\s*[A-Za-z](?:_\{?\w+\}?)?\s*(?:=|\\approx|\u2248)\s*")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written."""

    value: Fraction
    num_decimals: int
    """Digits printed after the point; 0 for integers and fractions."""
    percent: bool = False
    unit: str = ""
    """What follows the number, lower case, without blanks; "" when nothing does."""
    exact: bool = True
    """False for decimals: they may stand for a rounded value."""


def parse_number(text: str) -> Number | None:
    """Returns the number that the whole text is, or None.

    >>> parse_number("1,234.50 cm")
    Number(value=Fraction(2469, 2), num_decimals=2, percent=False, unit='cm', exact=False)
    """
    text = text.strip()
    if _PLAIN.match(text):
        decimals = len(text) - text.find(".") - 1 if "." in text else 0
        return Number(Fraction(text.rstrip(".")), decimals, exact=decimals == 0)
    if not text or len(text) > 4 * MAX_DIGITS:
        return None
    text = clean(text)
    word = WORD_VALUES.get(text.lower())
    if word is not None:
        return Number(Fraction(word), 0)
    match = _FULL.match(text)
    return _number(match) if match else None


def clean(text: str) -> str:
    """Returns the text without what is only there for looks: text wrappers, spacing commands, dollar signs, a leading `x =`."""
    for _ in range(4):
        unwrapped = _WRAPPED.sub(r" \1 ", text)
        if unwrapped == text:
            break
        text = unwrapped
    text = text.replace("{,}", ",").replace("\u2212", "-").replace("\u2013", "-").replace("\u00a0", " ").replace("\u202f", " ")
    text = (
        text.replace("\\%", "%").replace("\\$", "$").replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\cfrac", "\\frac")
    )
    text = re.sub(r"(?<=\d)(,?)\\[,! ](?=\d{3}(?!\d))", r"\1", _ASSIGNMENT.sub("", text))
    text = _NOISE.sub(" ", text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?", "\u00b0", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\s*(?:\\times|\\cdot|\u00d7|(?<=\d)\s?x(?=\s?10\b)|\*)\s*(?=10\b)", "*", text)
    text = re.sub(r"\s*/\s*", "/", text.strip(" \t\r\n,;:'\"*_").rstrip(". "))
    text = re.sub(r"\A([-+])\s+(?=\d)", r"\1", text)
    return re.sub(r"(?<=\d) (?=\d{3}(?: \d{3})*(?!\d|/| ?\d))", "", text) if " " in text else text


def equal(gold: Number, answer: Number) -> bool:
    """Whether `answer` states the value of `gold`.

    Integers and fractions exactly (a decimal answer to 1e-6 relative); a decimal gold at its printed decimals, if the
    answer prints at least as many. 25% matches 0.25 only where the gold shows the percent sign. Units must not differ
    where both are written.
    """
    if gold.unit and answer.unit and gold.unit != answer.unit:
        return False
    if _same(gold, answer.value, answer):
        return True
    return gold.percent and not answer.percent and _same(gold, answer.value * 100, answer)


def _same(gold: Number, value: Fraction, answer: Number) -> bool:
    difference = abs(value - gold.value)
    if difference == 0:
        return True
    if gold.exact and gold.value.denominator == 1:
        return False
    if difference <= RELATIVE_TOLERANCE * abs(gold.value):
        return True
    if gold.exact:
        return False
    precise = answer.exact or answer.num_decimals >= gold.num_decimals
    return precise and difference * 2 * 10**gold.num_decimals <= 1


def _number(match: re.Match[str]) -> Number | None:
    if any(len(part) > MAX_DIGITS for part in match.groups()[:-1] if part):
        return None
    rest = match["rest"]
    percent = rest.lstrip().startswith("%") or rest.strip().lower().startswith(("percent", "per cent"))
    if percent:
        rest = re.sub(r"\A\s*(?:%|percent(?:age)?(?: points?)?|per cent)", "", rest, flags=re.IGNORECASE)
    first = rest.split(maxsplit=1)[:1]
    scale = _SCALES.get(first[0].lower(), 0) if first else 0
    if scale:
        rest = rest.split(maxsplit=1)[1] if len(rest.split(maxsplit=1)) > 1 else ""
        rest = f" {rest}"
    unit = _unit(rest)
    found = _value(match)
    if found is None or unit is None:
        return None
    value, decimals, exact = found
    if "-" in (match["sign"], match["sign2"]):
        value = -value
    return Number(value * 10**scale, max(0, decimals - scale), percent, unit, exact)


def _unit(rest: str) -> str | None:
    """What is written after a number in one form; "" for nothing, None where it is not a unit."""
    if not rest.strip(" .,;()"):
        return ""
    tokens: list[str] = []
    place = 0
    rest = rest.rstrip(" .,;")
    glued = not rest[:1].isspace()
    while place < len(rest):
        match = _UNIT_TOKEN.match(rest, place)
        if match is None or len(tokens) >= MAX_UNIT_TOKENS:
            return None
        word = match.group(1)
        if word is not None:
            named = word in _SHORT_UNITS or (len(word) > 2 and (not glued or bool(tokens)))
            linking = bool(tokens) and word in ("a", "an", "of", "by", "in", "per")
            if not linking and (word.lower() in _NOT_UNITS or not named):
                return None
        tokens.append(match.group().strip().lower())
        place = match.end()
    return "".join(tokens)


def _value(match: re.Match[str]) -> tuple[Fraction, int, bool] | None:
    if match["bottom"] is not None:
        if int(match["bottom"]) == 0:
            return None
        return Fraction(int(match["whole"] or 0)) + Fraction(int(match["top"]), int(match["bottom"])), 0, True
    if match["den"] is not None:
        if int(match["den"]) == 0:
            return None
        return Fraction(int(match["mixed"] or 0)) + Fraction(int(match["num"]), int(match["den"])), 0, True
    exponent = int(match["exp"] or match["power"] or match["tenpower"] or 0)
    if abs(exponent) > MAX_DIGITS:
        return None
    if match["tenpower"] is not None:
        return Fraction(10) ** exponent, 0, True
    base = match["base"].replace(",", "")
    decimals = len(base) - base.find(".") - 1 if "." in base else 0
    return Fraction(base) * Fraction(10) ** exponent, max(0, decimals - exponent), decimals == 0
