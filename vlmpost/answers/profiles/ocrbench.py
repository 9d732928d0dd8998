"""OCRBench v1's own scoring: an answer is right when an accepted string stands anywhere in the text.

Small letters, blanks at the edges cut, line ends as blanks; for HME100k (handwritten formulas) letters count and no blank does. There
are no word boundaries, so 12 is in 3126, and a long text is favoured: report the mean length beside the score. The text is taken
as it is, thinking included.

Source: Yuliang-Liu/MultimodalOCR @ 794c36d6, OCRBench/example.py.
"""

from __future__ import annotations

from typing import Final

from vlmpost.answers.reference import Reference
from vlmpost.records import Verdict

DEVIATIONS: Final[tuple[str, ...]] = (
    "A text with nothing in it is unparsed, where the benchmark says wrong.",
    "An accepted answer with nothing in it is never found, where the benchmark finds it in every text.",
)

FORMULA_DATASETS: Final = frozenset({"HME100k", "Handwritten Mathematical Expression Recognition"})
"""Names, of the data set and of the kind of question, under which blanks do not count."""
MAX_NORMALISED_CHARACTERS: Final = 200
"""Longer texts give no form to vote on."""


def ocrbench(text: str, reference: Reference) -> Verdict:
    """OCRBench v1's example.py: right when an accepted answer is part of the text; blanks do not count for HME100k.

    Source: Yuliang-Liu/MultimodalOCR @ 794c36d6, OCRBench/example.py.
    """
    formula = reference.dataset in FORMULA_DATASETS or reference.kind in FORMULA_DATASETS
    said = _form(text, formula)
    if not said:
        return Verdict("unparsed", None, "empty_answer")
    normalised = said if len(said) <= MAX_NORMALISED_CHARACTERS else None
    for answer in reference.answers:
        wanted = _form(answer, formula)
        if wanted and wanted in said:
            place = _place(text, wanted, formula)
            return Verdict("correct", text[slice(*place)], "substring", place, normalised)
    start = len(text) - len(text.lstrip())
    return Verdict("wrong", text.strip(), "whole_text", (start, start + len(text.strip())), normalised)


def _form(text: str, formula: bool) -> str:
    if formula:
        return text.strip().replace("\n", " ").replace(" ", "")
    return text.lower().strip().replace("\n", " ")


def _place(text: str, wanted: str, formula: bool) -> tuple[int, int]:
    """Where the first occurrence of a normal form stands in the text itself; the whole text where letters change their number."""
    if not formula:
        lowered = text.lower().replace("\n", " ")
        start = lowered.find(wanted)
        return (start, start + len(wanted)) if len(lowered) == len(text) and start >= 0 else (0, len(text))
    kept = [place for place, character in enumerate(text) if character not in " \n"]
    start = "".join(text[place] for place in kept).find(wanted)
    return kept[start], kept[start + len(wanted) - 1] + 1
