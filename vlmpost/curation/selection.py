"""Which questions of a recipe are asked, as far as it can be told before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmpost.config.curate import CurateConfig
from vlmpost.config.schema import DataConfig
from vlmpost.curation import filters, pass_rates, questions
from vlmpost.curation.decontaminate import Decontaminator
from vlmpost.curation.outcome import Asked
from vlmpost.data import Drop, Kept, Progress, RowFault, build
from vlmpost.data import Ledger as RowLedger
from vlmpost.data.audit import where_of
from vlmpost.records import Example


@dataclass(frozen=True, slots=True)
class Selection:
    """The questions of a recipe, as far as they can be told apart without asking."""

    examples: tuple[Example, ...]
    """All that can be read; images are opened of those that nothing else refuses."""
    unreadable: tuple[Drop, ...]
    refused: Mapping[str, questions.Refusal]
    """By id, why a question is not asked."""

    @property
    def wanted(self) -> list[Asked]:
        """The questions that are to be asked, with their places."""
        return [Asked(example, index) for index, example in enumerate(self.examples) if example.id not in self.refused]

    @property
    def num_rows(self) -> int:
        """Rows that were read."""
        return len(self.examples) + len(self.unreadable)


def select(config: CurateConfig, *, base_dir: Path | None, measure_only: bool = False, progress: Progress | None = None) -> Selection:
    """Returns which questions are asked, by all that can be known before.

    Raises:
        ConfigError: A filter cannot be applied.
        DataError: The data, the pass rates or an evaluation set cannot be read, or more rows are unreadable than may be.
    """
    filters.check(config.filters)
    examples, read = build(config.data, data=_data_config(config), base_dir=base_dir, progress=progress)
    rules = list(_rules(config, base_dir, measure_only, progress))
    found: dict[str, questions.Refusal] = {}
    readable = []
    for number, example in enumerate(examples, start=1):
        try:
            refusal = questions.first_refusal(example, rules)
        except RowFault as fault:
            read.drop(fault, id=example.id, where=where_of(example))
            continue
        readable.append(example)
        if refusal is not None:
            found[example.id] = refusal
        if progress is not None:
            progress("choosing questions", number, len(examples))
    _check(read, readable, config)
    return Selection(tuple(readable), tuple(read.drops), found)


def _check(read: RowLedger, readable: Sequence[Example], config: CurateConfig) -> None:
    """Passes if enough rows are readable, those counted whose images turned out not to be."""
    read.kept = [Kept(example.id, where_of(example)) for example in readable]
    read.check(max_drop_share=config.max_drop_share)


def _rules(config: CurateConfig, base_dir: Path | None, measure_only: bool, progress: Progress | None) -> Iterator[questions.Rule]:
    """What refuses questions before they are asked, cheapest first."""
    yield questions.can_be_judged(needed=config.filters.correct or measure_only)
    if config.questions.pass_rates is not None:
        rates = pass_rates.read((base_dir or Path()) / config.questions.pass_rates)
        yield questions.is_hard(rates, max_pass_rate=config.questions.max_pass_rate)
    if config.questions.needs_image:
        yield questions.has_image
    yield questions.can_be_seen
    if config.decontaminate is not None:
        against, _ = build(config.decontaminate.against, data=_data_config(config), base_dir=base_dir, progress=progress)
        yield questions.is_clean(Decontaminator(config.decontaminate, against, progress=progress).reason)


def _data_config(config: CurateConfig) -> DataConfig:
    return DataConfig(train=config.data, max_drop_share=config.max_drop_share)
