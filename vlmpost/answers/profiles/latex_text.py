r"""Turns LaTeX into the plain line that OpenAI's MATH grader compares: \frac{1}{2} is 1/2, \sqrt{2} is a root sign with (2).

Written after how pylatexenc's latex2text behaves, its habits included: braces vanish, an unknown command vanishes but not what
follows it, a root loses its index. It is not a LaTeX parser: what cannot be read is left as it stands.

Source: phfaist/pylatexenc 2.10, latex2text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

MAX_DEPTH: Final = 60
_TOKEN: Final = re.compile(r"\\(?:([A-Za-z]+)\s*|(.|\n))|%[^\n]*\n?\s*|[{}~&]|[^\\{}~&%]+", re.DOTALL)
_GREEK: Final = (
    "alpha \u03b1 beta \u03b2 gamma \u03b3 delta \u03b4 epsilon \u03f5 varepsilon \u03b5 zeta \u03b6 eta \u03b7 "
    "theta \u03b8 vartheta \u03d1 iota \u03b9 kappa \u03ba lambda \u03bb mu \u03bc nu \u03bd xi \u03be pi \u03c0 "
    "rho \u03c1 sigma \u03c3 tau \u03c4 upsilon \u03c5 phi \u03d5 varphi \u03c6 chi \u03c7 psi \u03c8 omega \u03c9 "
    "Gamma \u0393 Delta \u0394 Theta \u0398 Lambda \u039b Xi \u039e Pi \u03a0 Sigma \u03a3 Phi \u03a6 Psi \u03a8 "
    "Omega \u03a9"
)
_SIGNS: Final = (
    "pm \u00b1 mp \u2213 times \u00d7 cdot \u00b7 div \u00f7 ast \u2217 star \u22c6 circ \u2218 bullet \u2219 "
    "cup \u222a cap \u2229 setminus \u2216 subset \u2282 subseteq \u2286 supset \u2283 supseteq \u2287 in \u2208 "
    "notin \u2209 ni \u220b emptyset \u2205 varnothing \u2205 forall \u2200 exists \u2203 lnot \u00ac wedge \u2227 "
    "vee \u2228 to \u2192 rightarrow \u2192 leftarrow \u2190 Rightarrow \u21d2 Leftarrow \u21d0 "
    "leftrightarrow \u2194 Leftrightarrow \u21d4 mapsto \u21a6 longrightarrow \u27f6 Longrightarrow \u27f9 "
    "uparrow \u2191 downarrow \u2193 le \u2264 leq \u2264 ge \u2265 geq \u2265 neq \u2260 ll \u226a gg \u226b "
    "equiv \u2261 approx \u2248 sim \u223c simeq \u2243 cong \u2245 propto \u221d perp \u22a5 parallel \u2225 mid | "
    "nmid \u2224 angle \u2220 measuredangle \u2221 square \u25a1 infty \u221e partial \u2202 nabla \u2207 "
    "sum \u2211 prod \u220f int \u222b iint \u222c oint \u222e ldots \u2026 cdots \u22ef dots \u2026 vdots \u22ee "
    "ddots \u22f1 dotsc \u2026 dotsb \u2026 prime ' hbar \u0127 ell \u2113 aleph \u2135 lfloor \u230a rfloor \u230b "
    "lceil \u2308 rceil \u2309 langle \u27e8 rangle \u27e9 lvert | rvert | lVert \u2016 rVert \u2016 vert | "
    "Vert \u2016 backslash \\ dagger \u2020 therefore \u2234 because \u2235 oplus \u2295 otimes \u2297 odot \u2299 "
    "leqslant \u2a7d geqslant \u2a7e bigcup \u22c3 bigcap \u22c2 diamond \u2662 top \u22a4 surd \u221a lbrace { "
    "rbrace } textdegree \u00b0 textdollar $"
)
_WORDS: Final = "sin cos tan arcsin arccos arctan sinh cosh tanh log ln exp max min sup inf lim"


def _pairs(table: str) -> dict[str, str]:
    words = table.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_COMMANDS: Final[Mapping[str, str]] = {
    **_pairs(_GREEK),
    **_pairs(_SIGNS),
    **{word: word for word in _WORDS.split()},
    "quad": "  ",
    "qquad": "    ",
}
_MARKS: Final[Mapping[str, str]] = {
    **{mark: mark for mark in "{}%$#&_"},
    **dict.fromkeys(",;: \n\t", " "),
    "\\": "\n",
}
_ACCENTS: Final[Mapping[str, str]] = {
    "bar": "\u0305",
    "hat": "\u0302",
    "vec": "\u20d7",
    "tilde": "\u0303",
    "dot": "\u0307",
    "ddot": "\u0308",
}
_SHAPES: Final = ("mathbf", "mathit", "mathsf", "mathtt", "mathcal", "mathbb", "mathfrak", "mathscr")
_DROPPED: Final[Mapping[str, int]] = {
    "hspace": 1,
    "vspace": 1,
    "color": 1,
    "textcolor": 1,
    "hphantom": 1,
    "vphantom": 1,
    "texttt": 1,
    "mbox": 1,
}
"""Commands that vanish with what they are given."""
_MATRICES: Final = ("pmatrix", "bmatrix", "smallmatrix", "array")


class UnreadableError(ValueError):
    """The LaTeX is nested too deep."""


def latex_text(latex: str) -> str:
    r"""Returns the formula as plain text.

    Raises:
        UnreadableError: Braces or environments are deeper than `MAX_DEPTH`.

    >>> latex_text(r"\frac{1}{2} x^{10}")
    '1/2 x^10'
    """
    return _Writer(latex).until("")


class _Writer:
    """Walks the tokens once; `place` is the next character."""

    def __init__(self, latex: str) -> None:
        self.latex = latex
        self.place = 0
        self.depth = 0

    def until(self, closing: str) -> str:
        """The text up to a closing brace or `\\end`, which is passed, or to the end."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError(f"deeper than {MAX_DEPTH}")
        written: list[str] = []
        while (match := _TOKEN.match(self.latex, self.place)) is not None:
            self.place = match.end()
            token = match.group()
            if token == "}" or match.group(1) == "end":
                if match.group(1) == "end":
                    self.argument()
                if closing == (token if token == "}" else "end"):
                    break
            else:
                written.append(self.token(match, token))
        self.depth -= 1
        return "".join(written)

    def token(self, match: re.Match[str], token: str) -> str:
        """What one token is written as."""
        name, mark = match.groups()
        if name is not None:
            return self.command(name)
        if mark is not None:
            return _MARKS.get(mark, "")
        if token == "{":
            return self.until("}")
        return {"~": "\u00a0", "&": "   "}.get(token, "" if token.startswith("%") else token)

    def argument(self) -> str | None:
        """The next group, command or character; None at the end."""
        while self.latex[self.place : self.place + 1].isspace():
            self.place += 1
        if self.latex.startswith("{", self.place):
            self.place += 1
            return self.until("}")
        if self.latex.startswith("\\", self.place):
            match = _TOKEN.match(self.latex, self.place)
            if match is None or match.group(1) in ("end", "begin"):
                return None
            self.place = match.end()
            return self.token(match, match.group())
        character = self.latex[self.place : self.place + 1]
        if character in ("", "}"):
            return None
        self.place += 1
        return character

    def command(self, name: str) -> str:
        """What a command is written as, its arguments taken."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError(f"deeper than {MAX_DEPTH}")
        written = self.written(name)
        self.depth -= 1
        return written

    def written(self, name: str) -> str:
        """The text of a command."""
        if name in ("frac", "nicefrac"):
            top, bottom = self.argument(), self.argument()
            return f"{'%s' if top is None or bottom is None else top}/{'%s' if bottom is None else bottom}"
        if name == "sqrt":
            if self.latex.startswith("[", self.place):
                self.place = self.latex.find("]", self.place) + 1 or len(self.latex)
            return f"\u221a({self.argument() or ''})"
        if name == "begin":
            return self.environment()
        if name in _ACCENTS:
            return "".join(character + _ACCENTS[name] for character in self.argument() or "")
        if name in _SHAPES:
            return "".join(f"{character}\u20de{name}" if character.isalnum() else character for character in self.argument() or "")
        if name in _DROPPED:
            self.argument()
            return ""
        return _COMMANDS.get(name, "")

    def environment(self) -> str:
        """A matrix as [ 1 2; 3 4 ], any other environment as what stands in it."""
        name = (self.argument() or "").rstrip("*")
        if name not in _MATRICES:
            return self.until("end")
        if name == "array":
            self.argument()
        rows = self.until("end").split("\n")
        lines = [" ".join(cell.strip() for cell in row.split("   ")) for row in rows]
        return f"[ {'; '.join(lines)} ]"
