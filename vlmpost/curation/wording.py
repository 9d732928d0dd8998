r"""The words of a question, so that its copies have the same ones: what `decontaminate` compares.

What does not count: letter case, accents and vowel signs, blanks, punctuation, how LaTeX sets a formula, image markers, special tokens,
and the order of the options. What counts: every letter and digit that a reader sees. Rules:

1. NFKD, case folded, marks (Unicode category M) taken out: wide, styled and accented letters are plain ones.
2. LaTeX commands that set type, or stand for what is punctuation in plain text, leave no word (`\left`, `\text`, `\frac`, `\cdot`);
   other commands are words, and Greek letters are their names: `\frac{\pi}{2}` and `\pi/2` are "pi 2".
3. A word is a longest run of letters or of digits, so "3x" and "3 x" are the same; a comma between digits, three of which follow, is
   no break. Scripts that write no spaces (Han, kana, Thai, Lao, Khmer, Myanmar, Tibetan) give a word for each letter.
4. Options are kept apart from the question: lines of the prompt that print them are left out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import regex

from vlmpost.records import Example

_MARKER = regex.compile(r"<image(?: ?\d{1,3})?>|<\|[^|<>\s]{1,40}\|>")
_MARKS = regex.compile(r"\p{M}+")
_SETTING: Final = (
    "left right middle big bigg bigl bigr biggl biggr displaystyle textstyle limits nolimits text textbf textit texttt textrm mbox hbox "
    "mathrm mathbf mathit mathsf mathbb mathcal mathfrak operatorname boldsymbol quad qquad begin end overline underline hat bar vec "
    "overrightarrow widehat tilde underbrace overbrace frac dfrac tfrac cfrac sqrt times cdot div pm mp circ degree angle measuredangle "
    "triangle square parallel perp le leq leqslant ge geq geqslant ne neq lt gt approx equiv sim simeq cong to rightarrow leftarrow "
    "implies in notin cup cap subset subseteq infty sum prod int ldots cdots dots vdots colon mid vert lvert rvert langle rangle lfloor "
    "rfloor lceil rceil prime"
).split()
_COMMAND = regex.compile(rf"\\(?:{'|'.join(_SETTING)})(?![a-z])")
_THOUSANDS = regex.compile(r"(?<=\d)(?:\{,\}|,)(?=\d{3}(?!\d))")
_GREEK: Final = {number: f" {unicodedata.name(chr(number)).split()[-1].lower()} " for number in range(0x3B1, 0x3CA) if number != 0x3C2}
_UNSPACED: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_WORD = regex.compile(rf"[{_UNSPACED}&&\p{{L}}]|[\p{{L}}--[{_UNSPACED}]]+|\p{{Nd}}+", regex.V1)
_LABEL = regex.compile(r"^\s*[(\[]?[A-Za-z][)\].:]\s*")
_HEADINGS: Final = frozenset({"options", "choices", "answer choices"})


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of a question."""

    question: tuple[str, ...]
    """Of what is asked, in reading order, without the options."""
    choices: tuple[str, ...]
    """Each option's words, joined; sorted, as copies shuffle them."""
    answer: str | None
    """The words of the answer, of an option its text. None: there is none."""


def wording_of(example: Example) -> Wording:
    """Returns the words of all that the user says in an example, of its options and its answer."""
    choices = [_joined(choice) for choice in example.choices]
    lines = "\n".join(message.text for message in example.prompt if message.role == "user").split("\n")
    asked = "\n".join(lines if not choices else [line for line in lines if not _prints_option(line, choices)])
    return Wording(tuple(words(asked)), tuple(sorted(choices)), _answer(example, choices))


def words(text: str) -> list[str]:
    r"""Returns the words of a text by the rules above.

    >>> words(r"Find $\left(\frac{\pi}{2}\right)^2$ of 1,200 cm.")
    ['find', 'pi', '2', '2', 'of', '1200', 'cm']
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", _MARKER.sub(" ", text)).casefold())
    plain = _THOUSANDS.sub("", _COMMAND.sub(" ", _MARKS.sub("", folded)))
    return _WORD.findall(plain.translate(_GREEK))


def ngrams(words: Sequence[str], size: int) -> Iterator[str]:
    """Yields every run of `size` words, joined.

    >>> list(ngrams(["a", "b", "c"], 2))
    ['a b', 'b c']
    """
    for start in range(len(words) - size + 1):
        yield " ".join(words[start : start + size])


def _joined(text: str) -> str:
    return " ".join(words(text))


def _prints_option(line: str, choices: Sequence[str]) -> bool:
    """Whether a line of a prompt is one of its options, or their heading."""
    found = _joined(line)
    return bool(found) and (found in choices or found in _HEADINGS or _joined(_LABEL.sub("", line)) in choices)


def _answer(example: Example, choices: Sequence[str]) -> str | None:
    if example.answer is None:
        return None
    place = ord(example.answer) - ord("A") if example.answer_type == "choice" and len(example.answer) == 1 else -1
    return choices[place] if 0 <= place < len(choices) else _joined(example.answer)
