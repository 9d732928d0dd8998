"""Compares answers in words: yes and no, and names or phrases whose case, articles, accents and punctuation do not count."""

from __future__ import annotations

import re
import unicodedata

from vlmpost.answers.values.normal import plain_text

_YES = frozenset(("yes", "true", "yeah", "yep"))
_NO = frozenset(("no", "false", "nope"))
_TRUE, _FALSE = frozenset(("true", "correct")), frozenset(("false", "incorrect", "untrue"))
_NOT = frozenset(("not", "never", "isn", "isnt", "doesn", "doesnt", "aren", "arent", "no", "cannot", "t"))
_NOTHING = {
    **dict.fromkeys(("none", "no solution", "no solutions", "no real solution", "no real solutions"), "no solution"),
    **dict.fromkeys(("empty set", "emptyset", "varnothing", "\u2205", "{}"), "no solution"),
    **dict.fromkeys(("does not exist", "dne"), "does not exist"),
}
_LABEL_NOUN = re.compile(
    r"\A(?:(?:step|point|option|choice|figure|fig|graph|line|curve|angle|part|plot|item|number|case|region|position|letter|diagram|image|picture"
    r"|column|row|label|structure|compound|circuit|path)\s+)(?=\S{1,3}\Z)"
)
_PREPOSITION = re.compile(r"\A(?:called|named|known as|as|at|in|on|to|by|of|because of|due to|from|with)\s+")
_TEXT_COMMAND = re.compile(r"\\(?:text[a-z]*|mbox|mathrm)\s*\{([^{}]*)\}")
_WORDS_ONLY = re.compile(r"(?=[^A-Za-z]*[A-Za-z]{3})[A-Za-z\u00c0-\u024f ,.'\"-]+")
_SIGN = re.compile(r"[\\^_=<>{}|$+*/()\[\]]")
_NOUN = re.compile(r"\b(?!(?:sin|cos|tan|cot|sec|csc|log|exp|sqrt|mod|and)\b)[A-Za-z]{3,}\b")
_LETTERED = re.compile(r"(?<!\w)\(([A-Ja-j])\)")
_LEAD = re.compile(r"\s*\(?([A-Ja-j])(?:[).:](?=\s|\Z)|\s*\Z)")
_WORD = re.compile(r"[a-z']+")


def polarity(text: str) -> bool | None:
    """Returns whether the text says yes (or true), no (or false), or None where it says neither or both.

    >>> polarity("No, it is not."), polarity("The statement is not true.")
    (False, False)
    """
    words = _WORD.findall(plain_text(text).replace("\u2019", "'"))
    if not words:
        return None
    if words[0] in _YES or words[0] in _NO:
        following = [word for word in words[1:3] if word != "or"][:1]
        either = bool(following) and following[0] in (_NO if words[0] in _YES else _YES) and words[0] not in ("yes", "no")
        return None if either or words[1:3] in (["or", "no"], ["or", "yes"]) else words[0] in _YES
    found = set[bool]()
    for place, word in enumerate(words):
        if word in _TRUE or word in _FALSE or (word in _YES | _NO and place == len(words) - 1):
            negated = bool(set(words[max(0, place - 2) : place]) & _NOT) or any(w.endswith("n't") for w in words[max(0, place - 2) : place])
            found.add((word in _TRUE or word in _YES) != negated)
    return found.pop() if len(found) == 1 else None


def is_polar(text: str) -> bool:
    """Returns whether a reference answer is yes, no, true or false."""
    return plain_text(text) in _YES | _NO


def is_lettered(text: str) -> bool:
    """Returns whether a reference answer is the letter of an item, in brackets, as in "(a)"."""
    return _LETTERED.fullmatch(text.strip()) is not None


def same_letter(gold: str, written: str) -> bool:
    """Returns whether what is written names the item of the reference answer and no other.

    >>> same_letter("(a)", "(a) increasing"), same_letter("(a)", "(a) and (b)")
    (True, False)
    """
    letters = {match.group(1).lower() for match in _LETTERED.finditer(written)}
    lead = _LEAD.match(written)
    found = {lead.group(1).lower()} | letters if lead else letters
    return found == {gold.strip("( )").lower()} and (lead is not None or written.strip().startswith("("))


def is_wordy(text: str) -> bool:
    """Returns whether an answer is words and no formula: nothing but words, or several words beside numbers.

    >>> is_wordy("red cat 47"), is_wordy("3 sin x"), is_wordy("x = 2 or x = 3")
    (True, False, False)
    """
    plain = _TEXT_COMMAND.sub(r"\1", text)
    if _WORDS_ONLY.fullmatch(plain) is not None or wording(text) in _NOTHING.values():
        return True
    return _SIGN.search(plain) is None and len(_NOUN.findall(plain)) > 1


def wording(text: str) -> str:
    """Returns the one form of a phrase: no case, articles, accents, edge punctuation; "Fig. B" is "b".

    >>> wording("The Caf\u00e9.")
    'cafe'
    """
    text = plain_text(text)
    if not text.isascii():
        text = "".join(character for character in unicodedata.normalize("NFD", text) if not unicodedata.combining(character))
    text = _NOTHING.get(text, text)
    return _LABEL_NOUN.sub("", text)


def same_wording(gold: str, written: str) -> bool:
    """Returns whether two phrases are one, a leading preposition and hyphens aside; nothing is credited for being contained.

    >>> same_wording("red", "not red"), same_wording("New York", "in new york")
    (False, True)
    """
    one, other = wording(gold), wording(written)
    if one == other and one:
        return True
    if _close(one) == _close(other):
        return bool(_close(one))
    return wording(_PREPOSITION.sub("", one)) == wording(_PREPOSITION.sub("", other)) != ""


def _close(text: str) -> str:
    """The phrase without hyphens, blanks and dots inside words, so that "U.S.A." is "USA" and "x-ray" is "x ray"."""
    return (
        "".join(character for character in text if character.isalnum() or character in "+-/<>=%.^")
        if _has_digit(text)
        else "".join(character for character in text if character.isalnum() or character in "+<>=%")
    )


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)
