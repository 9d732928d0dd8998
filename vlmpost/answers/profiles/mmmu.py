"""The rules of MMMU (validation set: options and open questions) and of MMMU-Pro, by which their numbers are published.

Source: MMMU-Benchmark/MMMU @ bb0b95a9, mmmu/utils/eval_utils.py and mmmu-pro/evaluate.py.

Their oddities are kept: an option letter must have blanks around it, so "B," in the middle does not count; the words of an
option may be found inside other words; the last of several letters wins; on open questions a reference answer that is a part
of what follows "is" is right, whatever else stands there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final

from vlmpost.answers.profiles.lettered import Read, Unparsed, letter_verdict, letters_of, with_random_option
from vlmpost.answers.reference import Reference
from vlmpost.errors import GraderError
from vlmpost.records import Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "An answer in which no option is found is unparsed, not a random option: luck is no skill. `unparsed='random'` draws one by a hash "
    "of seed and question id, as a stand-in for the official generator, whose draws hang on the order of the questions.",
    "An empty answer to an open question is unparsed; the official rule calls it wrong. The score is the same.",
    "A reference answer of an open question that is written as a list (\"['24/7', '3.429']\", as the hub has it) is read as that list; the "
    "official key file has lists.",
)
MAX_LIST_CHARACTERS: Final = 10_000
"""A reference answer longer than this is not read as a list."""
_EDGE_MARKS: Final = ",.!?;:'"
_FEW_WORDS: Final = 5
_KEYS: Final = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL: Final = frozenset(",.!?;:'")
# The possessive digits and the look-behind keep each pass linear on a run of a million digits; what they match is what the
# plain patterns match, since a match that fails at the start of a run of digits fails at each of them.
_WITH_COMMAS = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
_SCIENTIFIC = re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d++")
_SIMPLE = re.compile(r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?![,\d])")


def mmmu_val(text: str, reference: Reference, *, unparsed: Unparsed = "wrong", seed: int = 0) -> Verdict:
    """MMMU's own parser of option letters (eval_utils.py); questions without options go by `mmmu_val_open`.

    Args:
        text: What the model said.
        reference: With the option texts.
        unparsed: Whether an answer without an option is "unparsed", or a "random" option (rule "random_option").
        seed: Of the random option, beside the id of the question.

    Raises:
        GraderError: The option texts are missing, or a reference answer is not one of the options.
    """
    if reference.answer_type != "choice":
        return mmmu_val_open(text, reference)
    letters = letters_of(reference, "mmmu_val")
    body, start = _without_edge_marks(text)
    read = (
        _marked(body, letters, before="(", after=")") or _marked(body, letters, before=" ", after=" ") or _by_words(body, reference.choices)
    )
    return with_random_option(letter_verdict(_moved(read, start), reference), reference, letters, unparsed=unparsed, seed=seed)


def mmmu_pro(text: str, reference: Reference, *, unparsed: Unparsed = "wrong", seed: int = 0) -> Verdict:
    """MMMU-Pro's own parser (mmmu-pro/evaluate.py): after the last "Answer:" first, then anywhere in the text.

    Args:
        text: What the model said.
        reference: With the option texts.
        unparsed: Whether an answer without an option is "unparsed", or a "random" option (rule "random_option").
        seed: Of the random option, beside the id of the question.

    Raises:
        GraderError: The option texts are missing, or a reference answer is not one of the options.
    """
    letters = letters_of(reference, "mmmu_pro")
    read = _after_answer(text, letters)
    if read is None:
        body, start = _without_edge_marks(text)
        read = (
            _marked(body, letters, before="(", after=")")
            or _before_mark(body, letters, " ")
            or _before_mark(body, letters, ".")
            or _by_words(body, reference.choices)
        )
        read = _moved(read, start)
    return with_random_option(letter_verdict(read, reference), reference, letters, unparsed=unparsed, seed=seed)


def mmmu_val_open(text: str, reference: Reference) -> Verdict:
    """MMMU's own rule for open questions: a part of a key phrase, or a number of one at two decimals.

    `extracted` is the candidate that is right, else the first key phrase.

    Raises:
        GraderError: A reference answer is empty.
    """
    golds = [form for answer in reference.answers for one in _listed(answer) for form in _forms(one)]
    phrases = _key_phrases(text)
    if phrases == [""]:
        return Verdict("unparsed", None, "no_answer")
    for rule, candidate in _candidates(phrases):
        for form in _forms(candidate):
            if _is_right(form, golds):
                return Verdict("correct", candidate, rule, _place(text, candidate), str(form))
    return Verdict("wrong", phrases[0], "key_phrase", _place(text, phrases[0]))


def _without_edge_marks(text: str) -> tuple[str, int]:
    """The text as the letter rules search it, a blank put at both ends, and where its first character stands in `text`."""
    start, end = 0, len(text)
    for mark in _EDGE_MARKS:
        while start < end and text[start] == mark:
            start += 1
        while end > start and text[end - 1] == mark:
            end -= 1
    return f" {text[start:end]} ", start - 1


def _moved(read: Read | None, by: int) -> Read | None:
    if read is None or read.span is None:
        return read
    return Read(read.letter, read.rule, (read.span[0] + by, read.span[1] + by))


def _marked(body: str, letters: str, *, before: str, after: str) -> Read | None:
    """The letter that stands last between the two marks."""
    places = {letter: body.rfind(f"{before}{letter}{after}") for letter in letters}
    return _last(places, "letter_in_brackets" if before == "(" else "letter_between_blanks", len(before))


def _last(places: dict[str, int], rule: str, shift: int) -> Read | None:
    found = {letter: place for letter, place in places.items() if place >= 0}
    if not found:
        return None
    letter = max(found, key=found.__getitem__)
    return Read(letter, rule, (found[letter] + shift, found[letter] + shift + 1))


def _before_mark(body: str, letters: str, mark: str) -> Read | None:
    """MMMU-Pro's letter before a blank or a full stop, inside words too: of several, the one that last stands between blanks."""
    places = {letter: place for letter in letters if (place := body.rfind(f"{letter}{mark}")) >= 0}
    if not places:
        return None
    # Between blanks even where the mark is a full stop, and the first option where none does: that is how the official rule has it.
    between = {letter: body.rfind(f" {letter} ") for letter in places}
    letter = max(between, key=between.__getitem__) if len(places) > 1 else next(iter(places))
    place = between[letter] + 1 if len(places) > 1 and between[letter] >= 0 else places[letter]
    return Read(letter, "letter_before_blank" if mark == " " else "letter_before_stop", (place, place + 1))


