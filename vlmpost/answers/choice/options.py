"""The option texts of one question, prepared once, and which of them a text names.

An option of words is found as whole words; a number or formula counts only as a whole value that the text states, so that 3 is
never read out of 8/3 or "radius 3".
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass

from vlmpost.answers.values.normal import latex, plain_text
from vlmpost.answers.values.numbers import Number, parse_number

MAX_NAMED_CHARACTERS = 5000
"""Option texts are looked for in texts up to this length."""
_WRAPPER = re.compile(r"\\(?:text[a-z]*|math(?:rm|bf|it|sf)|operatorname|mbox|boxed|boldsymbol)(?![A-Za-z])")
_FRACTION = re.compile(r"\\[dt]?frac\s{0,2}(?:\{\s{0,2}([^{}]{1,40}?)\s{0,2}\}\s{0,2}\{\s{0,2}([^{}]{1,40}?)\s{0,2}\}|(\d)\s{0,2}(\d))")
_SPACING = re.compile(r"\\(?:[,;:! ()\[\]]|left(?![a-z])|right(?![a-z])|q?quad(?![a-z])|displaystyle|tfrac)")
_DEGREE = re.compile(r"\^\s?\{?\s?\\circ\s?\}?|\\degree|\bdegrees?\b")
_NAMES = {"sqrt": "\u221a", "pi": "\u03c0", "times": "\u00d7", "cdot": "\u00d7", "%": "%", "div": "\u00f7", "approx": "\u2248"}
_COMMAND = re.compile(r"\\(sqrt|pi|times|cdot|div|approx|%)(?![a-z])")
_PRODUCT = re.compile(r"(?<=[\w)])\*(?=[\w(])")
_DASH = re.compile(r"(?<=[a-z]{2})\s{1,2}-\s{1,2}(?=[a-z]{2})")
_COLON = re.compile(r"(?<!\d):|:(?!\s?\d)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_TOKEN = re.compile(
    r"\d+(?:\.\d+)?|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\\?[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[-+*/^=<>%\u00b0\u221a\u00d7\u00f7\u2248|~#&:]"
)
_DASHES = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2014": "-", "\u2019": "'", "*": " "})
_OPERATORS = frozenset("- + / ^ \u221a \u00d7 \u00f7 % \u03c0 : < > \\frac".split())
_NOT_AFTER = _OPERATORS | {"=", "\u2248", "\u00b0"}
_STATING = frozenset("is are was were be been equals equal = \u2248 gives give has have had as becomes become to colon means".split())
_SKIPPED = frozenset(
    "a an the approximately about around roughly exactly only likely most probably called option also just closest nearest".split()
)
_REFUSING = frozenset("not no nor neither never without isn doesn t except".split())
_JOINING = frozenset("and or only to of by is not".split())
_LABELS = frozenset((letter,) for letter in "abcdefghij")
"""Option texts that look like option letters are never searched for."""
_FACTORS = frozenset("a b c d e f n x y z k r p q t u v w".split())
_JOINED = (("or",), ("and",))
_LEADING = (("the",), ("a",), ("an",), ("that",), ("point",), ("option",))
_ARTICLES = frozenset({"a", "an", "the"})
_VERBS = frozenset("is are was were does do did would could can may will has have".split())
_DENIALS = frozenset((word,) for word in "not incorrect wrong false unlikely less".split())
_FUNCTION_WORDS = frozenset({"yes", "no", "true", "false"})


@dataclass(frozen=True, slots=True)
class Named:
    """An option found in a text."""

    index: int
    place: int
    """Number of the token it starts at."""
    stated: bool
    """Whether it follows a word like "is"."""
    opens: bool
    """Whether the text begins with it."""
    formula: bool
    """Whether it is a value or formula rather than words."""


@dataclass(frozen=True)
class Options:
    """Option texts with their normal forms; a tuple entry each."""

    texts: tuple[str, ...]

    @functools.cached_property
    def literals(self) -> tuple[str, ...]:
        """The texts as they are, without blanks around them and a closing point."""
        return tuple(text.strip().rstrip(".") for text in self.texts)

    @functools.cached_property
    def plain(self) -> tuple[str, ...]:
        """Normal forms as free text."""
        return tuple(plain_text(text) for text in self.texts)

    @functools.cached_property
    def formulas(self) -> tuple[str, ...]:
        """Normal forms as LaTeX."""
        return tuple(latex(text) for text in self.texts)

    @functools.cached_property
    def numbers(self) -> tuple[Number | None, ...]:
        """The values of the options that are numbers."""
        return tuple(parse_number(text) for text in self.texts)

    @functools.cached_property
    def tokens(self) -> tuple[tuple[str, ...], ...]:
        """The options as tokens, a leading article left out."""
        return tuple(_without_article(tokens(text)) for text in self.texts)

    def holds(self, text: str) -> bool:
        """Whether an option reads exactly like this, blanks around it and a closing point aside."""
        return text.strip().rstrip(".") in self.literals

    @functools.cached_property
    def compares(self) -> bool:
        """Whether an option holds a word that elsewhere sets an option aside, as "larger than" does."""
        return any("than" in words or "while" in words or "other" in words for words in self.tokens)

    def opening(self, text: str) -> int | None:
        """Returns the option like "E. coli" that looks as if it began with a letter and stands at the start of `text`."""
        for index, option in enumerate(self.texts):
            if len(option) > 3 and option[1:2] in ".):" and text.startswith(option.strip()):
                return index
        return None

    def is_formula(self, index: int) -> bool:
        """Whether an option is a value or formula rather than words."""
        return _mathematical(self.tokens[index])

    def equal(self, text: str) -> int | None:
        """Returns the first option that `text` as a whole says: by words, as a formula, or by value if only one has it."""
        literal = text.strip().rstrip(".")
        if literal in self.literals:
            return self.literals.index(literal)
        wanted = plain_text(text)
        exact = _without_article(tokens(text))
        if not wanted and not exact:
            return None
        for index, form in enumerate(self.tokens):
            if form and form == exact and (self.plain[index] == wanted or any(token in _OPERATORS or token[0].isdigit() for token in form)):
                return index
        for index, words in enumerate(self.plain):
            if words and words == wanted and not _mathematical(self.tokens[index]):
                return index
        formula = latex(text)
        if formula and formula in self.formulas:
            return self.formulas.index(formula)
        number = parse_number(text)
        if number is None:
            return None
        same = [index for index, other in enumerate(self.numbers) if other is not None and _same_number(number, other)]
        if len({self.texts[index].strip() for index in same}) == 1:
            return same[0]
        return None

    def named(self, text: str) -> list[Named]:
        """Returns the options whose text stands in `text` as a whole, in order; longer options hide the ones inside them."""
        if len(text) > MAX_NAMED_CHARACTERS:
            return []
        words = tokens(text)
        line = f" {' '.join(words)} "
        found: list[Named] = []
        for index in sorted(range(len(self.texts)), key=lambda index: -len(self.tokens[index])):
            wanted = self.tokens[index]
            if not wanted or wanted in _LABELS or self.tokens.index(wanted) != index:
                continue
            phrase = f" {' '.join(wanted)} "
            start = line.find(phrase)
            while start >= 0:
                place = line.count(" ", 0, start)
                if _stands(words, place, wanted):
                    found.append(
                        Named(index, place, _is_stated(words, place, len(wanted)), _opens(words, place, len(wanted)), _mathematical(wanted))
                    )
                line = line[:start] + " " + " ".join("\x00" * len(wanted)) + " " + line[start + len(phrase) :]
                start = line.find(phrase, start + 1)
        return sorted(found, key=lambda name: name.place)


@functools.lru_cache(maxsize=4096)
def options(texts: tuple[str, ...]) -> Options:
    """Returns the prepared options, kept for the next verdict on the same question."""
    return Options(texts)


def tokens(text: str) -> tuple[str, ...]:
    r"""Returns words, numbers and operators in lower case; sentence marks, wrappers and blanks are left out.

    >>> tokens(r"It is $\frac{8}{3}$ cm, or 1,234.")
    ('it', 'is', '8', '/', '3', 'cm', 'or', '1234')
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _PRODUCT.sub("\u00d7", text).translate(_DASHES)
    if "\\" in text:
        text = _WRAPPER.sub(" ", text)
        text = _SPACING.sub(" ", text)
        text = _DEGREE.sub(" \u00b0 ", text)
        text = _FRACTION.sub(lambda match: f" {match[1] or match[3]}/{match[2] or match[4]} ", text)
        text = _COMMAND.sub(lambda match: f" {_NAMES[match[1]]} ", text)
    elif "degree" in text:
        text = _DEGREE.sub(" \u00b0 ", text)
    text = _DASH.sub(" ", text)
    text = _COLON.sub(" colon ", _THOUSANDS.sub("", text))
    return tuple(word.rstrip("0").rstrip(".") if "." in word else word for word in _TOKEN.findall(text))


