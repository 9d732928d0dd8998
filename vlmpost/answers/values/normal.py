r"""String normal forms of free text and of LaTeX: two writings that mean the same by eye become the same string."""

from __future__ import annotations

import re
import unicodedata

_ARTICLE = re.compile(r"\A(?:the|a|an)\s+(?=\S)")
_PUNCTUATION = re.compile(r"[^\w\s%+\-./<>=]|(?<!\d)[.](?!\d)|[.](?=\s|\Z)")
_WRAPPER = re.compile(r"\\(?:text[a-z]*|math(?:rm|bf|it|sf|tt)|operatorname|mbox|boxed|mathop|boldsymbol|bm|underline)\s*\{([^{}]*)\}")
_SPACING = re.compile(r"\\[,;:! ]|~|\\(?:quad|qquad|displaystyle|left|right|[bB]igg?[lr]?|limits|rm|bf)(?![A-Za-z])|\\[()\[\]]|[$]|\\\\\Z")
_SHORT_FRAC = re.compile(r"\\frac\s*([0-9A-Za-z])\s*([0-9A-Za-z])")
_NAMED = re.compile(r"\A\\?[A-Za-z]\w?(?:_\{?\w+\}?)?\s*(?:\([a-z](?:,[a-z])*\))?\s*=\s*(?=[^=]+\Z)")
_NAMED_LAST = re.compile(r"\A([^=A-Za-z]*)=\s*[A-Za-z]\Z")
_LONE_IN_BRACKETS = re.compile(r"\(\w\)")
_COMMANDS = {
    "\u2212": "-", "\u2013": "-", "\u00d7": "\\times ", "\u00f7": "\\div ", "\u00b7": "\\cdot ", "\u22c5": "\\cdot ", "\u03c0": "\\pi ",
    "\u221e": "\\infty ", "\u2264": "\\leq ", "\u2265": "\\geq ", "\u2260": "\\neq ", "\u00b1": "\\pm ", "\u222a": "\\cup ",
    "\u2229": "\\cap ", "\u2208": "\\in ", "\u03b8": "\\theta ", "\u03b1": "\\alpha ", "\u03b2": "\\beta ", "\u2220": "\\angle ",
    "\u00b0": "^\\circ ", "\u2032": "'", "\u2248": "\\approx ", "\u211d": "\\mathbb{R}", "\u2205": "\\emptyset ", "\u2044": "/",
    "\u00bd": "\\frac{1}{2}", "\u2153": "\\frac{1}{3}", "\u2154": "\\frac{2}{3}", "\u00bc": "\\frac{1}{4}", "\u00be": "\\frac{3}{4}",
    "\u00a0": " ", "\u202f": " ", "\u2009": " ",
}  # fmt: skip
_UNICODE = str.maketrans(_COMMANDS)
_RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a\u207f"
_LOWERED = "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089"
_RAISED_RUN, _LOWERED_RUN = re.compile(f"[{_RAISED}]+"), re.compile(f"[{_LOWERED}]+")
_PLAIN_DIGITS = str.maketrans(_RAISED + _LOWERED, "0123456789-+n0123456789")
_ROOT = re.compile(r"(?:\u221a|\\?\bsqrt)\s*(?:\(|(\d+(?:\.\d+)?|[A-Za-z])|(?=[\[{]))|[()]")
_PLAIN_NAMES = re.compile(r"(?<![\\A-Za-z])(pi|sin|cos|tan|cot|sec|csc|log|ln|exp|infinity|inf|theta|alpha|beta)(?![A-Za-z])")
_PLAIN_POWER = re.compile(r"\*\*")


def plain_text(text: str) -> str:
    """Returns the text in lower case without markup, edge punctuation, articles and doubled blanks.

    >>> plain_text(' **The  Red** "Cat".')
    'red cat'
    """
    text = unicodedata.normalize("NFKC", text)
    if "\\" in text:
        text = _unwrapped(text, r" \1 ")
    text = _PUNCTUATION.sub(" ", text.replace("\\", " ").replace("_", " ").casefold())
    return _ARTICLE.sub("", " ".join(text.split()))


def latex(text: str) -> str:
    r"""Returns the formula without spacing, sizing and text wrappers, with one way to write fractions and degrees.

    >>> latex(r"x = \dfrac12 \text{ cm}")
    '\\frac{1}{2}cm'
    """
    text = text.strip().rstrip(".,;").strip()
    if text.isascii() and text.isdigit():
        return text
    text = to_latex(_unwrapped(text, r"\1"))
    text = text.replace("{,}", ",").replace("\\%", "%").replace("\\$", "")
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\cfrac", "\\frac")
    text = text.replace("\\lbrace", "\\{").replace("\\rbrace", "\\}").replace("\\leqslant", "\\leq").replace("\\geqslant", "\\geq")
    text = re.sub(r"\\(?:le|ge|ne)(?![A-Za-z])", lambda match: {"\\le": "\\leq", "\\ge": "\\geq", "\\ne": "\\neq"}[match.group()], text)
    text = _SPACING.sub("", text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?|\\degree", "", text)
    text = _SHORT_FRAC.sub(r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\sqrt\s*([0-9A-Za-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"([\^_])\{(\w)\}", r"\1\2", text)
    text = re.sub(r"\s+", "", _NAMED_LAST.sub(r"\1", _NAMED.sub("", text))).rstrip(".")
    return text[1:-1] if _LONE_IN_BRACKETS.fullmatch(text) else text


def to_latex(text: str) -> str:
    r"""Returns the text with signs that are not LaTeX in LaTeX: roots, powers, Greek letters, relations, `**`.

    >>> to_latex("2\u221a3 + x\u00b2")
    '2\\sqrt{3} + x^{2}'
    """
    if not text.isascii():
        text = _RAISED_RUN.sub(lambda match: "^{" + match.group().translate(_PLAIN_DIGITS) + "}", text)
        text = _LOWERED_RUN.sub(lambda match: "_{" + match.group().translate(_PLAIN_DIGITS) + "}", text)
    if "\u221a" in text or "sqrt" in text:
        text = _roots(text)
    if not text.isascii():
        text = text.translate(_UNICODE)
    if "**" in text:
        text = _PLAIN_POWER.sub("^", text)
    names = {"infinity": "\\infty ", "inf": "\\infty "}
    return _PLAIN_NAMES.sub(lambda match: names.get(match.group(1), f"\\{match.group(1)} "), text) if "\\text" not in text else text


def _unwrapped(text: str, form: str) -> str:
    for _ in range(4):
        unwrapped = _WRAPPER.sub(form, text)
        if unwrapped == text:
            break
        text = unwrapped
    return text


def _roots(text: str) -> str:
    r"""`sqrt(x)` and the root sign as `\sqrt{x}`; the bracket behind it ends where it closes."""
    out: list[str] = []
    place, brackets = 0, list[int | None]()  # for each open bracket: where in `out` its root sign stands, None for a plain one
    for match in _ROOT.finditer(text):
        out.append(text[place : match.start()])
        place, mark = match.end(), match.group()
        if mark == "(":
            brackets.append(None)
        elif mark == ")":
            root = brackets.pop() if brackets else None
            if root is not None:
                out[root], mark = "\\sqrt{", "}"
        elif match.group(1) is not None:
            mark = f"\\sqrt{{{match.group(1)}}}"
        elif mark.endswith("("):
            brackets.append(len(out))
            mark = "\\sqrt("
        else:
            mark = "\\sqrt"
        out.append(mark)
    return "".join([*out, text[place:]])
