"""The generic judge: where the answer stands, what it says, whether it is the reference answer.

The order of places is tag, box, "final answer is", "answer is", last line, whole text (`spans.py`). The first place that can
be read decides. Nothing is guessed: an answer that cannot be read is "unparsed", a comparison that could not be finished is
"uncertain"; both are worth 0 and are counted apart from wrong answers.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from vlmpost.answers import symbolic
from vlmpost.answers.choices import gold_index, read_choice
from vlmpost.answers.normal import latex, plain_text
from vlmpost.answers.numbers import NUMBER_IN_TEXT, WORD_IN_TEXT, Number, equal, parse_number
from vlmpost.answers.spans import Region, Span, answer_region, boxed_answer, candidates, is_refusal, sentences_backward
from vlmpost.errors import GraderError
from vlmpost.records import AnswerType, Outcome, Verdict

MAX_ANSWER_CHARACTERS = 2000
"""Nothing longer is taken for an answer."""
_MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_IS = re.compile(r"(?:\bis|\bare|\bequals?|\bwas|:)\s+", re.IGNORECASE)
_SEVERAL = re.compile(r"[\s$]*,?[\s$]*(?:or|and)[\s$]+|[\s$]*,[\s$]*")
_STATES = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|has|have|had|gives?|gets?|total of)|[=:\u2248])"
    r"\s*(?:approximately|about|around|roughly|exactly|only|equal to|also)?[\s*$\\(]{0,6}\Z",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_COMMAND = re.compile(r"\\[A-Za-z]+|\b(?:sin|cos|tan|cot|log|exp|sqrt|frac|mod|gcd|lcm|max|min|inf|sum|pi)\b")
_PROSE = re.compile(r"[A-Za-z]{3}|\ufffd|[-+*/=]\s*\Z")
_POLARITY = {"yes": True, "true": True, "correct": True, "no": False, "false": False, "incorrect": False}
_JOINT = re.compile(r",?\s*(?:\\q?quad\s*)*(?:\\text\s*\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)\s*(?:\\q?quad\s*)*|,\s*\\q?quad(?![A-Za-z])")
_OPEN, _CLOSE = "([{", ")]}"


def judge(text: str, *, answer: str, answer_type: AnswerType, choices: Sequence[str] = ()) -> Verdict:
    r"""Returns whether `text` gives the reference answer; the same input always gives the same verdict.

    Args:
        text: What the model said, thinking included; only what follows the last thinking block is judged.
        answer: The reference answer; an option letter for "choice".
        answer_type: What kind of answer is compared.
        choices: Option texts in order A, B, ... for "choice".

    Raises:
        GraderError: The reference answer is not one of its kind, or the worker process does not start.

    >>> judge(r"<think>3 + 4</think> \boxed{7}", answer="7", answer_type="number")
    Verdict(outcome='correct', extracted='7', rule='last_box', span=(28, 29))
    """
    if not answer.strip():
        raise GraderError("The reference answer is empty; leave `answer` out where there is none.")
    answer = _reference(answer)
    region = answer_region(text)
    if region.fault:
        return Verdict("unparsed", None, region.fault)
    if answer_type == "choice":
        return _judge_choice(text, region, gold_index(answer, choices), choices)
    gold = _gold_number(answer)
    if answer_type == "number" and gold is None and not _is_formula(answer):
        raise GraderError(f"The reference answer {answer!r} is not a number. Set answer_type to text or latex.")
    if gold is not None and answer_type != "text":
        return _judge_number(text, region, answer, gold)
    return _judge_expression(text, region, answer, gold, symbols=answer_type != "text" or _is_formula(answer))


@functools.lru_cache(maxsize=4096)
def _gold_number(answer: str) -> Number | None:
    return parse_number(answer)


def _reference(answer: str) -> str:
    """The reference answer without the box it may stand in."""
    if "boxed" not in answer:
        return answer
    return boxed_answer(answer) or answer


def _judge_choice(text: str, region: Region, gold: int, choices: Sequence[str]) -> Verdict:
    for span in candidates(text, region):
        if span.end - span.start > MAX_ANSWER_CHARACTERS and span.rule != "last_line":
            continue
        written = text[span.start : span.end]
        if span.rule == "last_line" and is_refusal(text, region) and not _LETTER_ONLY.match(written):
            break
        found = read_choice(written, choices, firm=span.firm or "phrase" in span.rule or span.rule == "whole_text")
        if found is None and not span.firm:
            continue
        if found is None or found.index is None:
            return Verdict("unparsed", written, found.rule if found else span.rule, (span.start, span.end))
        place = (span.start + found.start, span.start + found.end) if found.end else (span.start, span.end)
        same = found.index == gold or (
            bool(choices) and found.rule == "choice_text" and plain_text(choices[found.index]) == plain_text(choices[gold])
        )
        return Verdict("correct" if same else "wrong", "ABCDEFGHIJ"[found.index], span.rule, place)
    return _nothing(text, region)


_LETTER_ONLY = re.compile(r"[\s(\[*]*[A-J][\s)\].:*]")


def _judge_number(text: str, region: Region, answer: str, gold: Number) -> Verdict:
    for span in candidates(text, region):
        if span.firm:
            return _firm_number(text, span, answer, gold)
        if span.rule == "last_line" and is_refusal(text, region):
            break
        place = _number_place(text, span)
        if place is None:
            continue
        start, end, number = place
        if number is None and _elements(text[start:end]) is not None:
            return Verdict("wrong", text[start:end].strip(), f"{span.rule}_list", (start, end))
        if number is None:
            return _compare_formulas(answer, text[start:end], span.rule, (start, end))
        return Verdict("correct" if equal(gold, number) else "wrong", text[start:end].strip(), span.rule, (start, end))
    return _nothing(text, region)


def _firm_number(text: str, span: Span, answer: str, gold: Number) -> Verdict:
    written = text[span.start : span.end]
    if not written.strip():
        return Verdict("unparsed", None, span.rule)
    where = (span.start, span.end)
    if len(written) > MAX_ANSWER_CHARACTERS:
        return Verdict("unparsed", None, "too_long", where)
    if span.pieces:
        numbers = [parse_number(text[start:end]) for start, end in span.pieces]
        same = all(number is not None and equal(gold, number) for number in numbers)
        return Verdict("correct" if same else "wrong", written, f"{span.rule}_list", where)
    number = parse_number(written)
    if number is None and "=" in written:
        number = parse_number(written[_after_equals(written, 0, len(written)) :])
    if number is not None:
        return Verdict("correct" if equal(gold, number) else "wrong", written.strip(), span.rule, where)
    if span.rule == "answer_tag" and not _is_formula(written):
        place = _number_place(text, span)
        if place is not None and place[2] is not None:
            return Verdict("correct" if equal(gold, place[2]) else "wrong", text[place[0] : place[1]].strip(), span.rule, place[:2])
    return _compare_formulas(answer, written, span.rule, where)


def _number_place(text: str, span: Span) -> tuple[int, int, Number | None] | None:
    """Where a soft span states its number: the whole span, its first number after a phrase, else the one it states last.

    A number that is only part of a formula is not the answer; the formula is, with None for the number.
    """
    start, end = span.start, min(span.end, span.start + 10 * MAX_ANSWER_CHARACTERS)
    if end - start <= MAX_ANSWER_CHARACTERS:
        number = parse_number(text[start:end])
        if number is not None:
            return start, end, number
        if span.rule == "whole_text" and _is_one_formula(text[start:end]) and not _MATH.search(text, start, end):
            return start, end, None
    forward = "phrase" in span.rule or span.rule == "answer_tag"
    for left, right in [(start, end)] if forward else sentences_backward(text, start, end):
        if forward and NUMBER_IN_TEXT.search(text, _after_equals(text, left, right), right):
            left = _after_equals(text, left, right)
        found = [*NUMBER_IN_TEXT.finditer(text, left, right), *WORD_IN_TEXT.finditer(text, left, right)]
        found = [match for match in found if parse_number(match.group()) is not None]
        if not found:
            continue
        match = found[0] if forward else _stated(text, left, found)
        if forward and len(found) > 1 and _SEVERAL.fullmatch(text, match.end(), found[1].start()):
            return match.start(), found[1].end(), None
        formula = next((area for area in _MATH.finditer(text, left, right) if area.start() <= match.start() < area.end()), None)
        if formula is None:
            return match.start(), match.end(), parse_number(match.group())
        place = formula.span(formula.lastindex or 0)
        number = parse_number(text[slice(*place)])
        if number is None and "=" in text[slice(*place)]:
            place = (_after_equals(text, *place), place[1])
            number = parse_number(text[slice(*place)])
        return *place, number
    return None


def _after_equals(text: str, start: int, end: int) -> int:
    """The place after the last equals sign that is not inside braces; `start` where there is none."""
    depth = 0
    for place in range(end - 1, start - 1, -1):
        depth += (text[place] == "}") - (text[place] == "{")
        if text[place] == "=" and depth == 0:
            return place + 1
    return start


def _stated(text: str, start: int, found: list[re.Match[str]]) -> re.Match[str]:
    """The last number that follows a word like "is", else the last digits, else the last number word."""
    stated = [match for match in found if _STATES.search(text, max(start, match.start() - 40), match.start())]
    digits = [match for match in found if not match.group().strip().isalpha()]
    return max(stated or digits or found, key=re.Match.start)


def _judge_expression(text: str, region: Region, answer: str, gold: Number | None, *, symbols: bool) -> Verdict:
    for span in candidates(text, region):
        if span.rule == "last_line" and is_refusal(text, region):
            break
        written = text[span.start : span.end]
        if span.pieces:
            written = ", ".join(text[start:end] for start, end in span.pieces)
        if not written.strip() or len(written) > MAX_ANSWER_CHARACTERS:
            if span.firm:
                return Verdict("unparsed", None, span.rule if not written.strip() else "too_long")
            continue
        where = (span.start, span.end)
        forms = [written] if span.firm or span.rule == "whole_text" else _readings(written, symbols)
        for form in (written, *forms):
            if _same_writing(answer, form, gold):
                return Verdict("correct", form.strip(), span.rule, where)
        if symbols:
            return _compare_formulas(answer, forms[0], span.rule, where)
        return Verdict("wrong", forms[0].strip(), span.rule, where)
    return _nothing(text, region)


def _readings(written: str, symbols: bool) -> list[str]:
    """The parts of a sentence that may be the answer itself, likeliest first."""
    readings = []
    formulas = [next(group for group in match.groups() if group) for match in _MATH.finditer(written)]
    if symbols and formulas:
        readings.append(formulas[-1])
        if "=" in formulas[-1]:
            readings.append(formulas[-1][_after_equals(formulas[-1], 0, len(formulas[-1])) :])
    after = list(_IS.finditer(written))
    if after:
        readings.append(written[after[-1].end() :])
    return readings or [written]


def _same_writing(answer: str, written: str, gold: Number | None) -> bool:
    """Whether two answers are the same by string form, number, yes/no, or element by element."""
    if gold is not None:
        number = parse_number(written)
        if number is not None:
            return equal(gold, number)
    if latex(answer) == latex(written) or (
        _letters(answer) and not any(mark in answer for mark in "()[]{}\\^$") and plain_text(answer) == plain_text(written)
    ):
        return True
    polarity = _POLARITY.get(plain_text(answer))
    if polarity is not None:
        words = plain_text(written).split()
        return bool(words) and _POLARITY.get(words[0]) is polarity
    golds, parts = _elements(answer), _elements(written)
    if golds is None or parts is None or len(golds[1]) != len(parts[1]) or not _same_kind(golds[0], parts[0]):
        return False
    left = list(parts[1])
    for one in golds[1]:
        number = parse_number(one)
        ordered = golds[0] not in ("", "{}")
        match = next((other for other in (left[:1] if ordered else left) if _same_writing(one, other, number)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _same_kind(gold: str, answer: str) -> bool:
    """Whether the brackets of two lists mean the same: none and braces are sets, [ ] and ( ) differ as intervals do."""
    return gold == answer or {gold, answer} == {"", "{}"}


def _elements(text: str) -> tuple[str, list[str]] | None:
    """The brackets and the two or more top-level parts of "[1, 2]", "(1, 2)" or "1 and 2"; None where there are none."""
    text = _JOINT.sub(",", text.strip().strip("$").strip())
    if len(text) > MAX_ANSWER_CHARACTERS or "," not in text:
        return None
    inner, kind = text, ""
    if text.startswith("\\{") and text.endswith("\\}"):
        inner, kind = text[2:-2], "{}"
    elif text[:1] in _OPEN and text[-1:] in _CLOSE:
        inner, kind = text[1:-1], text[0] + text[-1]
    for body, brackets in ((inner, kind), (text, "")):
        parts = _split(body)
        if parts is not None and len(parts) > 1:
            return brackets, parts
    return None


def _split(text: str) -> list[str] | None:
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth < 0:
            return None
        if character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]] if depth == 0 else None


def _compare_formulas(answer: str, written: str, rule: str, where: tuple[int, int]) -> Verdict:
    if latex(answer) == latex(written):
        return Verdict("correct", written.strip(), rule, where)
    gold, number = parse_number(answer), parse_number(written)
    if gold is not None and number is not None:
        return Verdict("correct" if equal(gold, number) else "wrong", written.strip(), rule, where)
    if not _is_formula(written) or (gold is not None and not _may_be_a_number(written)):
        return Verdict("wrong", written.strip(), rule, where)
    result = symbolic.compare(answer, written)
    outcome: Outcome = {"equal": "correct", "different": "wrong", "answer_unreadable": "wrong"}.get(result, "uncertain")  # type: ignore[assignment]
    return Verdict(outcome, written.strip(), rule if outcome != "uncertain" else f"{rule}_{result}", where)


def _is_formula(text: str) -> bool:
    """Whether math-verify could say something about the text: it has mathematics in it and is not prose."""
    return any(mark in text for mark in "\\^_=$+*/<>|0123456789") or len(text.strip()) <= 3


def _may_be_a_number(text: str) -> bool:
    """Whether a formula could have a plain number as its value: it has digits, is whole, and there is no prose in it."""
    return _DIGIT.search(text) is not None and text.count("{") == text.count("}") and not _PROSE.search(_COMMAND.sub(" ", text))


def _is_one_formula(text: str) -> bool:
    return any(mark in text for mark in "\\^{") and text.count("{") == text.count("}")


def _letters(text: str) -> bool:
    return any(character.isalpha() for character in text)


def _nothing(text: str, region: Region) -> Verdict:
    return Verdict("refusal", None, "refusal") if is_refusal(text, region) else Verdict("unparsed", None, "no_answer_form")
