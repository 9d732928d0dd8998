"""Scores stored rows one after the other; a row that cannot be scored is told and the rest go on."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vlmpost.answers import profiles
from vlmpost.errors import ConfigError, DataError, GraderError
from vlmpost.records import Rollout, Score, Verdict
from vlmpost.rewards.correctness import verdict_of
from vlmpost.rewards.model_judge import ModelJudge
from vlmpost.rewards.rows import rollout_of
from vlmpost.rewards.sets import RewardSet

ROW_PROFILE = "row"
"""In place of a profile's name: each row names its own, under one of `PROFILE_KEYS`."""
JUDGE_BATCH = 64
"""Rows put to a model judge at once."""
PROFILE_KEYS = ("profile", "rule_profile")


@dataclass(frozen=True, slots=True)
class Scored:
    """One row with what was thought of it."""

    number: int
    """Its line, from 1."""
    row: Mapping[str, object]
    rollout: Rollout
    verdict: Verdict | None
    """None where the row has no reference answer."""
    score: Score

    def as_row(self) -> dict[str, object]:
        """The row as it was, with verdict, extracted, normalised, rule, span, score and parts put in."""
        judged = self.verdict
        added: dict[str, object] = {
            "verdict": None if judged is None else judged.outcome,
            "extracted": None if judged is None else judged.extracted,
            "normalised": None if judged is None else judged.normalised,
            "rule": None if judged is None else judged.rule,
            "span": None if judged is None or judged.span is None else list(judged.span),
            "score": self.score.total,
            "parts": dict(self.score.parts),
        }
        if self.score.token_parts:
            added["token_parts"] = {name: list(values) for name, values in self.score.token_parts.items()}
        return {**self.row, **added}


@dataclass(frozen=True, slots=True)
class Unscored:
    """One row that could not be scored."""

    number: int
    reason: str
    """With file and line."""


def score_rows(
    rows: Iterable[tuple[int, Mapping[str, object] | DataError]], rewards: RewardSet | None, *, source: str, profile: str = "generic"
) -> Iterator[Scored | Unscored]:
    """Yields every row scored, or why it could not be; in order, but for group rewards, which put the rows of a question together.

    Args:
        rows: Line numbers with rows, or with what is wrong with the line.
        rewards: What scores them; None: 1 for a right answer by the profile, else 0. With a group reward all rows are held
            in memory.
        source: The file, for messages.
        profile: Whose rules give the verdict; `ROW_PROFILE`: each row says so.

    Raises:
        ConfigError: There is no such profile.
    """
    groups: dict[str, list[tuple[int, Mapping[str, object], Rollout]]] = collections.defaultdict(list)
    for number, row in rows:
        where = f"{source}:{number}"
        if isinstance(row, DataError):
            yield Unscored(number, str(row))
            continue
        try:
            rollout = rollout_of(row, where=where)
        except DataError as error:
            yield Unscored(number, str(error))
            continue
        if rewards is not None and rewards.per_group:
            groups[rollout.example.id].append((number, row, rollout))
        else:
            yield from _score_group([(number, row, rollout)], rewards, source=source, profile=profile)
    for group in groups.values():
        yield from _score_group(group, rewards, source=source, profile=profile)


def settled(rows: Iterable[Scored | Unscored], judge: ModelJudge | None) -> Iterator[Scored | Unscored]:
    """Yields the rows in order, the verdicts that the rules left open put to a model in batches; their score follows the verdict."""
    if judge is None:
        yield from rows
        return
    waiting = iter(rows)
    while batch := list(itertools.islice(waiting, JUDGE_BATCH)):
        scored = [one for one in batch if isinstance(one, Scored)]
        verdicts = iter(judge.settle([one.rollout for one in scored], [one.verdict for one in scored]))
        for one in batch:
            if isinstance(one, Scored):
                verdict = next(verdicts)
                yield replace(one, verdict=verdict, score=_of_verdict(verdict))
            else:
                yield one


def _score_group(
    group: Sequence[tuple[int, Mapping[str, object], Rollout]], rewards: RewardSet | None, *, source: str, profile: str
) -> Iterator[Scored | Unscored]:
    try:
        verdicts = [verdict_of(rollout, profile=_profile(row, profile, f"{source}:{number}")) for number, row, rollout in group]
        scores = [_of_verdict(one) for one in verdicts] if rewards is None else rewards.score_all([rollout for _, _, rollout in group])
    except (DataError, GraderError) as error:
        yield from (Unscored(number, _placed(str(error), f"{source}:{number}")) for number, _, _ in group)
        return
    for (number, row, rollout), verdict, score in zip(group, verdicts, scores, strict=True):
        yield Scored(number, row, rollout, verdict, score)


def _of_verdict(verdict: Verdict | None) -> Score:
    value = None if verdict is None else float(verdict.correct)
    return Score(value, {"accuracy": value})


def _profile(row: Mapping[str, object], profile: str, where: str) -> str:
    if profile != ROW_PROFILE:
        return profile
    named = next((row[key] for key in PROFILE_KEYS if row.get(key) is not None), None)
    if not isinstance(named, str):
        raise DataError(f"{where}: the row names no profile. Expected one of the keys {', '.join(PROFILE_KEYS)}.")
    try:
        return profiles.find(named).name
    except ConfigError as error:
        raise DataError(f"{where}: {error}") from None


def _placed(message: str, where: str) -> str:
    return message if message.startswith(where) else f"{where}: {message}"