def _without_article(words: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(word for word in words if word != "colon")
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES and words[1] not in _VERBS and len(words[1]) > 1 else words


def _mathematical(words: tuple[str, ...]) -> bool:
    """Whether an option is a value or formula, perhaps with a unit, rather than words."""
    if not words or not _JOINING.isdisjoint(words):
        return False
    if words[0][0].isdigit() or words[0] in _OPERATORS or words[0].startswith("\\"):
        return True
    return len(words[0]) == 1 and all(len(word) < 3 or not word.isalpha() for word in words)


def _same_number(one: Number, other: Number) -> bool:
    return one.value == other.value and (not one.unit or not other.unit or one.unit == other.unit)


def _opens(words: tuple[str, ...], place: int, length: int) -> bool:
    return (place == 0 or (place == 1 and words[:1] in _LEADING)) and words[place + length : place + length + 1] not in _JOINED


def _is_stated(words: tuple[str, ...], place: int, length: int) -> bool:
    if words[place + length : place + length + 1] in _JOINED:
        return False
    for word in reversed(words[max(0, place - 4) : place]):
        if word in _STATING:
            return True
        if word not in _SKIPPED:
            return False
    return False


def _stands(words: tuple[str, ...], place: int, wanted: tuple[str, ...]) -> bool:
    """Whether the option at this place is more than a part of something else and is not denied."""
    end = place + len(wanted)
    before, after = words[place - 1] if place else "", words[end] if end < len(words) else ""
    denied = words[place - 2] if before in _ARTICLES and place > 1 else before
    if denied in _REFUSING or (after in _VERBS and words[end + 1 : end + 2] in _DENIALS) or after in ("cannot", "isn", "doesn"):
        return False
    if len(wanted) == 1 and wanted[0] in _FUNCTION_WORDS:
        return place == 0 or end == len(words) or before == "colon"
    if _mathematical(wanted):
        whole = (
            before not in _OPERATORS and after not in _OPERATORS and after not in ("=", "\u2248", "\u00b0") and not before.startswith("\\")
        )
        return whole and (place == 0 or _is_stated(words, place, len(wanted)) or len(words) - end <= 2)
    if len(wanted) == 1 and len(wanted[0]) <= 2:
        return place == 0 or _is_stated(words, place, len(wanted)) or end == len(words)
    if wanted[0][0].isdigit() or wanted[-1][0].isdigit():
        return before not in _OPERATORS and after not in _OPERATORS
    return before != "-" and after != "-"
