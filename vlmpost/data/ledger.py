"""The ledger: what became of every row, kept or dropped and why.

No row disappears outside it. Rows are dropped whole, never cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from vlmpost.errors import DataError

MAX_NAMED = 3
"""Ids named per reason in a summary; the ledger file names them all."""


class RowFault(DataError):
    """One row cannot be used; the reason is a fixed phrase, the detail says what was found in the row."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


@dataclass(frozen=True, slots=True)
class Drop:
    """One row left out."""

    reason: str
    id: str
    where: str
    """File and line, e.g. "test.jsonl:12"."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """One row kept; the counts are None before an audit."""

    id: str
    where: str
    prompt_tokens: int | None = None
    """Image tokens included."""
    image_tokens: int | None = None
    solution_tokens: int | None = None
    """None also where no solution is imitated."""
    num_images: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """One row kept, with something about it that a reader should know."""

    text: str
    id: str
    where: str


@dataclass(slots=True)
class Ledger:
    """Counts and names of the rows kept, dropped and noted."""

    kept: list[Kept] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    statistics: dict[str, object] = field(default_factory=dict)
    """Quantiles and totals of an audit, by name; empty before one."""

    @property
    def num_kept(self) -> int:
        """How many rows are left."""
        return len(self.kept)

    @property
    def num_dropped(self) -> int:
        """How many rows were left out."""
        return len(self.drops)

    @property
    def num_rows(self) -> int:
        """How many rows were read."""
        return self.num_kept + self.num_dropped

    @property
    def drop_share(self) -> float:
        """Dropped rows over all rows; 0 when there are none."""
        return self.num_dropped / self.num_rows if self.num_rows else 0.0

    def drop(self, fault: RowFault, *, id: str, where: str) -> None:
        """Enters a row that is left out."""
        self.drops.append(Drop(fault.reason, id, where, fault.detail))

    def note(self, text: str, *, id: str, where: str) -> None:
        """Enters a remark on a row that is kept."""
        self.notes.append(Note(text, id, where))

    def by_reason(self) -> dict[str, list[Drop]]:
        """The dropped rows by reason, the commonest reason first."""
        groups: dict[str, list[Drop]] = {}
        for drop in self.drops:
            groups.setdefault(drop.reason, []).append(drop)
        return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))

    def joined(self, later: Ledger) -> Ledger:
        """The ledger of two passes, `later` having read what this one kept."""
        return Ledger(
            kept=later.kept,
            drops=[*self.drops, *later.drops],
            notes=[*self.notes, *later.notes],
            statistics={**self.statistics, **later.statistics},
        )

    def summary(self) -> list[str]:
        """Lines for a reader: totals, each reason with some ids, each note with its count."""
        lines = [f"{self.num_kept} of {self.num_rows} rows kept, {self.num_dropped} dropped ({self.drop_share:.1%})"]
        for reason, drops in self.by_reason().items():
            named = [f"{drop.id} ({drop.where}){': ' + drop.detail if drop.detail else ''}" for drop in drops[:MAX_NAMED]]
            lines.append(f"  dropped {len(drops)}: {reason} - {'; '.join(named)}{_more(len(drops))}")
        for text, number in Counter(note.text for note in self.notes).most_common():
            ids = [note.id for note in self.notes if note.text == text][:MAX_NAMED]
            lines.append(f"  noted {number}: {text} - {', '.join(ids)}{_more(number)}")
        return lines

    def to_rows(self) -> Iterable[dict[str, object]]:
        """Rows for a JSONL file: one of totals, one for each row dropped, one for each note, one for each row kept."""
        totals: dict[str, object] = {"event": "totals", "num_rows": self.num_rows, "num_kept": self.num_kept}
        totals["num_dropped"] = self.num_dropped
        totals["reasons"] = {reason: len(drops) for reason, drops in self.by_reason().items()}
        totals["notes"] = dict(Counter(note.text for note in self.notes))
        yield totals | ({"statistics": self.statistics} if self.statistics else {})
        for drop in self.drops:
            yield {"event": "dropped", "reason": drop.reason, "id": drop.id, "where": drop.where, "detail": drop.detail}
        for note in self.notes:
            yield {"event": "noted", "note": note.text, "id": note.id, "where": note.where}
        for kept in self.kept:
            counts = {name: value for name, value in asdict(kept).items() if value is not None}
            yield {"event": "kept", **counts}

    def refusal(self, *, max_drop_share: float) -> str | None:
        """The sentence that says why these rows are not trained on; None: they may be."""
        if not self.num_rows:
            return "The dataset is empty: no row was read. Check the path, the split and num_examples."
        if not self.num_kept:
            return f"None of the {self.num_rows} rows of the dataset can be used."
        if self.drop_share > max_drop_share:
            return (
                f"{self.num_dropped} of {self.num_rows} rows are dropped ({self.drop_share:.2%}), more than max_drop_share allows "
                f"({max_drop_share:.2%}). Mend the rows, or raise max_drop_share."
            )
        return None

    def check(self, *, max_drop_share: float) -> None:
        """Passes if something is kept and not too much is dropped.

        Raises:
            DataError: Nothing is left, or the share of dropped rows is above `max_drop_share`; with the summary.
        """
        refusal = self.refusal(max_drop_share=max_drop_share)
        if refusal is not None:
            raise DataError("\n".join([refusal, *self.summary()]))


def _more(number: int) -> str:
    return f", and {number - MAX_NAMED} more" if number > MAX_NAMED else ""
