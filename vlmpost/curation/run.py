"""Curation: questions are read, chosen, asked, judged; answers are filtered, kept and written, and all are accounted for.

Killed at any moment, a second call goes on: answers stand in `samples.jsonl` as they come, and each has a seed of its own, so that the
rows are those of a curation that was never interrupted. What failed is asked again by the next call; what would fail again is dropped,
and is asked again once its line is removed from `samples.jsonl`.

One process curates. The judge is the one that rewards and evaluates (`rewards.correctness`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlmpost import jsonl
from vlmpost.config.curate import CurateConfig
from vlmpost.curation import outcome, output, pass_rates, questions
from vlmpost.curation.ledger import Fate, Ledger, QuestionFate, ledger_from, tally
from vlmpost.curation.outcome import Asked
from vlmpost.curation.records import Answer, Ask, Failure, Teacher
from vlmpost.curation.selection import Selection, select
from vlmpost.curation.store import Came, Key, Purpose, Sample, Store
from vlmpost.curation.teachers import teacher_of
from vlmpost.data import Drop, Progress
from vlmpost.errors import DataError
from vlmpost.media.images import encoded
from vlmpost.models.sampling import row_seed
from vlmpost.records import Example, Rollout
from vlmpost.rewards.correctness import verdict_of

FREE_KEYS: Mapping[str, tuple[str, ...]] = {
    "teacher": ("max_concurrent", "max_seconds", "max_tries"),
    "generation": ("max_concurrent",),
}
"""Keys that only say how fast answers are fetched; a folder may be continued with others."""
_PURPOSE_SEEDS: Mapping[Purpose, str] = {"answer": "curate", "without_images": "curate/without_images"}


@dataclass(frozen=True, slots=True)
class CurationResult:
    """What a curation left."""

    folder: Path
    train_path: Path | None
    """The rows. None: it was only measured."""
    pass_rates_path: Path
    ledger: Ledger


def curate(
    config: CurateConfig,
    folder: Path | str,
    *,
    base_dir: Path | None = None,
    measure_only: bool = False,
    may_be_empty: bool = False,
    teacher: Teacher | None = None,
    progress: Progress | None = None,
) -> CurationResult:
    """Returns what came of asking questions and keeping answers; goes on where an earlier call stopped.

    Args:
        config: The recipe.
        folder: Where all is written; made if need be. One that is finished is left as it is.
        base_dir: The folder that relative paths of data start from. None: the working directory.
        measure_only: Learn only how often each question is answered right; no rows are written.
        may_be_empty: Whether no row at all is a result; it is an error else.
        teacher: Who answers. None: whom the recipe names; it is loaded only if there is something to ask.
        progress: Called now and then.

    Raises:
        ConfigError: A filter cannot be applied, or the teacher's server is not named.
        DataError: The data cannot be read, or nothing is kept.
        RunError: The folder holds another curation or is being written, or the disk refuses.
        ModelError: The teacher cannot be loaded, or its weights are broken.
    """
    store = Store(folder)
    with store.held():
        store.settle({"config": settings_of(config), "measure_only": measure_only})
        ledger = _finished_ledger(store, with_rows=not measure_only)
        if ledger is None:
            work = _Curation(config, store, teacher, base_dir=base_dir, measure_only=measure_only, progress=progress or _ignore)
            ledger = work.run()
        if ledger.num_rows == 0 and not (measure_only or may_be_empty):
            raise DataError("\n  ".join([f"{store.folder}: no answer was kept.", *ledger.lines()]))
        return CurationResult(store.folder, None if measure_only else store.train_path, store.pass_rates_path, ledger)


def settings_of(config: CurateConfig) -> dict[str, object]:
    """Returns everything in a recipe that the rows depend on, as JSON values."""
    found: dict[str, object] = config.model_dump(mode="json")
    for section, names in FREE_KEYS.items():
        values = found[section]
        assert isinstance(values, dict)
        found[section] = {name: value for name, value in values.items() if name not in names}
    return found


@dataclass(slots=True)
class _Curation:
    """One call of `curate` on a folder that is not finished."""

    config: CurateConfig
    store: Store
    teacher: Teacher | None
    """None: not needed yet."""
    base_dir: Path | None
    measure_only: bool
    progress: Progress
    came: Came = field(default_factory=lambda: Came({}, {}))

    def run(self) -> Ledger:
        """Asks what is missing, sorts out what came, and writes it."""
        selection = select(self.config, base_dir=self.base_dir, measure_only=self.measure_only, progress=self.progress)
        self.store.settle({"questions": _hash_of(selection.examples)})
        self.came = self.store.read()
        asked, stopped = self._asked(selection.wanted)
        self._ask("answer", [question.example for question in asked], num_samples=self.config.num_samples)
        sort_out = outcome.measured if self.measure_only else outcome.kept
        found = sort_out(asked, self.came, self.config)
        fates = {fate.id: fate for fate in (*_refused(selection.refused), *stopped, *found.fates)}
        in_order = [fates[example.id] for example in selection.examples]
        ledger = self._ledger(selection, in_order, num_rows=len(found.rows), num_asked=len(asked))
        ledger.check()
        rates = outcome.pass_rates(asked, self.came, num_samples=self.config.num_samples)
        pass_rates.write(self.store.pass_rates_path, rates)
        output.write_fates(self.store, [*_unreadable(selection.unreadable), *in_order])
        if not self.measure_only:
            output.write_rows(self.store, found.rows)
            output.write_card(self.store, self.config, ledger, teacher=self._teacher_names())
        jsonl.replace_json(self.store.ledger_path, ledger.to_json())
        return ledger

    def _asked(self, wanted: Sequence[Asked]) -> tuple[list[Asked], list[QuestionFate]]:
        """Of the questions that are to be asked, those that need their images where that is wanted, and what became of the others."""
        if not self.config.questions.needs_image:
            return list(wanted), []
        number = self.config.questions.needs_image_samples
        self._ask("without_images", [questions.without_images(question.example) for question in wanted], num_samples=number)
        asked, stopped = [], []
        for question in wanted:
            fates = self._fates_without_images(question.example.id, number)
            stop = questions.stopped_by(fates)
            if stop is None:
                asked.append(Asked(question.example, question.index, fates))
            else:
                stopped.append(QuestionFate(question.example.id, stop, without_images=fates))
        return asked, stopped

    def _fates_without_images(self, id: str, number: int) -> tuple[Fate, ...]:
        keys: list[Key] = [("without_images", id, place) for place in range(number)]
        found = [(key, self.came.samples.get(key)) for key in keys]
        return tuple(
            outcome.failed(self.came, key) if sample is None else questions.RIGHT if sample.is_right else questions.NOT_RIGHT
            for key, sample in found
        )

    def _ask(self, purpose: Purpose, examples: Sequence[Example], *, num_samples: int) -> None:
        """Asks for the answers that are not there yet; each is judged and stored as it comes."""
        missing = {
            (purpose, example.id, sample): Ask(example, sample, row_seed(self.config.seed, _PURPOSE_SEEDS[purpose], example.id, sample))
            for example in examples
            for sample in range(num_samples)
            if (purpose, example.id, sample) not in self.came
        }
        if not missing:
            return
        what, total, teacher = f"asking ({purpose.replace('_', ' ')})", len(examples) * num_samples, self._opened()
        answers = teacher.answer(list(missing.values()))
        self.progress(what, total - len(missing), total)
        try:
            for ask, found in answers:
                self.progress(what, total - len(missing), total)  # before this one: of a batch the first comes late, the others at once
                key: Key = (purpose, ask.example.id, ask.sample)
                assert missing.pop(key, None) is not None, f"{key} was not asked, or came twice"
                self._enter(key, ask, found)
        finally:
            if isinstance(answers, Generator):
                answers.close()  # ends what is still under way
        self.progress(what, total - len(missing), total)
        assert not missing, f"{len(missing)} answers neither came nor failed, first {next(iter(missing))}"

    def _enter(self, key: Key, ask: Ask, found: Answer | Failure) -> None:
        """Judges and stores what came."""
        if isinstance(found, Failure):
            self.came.failures[key] = found
            if found.lasting:
                self.store.append_failure(key[0], ask, found)
            return
        verdict = verdict_of(Rollout(ask.example, found.text, (), found.stop_reason, sample=ask.sample))
        self.came.samples[key] = Sample(*key, ask.seed, found, verdict)
        self.store.append(self.came.samples[key])

    def _opened(self) -> Teacher:
        """Who answers; the folder is settled on it."""
        if self.teacher is None:
            self.teacher = teacher_of(self.config)
        self.store.settle({"teacher": self.teacher.name})
        return self.teacher

    def _teacher_names(self) -> str:
        return ", ".join(sorted({sample.answer.teacher for sample in self.came.samples.values()})) or "nobody"

    def _ledger(self, selection: Selection, fates: Sequence[QuestionFate], *, num_rows: int, num_asked: int) -> Ledger:
        checked = self.config.questions.needs_image
        num_checked = len(selection.wanted) * self.config.questions.needs_image_samples
        return Ledger(
            questions=tally([fate.fate for fate in (*_unreadable(selection.unreadable), *fates)], num_all=selection.num_rows),
            samples=tally([sample for fate in fates for sample in fate.samples], num_all=num_asked * self.config.num_samples),
            without_images=tally([one for fate in fates for one in fate.without_images], num_all=num_checked) if checked else None,
            num_rows=num_rows,
            finished=all(failure.lasting for failure in self.came.failures.values()),
        )


def _refused(refused: Mapping[str, questions.Refusal]) -> list[QuestionFate]:
    return [QuestionFate(id, Fate("dropped", refusal.reason), detail=refusal.detail) for id, refusal in refused.items()]


def _unreadable(drops: Sequence[Drop]) -> list[QuestionFate]:
    return [QuestionFate(drop.id, Fate("dropped", f"row: {drop.reason}"), detail=f"{drop.where} {drop.detail}".strip()) for drop in drops]


def _finished_ledger(store: Store, *, with_rows: bool) -> Ledger | None:
    """The ledger of a curation that left nothing to do; None where there is something."""
    if not store.ledger_path.exists() or (with_rows and not store.train_path.exists()):
        return None
    ledger = ledger_from(jsonl.read_json(store.ledger_path), where=str(store.ledger_path))
    num_entered = store.num_entered
    was_shortened = num_entered is not None and num_entered < ledger.num_wanted
    return None if was_shortened or not ledger.finished else ledger


def _hash_of(examples: Sequence[Example]) -> str:
    """A hash of everything in the questions that an answer, its verdict or its row depends on."""
    digest = hashlib.blake2b(digest_size=16)
    for example in examples:
        for part in _parts(example):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _parts(example: Example) -> Iterator[bytes]:
    facts = json.dumps([example.level, dict(example.meta)], sort_keys=True, default=str)
    texts = (example.id, example.task, str(example.answer), example.answer_type, str(example.solution), *example.choices, facts)
    prompt = (str(part) for message in example.prompt for part in (message.role, *message.content))
    yield from (text.encode("utf-8", "surrogatepass") for text in (*texts, *prompt))
    yield from map(encoded, example.images)


def _ignore(what: str, done: int, total: int | None) -> None:
    """Nobody asked for progress."""