def _by_words(body: str, choices: tuple[str, ...]) -> Read | None:
    """The option whose text stands last in an answer of more than a few words."""
    if len(body.split(maxsplit=_FEW_WORDS)) <= _FEW_WORDS:
        return None
    lowered = body.lower()
    places = {chr(65 + index): (lowered.rfind(choice.lower()), choice) for index, choice in enumerate(choices)}
    found = {letter: place for letter, (place, _) in places.items() if place >= 0}
    if not found:
        return None
    letter = max(found, key=found.__getitem__)
    place, choice = places[letter]
    same_length = len(lowered) == len(body) and len(choice.lower()) == len(choice)
    # The blanks put at both ends are no part of the text.
    span = (max(place, 1), min(place + len(choice), len(body) - 1)) if same_length else None
    return Read(letter, "option_text", span)


def _after_answer(text: str, letters: str) -> Read | None:
    place = text.rfind("Answer:")
    if place < 0:
        return None
    start = place + len("Answer:")
    found = {letter: text.find(letter, start) for letter in letters}
    present = [letter for letter in letters if found[letter] >= 0]
    if len(present) != 1:
        return None
    return Read(present[0], "after_answer", (found[present[0]], found[present[0]] + 1))


def _listed(answer: str) -> Sequence[str]:
    """The reference answers that one text of a data set stands for."""
    if not answer.strip():
        raise GraderError("The reference answer is empty; leave `answer` out where there is none.")
    if len(answer) > MAX_LIST_CHARACTERS or not (answer.startswith("[") and answer.endswith("]")):
        return [answer]
    try:
        read = ast.literal_eval(answer)
    except (ValueError, SyntaxError):
        return [answer]
    return [str(one) for one in read] if isinstance(read, list) and read else [answer]


def _key_phrases(text: str) -> list[str]:
    """What may hold the answer: of each line the shortest tail after a key word; the whole text where no line has one."""
    whole = text.strip().strip(".").lower()
    lines = whole.split("\n")
    phrases = []
    for number, line in enumerate(lines):
        shortest = ""
        for key in (*_KEYS, "=") if number == len(lines) - 1 else _KEYS:
            place = line.rfind(key)
            if place < 0:
                continue
            tail = line[place + len(key) :].strip()
            if not shortest or len(tail) < len(shortest):
                shortest = tail
        if shortest and shortest not in _TRIVIAL:
            phrases.append(shortest)
    return phrases or [whole]


def _candidates(phrases: list[str]) -> Iterator[tuple[str, str]]:
    """The phrases, then the numbers in them, none twice."""
    for phrase in phrases:
        yield "key_phrase", phrase
    known: set[str] = set()
    for phrase in phrases:
        for pattern in (_WITH_COMMAS, _SCIENTIFIC, _SIMPLE):
            for match in pattern.finditer(phrase):
                number = match.group()
                if number not in known:
                    known.add(number)
                    yield "number_in_key_phrase", number


def _forms(text: str) -> list[str | float]:
    """A number rounded to two decimals; else the text in lower case, a lone character with a blank on either side."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        lowered = text.lower()
    return [f" {lowered}", f"{lowered} "] if len(lowered) == 1 else [lowered]


def _is_right(form: str | float, golds: list[str | float]) -> bool:
    if isinstance(form, str):
        return any(isinstance(gold, str) and gold in form for gold in golds)
    return any(form == gold for gold in golds)


def _place(text: str, candidate: str) -> tuple[int, int] | None:
    """Where the candidate, in lower case, last stands in the text as written."""
    lowered = text.lower()
    place = lowered.rfind(candidate) if len(lowered) == len(text) else -1
    return (place, place + len(candidate)) if place >= 0 else None
