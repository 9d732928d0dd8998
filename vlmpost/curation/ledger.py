"""What became of every question and every sample: each ends in exactly one bin, and the bins add up to what came in.

Questions: every row of the data is kept (a row of the result came from it), dropped, or failed. Samples: every answer that was wanted
is kept, dropped, or failed. Failed is what the next call tries again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vlmpost import jsonl
from vlmpost.errors import RunError

Bin = Literal["kept", "dropped", "failed"]
BINS: tuple[Bin, ...] = ("kept", "dropped", "failed")


@dataclass(frozen=True, slots=True)
class Fate:
    """Where a question or a sample ended."""

    bin: Bin
    reason: str
    """Why there; of what was kept, how it came to be kept."""


@dataclass(frozen=True, slots=True)
class QuestionFate:
    """What became of one question, and of the answers that were wanted to it."""

    id: str
    fate: Fate
    samples: tuple[Fate, ...] = ()
    """By number; empty where nothing was asked."""
    without_images: tuple[Fate, ...] = ()
    """Of the answers without its images, by number; empty where none were wanted."""
    detail: str = ""
    """What was found, where the reason alone does not say it."""

    def to_row(self) -> jsonl.Row:
        """The fate as it is stored."""
        row: jsonl.Row = {"id": self.id, "fate": self.fate.bin, "reason": self.fate.reason}
        row |= {"detail": self.detail} if self.detail else {}
        for name, fates in (("without_images", self.without_images), ("samples", self.samples)):
            row |= {name: [f"{fate.bin}: {fate.reason}" for fate in fates]} if fates else {}
        return row


@dataclass(frozen=True, slots=True)
class Tally:
    """How many ended where."""

    num_all: int
    """What came in, counted before it was sorted."""
    bins: Mapping[Bin, Mapping[str, int]]
    """Bin -> reason -> number, the commonest reason first."""

    def total(self, bin: Bin) -> int:
        """The number in a bin."""
        return sum(self.bins[bin].values())

    def to_json(self) -> dict[str, object]:
        """The tally as it is stored."""
        return {"all": self.num_all, **{bin: {"all": self.total(bin), **self.bins[bin]} for bin in BINS}}


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of a curation's questions and samples."""

    questions: Tally
    """All rows of the data."""
    samples: Tally
    """The answers wanted to the questions that were asked."""
    without_images: Tally | None
    """The answers wanted without images; "kept" are those that let their question be asked. None: none were wanted."""
    num_rows: int
    """Rows of the result."""
    finished: bool
    """Whether nothing is left to try again."""

    @property
    def num_wanted(self) -> int:
        """Answers of every kind that were wanted."""
        return self.samples.num_all + (0 if self.without_images is None else self.without_images.num_all)

    def check(self) -> None:
        """Asserts that nothing was lost and nothing counted twice."""
        for name, tally in self._tallies():
            total = sum(tally.total(bin) for bin in BINS)
            assert total == tally.num_all, f"{name}: {tally.num_all} came in, {total} are in the ledger"

    def to_json(self) -> dict[str, object]:
        """The ledger as it is stored."""
        tallies = {name: tally.to_json() for name, tally in self._tallies()}
        return {"finished": self.finished, "num_rows": self.num_rows, **tallies}

    def lines(self) -> list[str]:
        """The ledger for a reader."""
        found = []
        for name, tally in self._tallies():
            found.append(f"{name.replace('_', ' ')}: {tally.num_all}")
            for bin in BINS:
                for reason, number in tally.bins[bin].items():
                    found.append(f"  {number:>7}  {bin}: {reason}")
        return [*found, f"rows: {self.num_rows}"]

    def _tallies(self) -> Iterator[tuple[str, Tally]]:
        yield "questions", self.questions
        if self.without_images is not None:
            yield "answers_without_images", self.without_images
        yield "samples", self.samples


def tally(fates: Sequence[Fate], *, num_all: int) -> Tally:
    """Returns how many ended where.

    Args:
        fates: One for each thing.
        num_all: How many things there were, counted elsewhere.

    >>> found = tally([Fate("kept", "right"), Fate("dropped", "wrong"), Fate("dropped", "wrong")], num_all=3)
    >>> found.bins
    {'kept': {'right': 1}, 'dropped': {'wrong': 2}, 'failed': {}}
    """
    counts = Counter((fate.bin, fate.reason) for fate in fates)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0][1]))
    return Tally(num_all, {bin: {reason: number for (own, reason), number in ordered if own == bin} for bin in BINS})


def ledger_from(row: Mapping[str, object], *, where: str) -> Ledger:
    """Returns the ledger that was stored as `to_json`.

    Args:
        row: What was stored.
        where: The file, for the message.

    Raises:
        RunError: It is no ledger.
    """
    without_images = row.get("answers_without_images")
    try:
        return Ledger(
            questions=_tally_from(row["questions"]),
            samples=_tally_from(row["samples"]),
            without_images=None if without_images is None else _tally_from(without_images),
            num_rows=row["num_rows"],  # type: ignore[arg-type]
            finished=bool(row["finished"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        message = f"{where}: not a ledger ({type(error).__name__}: {error}). Remove it; it is written again from the answers."
        raise RunError(message) from None


def _tally_from(value: object) -> Tally:
    if not isinstance(value, dict):
        raise TypeError(f"expected numbers, got {value!r}")
    return Tally(value["all"], {bin: {reason: number for reason, number in value[bin].items() if reason != "all"} for bin in BINS})
