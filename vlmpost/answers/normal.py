r"""String normal forms of free text and of LaTeX: two writings that mean the same by eye become the same string."""

from __future__ import annotations

import re
import unicodedata

_ARTICLE = re.compile(r"\A(?:the|a|an)\s+(?=\S)")
_PUNCTUATION = re.compile(r"[^\w\s%+\-./<>=]|(?<!\d)[.](?!\d)|[.](?=\s|\Z)")
_WRAPPER = re.compile(r"\\(?:text[a-z]*|math(?:rm|bf|it)|operatorname|mbox|boxed)\s*\{([^{}]*)\}")
_SPACING = re.compile(
    r"\\[,;:! ]|~|\\(?:quad|qquad|displaystyle|left|right|big|Big|bigg|Bigg|limits|rm|bf)(?![A-Za-z])|\\[()\[\]]|[$]|\\\\\Z"
)
_SHORT_FRAC = re.compile(r"\\frac\s*([0-9A-Za-z])\s*([0-9A-Za-z])")
_NAMED = re.compile(r"\A[A-Za-z]\w?\s*(?:\([a-z](?:,[a-z])*\))?\s*=\s*(?=[^=]+\Z)")


def plain_text(text: str) -> str:
    """Returns the text in lower case without markup, edge punctuation, articles and doubled blanks.

    >>> plain_text(' **The  Red** "Cat".')
    'red cat'
    """
    text = unicodedata.normalize("NFKC", text)
    for _ in range(4):
        unwrapped = _WRAPPER.sub(r" \1 ", text)
        if unwrapped == text:
            break
        text = unwrapped
    text = _PUNCTUATION.sub(" ", text.replace("\\", " ").replace("_", " ").casefold())
    return _ARTICLE.sub("", " ".join(text.split()))


def latex(text: str) -> str:
    r"""Returns the formula without spacing, sizing and text wrappers, with one way to write fractions and degrees.

    >>> latex(r"x = \dfrac12 \text{ cm}")
    '\\frac{1}{2}cm'
    """
    text = text.strip().rstrip(".,;").strip()
    for _ in range(4):
        unwrapped = _WRAPPER.sub(r"\1", text)
        if unwrapped == text:
            break
        text = unwrapped
    text = text.replace("{,}", ",").replace("\u2212", "-").replace("\\%", "%").replace("\\$", "").replace("\u03c0", "\\pi")
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\cfrac", "\\frac")
    text = _SPACING.sub("", text)
    text = re.sub(r"\^\{?\\circ\}?|\\degree|\u00b0", "", text)
    text = _SHORT_FRAC.sub(r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\sqrt\s*([0-9A-Za-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"\^\{(\w)\}", r"^\1", text)
    return re.sub(r"\s+", "", _NAMED.sub("", text)).rstrip(".")
