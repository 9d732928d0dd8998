r"""Leaves the words of a text and takes out its code, formulas, commands, tags and web addresses.

Model text may be 10 MB and hostile: openings are closed by searching, and a closing that is not found is not searched for again, so
every pass is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_OPENING = re.compile(
    r"\\[\\$]|```|`|\$\$|\$|\\[(\[]"
    r"|\\begin\{(?P<name>align|alignat|aligned|array|cases|eqnarray|equation|gather|gathered|matrix|[bBpvV]matrix|multline|split|tabular)"
    r"(?P<star>\*?)\}"
)
_ESCAPED = ("\\\\", r"\$")
_CLOSING = {"```": "```", "`": "`", "$$": "$$", "$": "$", r"\(": r"\)", r"\[": r"\]"}
_SMALL = re.compile(r"\\[A-Za-z]+|</?[A-Za-z][A-Za-z0-9_-]{0,40}>|<\|[A-Za-z0-9_]{1,40}\|>|https?://\S+")


def prose(text: str) -> str:
    r"""Returns the text with a space in place of everything that is not prose.

    A dollar sign opens a formula only before a character that is no space, and closes it only after one and not before a digit, so
    prices are none; a formula or code in single backticks does not go over a blank line or a line end. A fence that is not closed
    goes to the end; any other opening that is not closed is a character.

    >>> prose(r"It is $x^2$, so \textbf{four} for $5 or $6.").split()
    ['It', 'is', ',', 'so', '{four}', 'for', '$5', 'or', '$6.']
    """
    return _SMALL.sub(" ", " ".join(_kept(text)))


def _kept(text: str) -> Iterator[str]:
    start = place = 0
    missing: set[str] = set()
    while (match := _OPENING.search(text, place)) is not None:
        opening = match.group()
        if opening in _ESCAPED:
            place = match.end()
            continue
        closing = rf"\end{{{match['name']}{match['star']}}}" if match["name"] else _CLOSING[opening]
        end = -1 if closing in missing else text.find(closing, match.end())
        if end < 0:
            missing.add(closing)
            if opening == "```":
                end = len(text)
        if end < 0 or not _closes(text, opening, match.end(), end):
            place = match.end()
            continue
        yield text[start : match.start()]
        start = place = end + len(closing)
    yield text[start:]


def _closes(text: str, opening: str, start: int, end: int) -> bool:
    if opening == "`":
        return text.find("\n", start, end) < 0
    if opening != "$":
        return True
    return (
        end > start
        and not text[start].isspace()
        and not text[end - 1].isspace()
        and text[end - 1] != "\\"
        and not text[end + 1 : end + 2].isdigit()
        and text.find("\n\n", start, end) < 0
    )
