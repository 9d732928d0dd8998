"""Per-sample records of an evaluation on disk, and the summary computed from them.

The records are the truth; a result is always computed from them, so reading an old evaluation and finishing a new one give the
same figures.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vlmpost import jsonl
from vlmpost.errors import DataError, RunError
from vlmpost.evaluation.figures import EpisodeFigures, Row, episode_figures, steps_of
from vlmpost.evaluation.statistics import Count, Estimate, accuracy, accuracy_by, mean_of


class Records:
    """The folder of one evaluation: what was asked, every answer, the summary."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @property
    def settings_path(self) -> Path:
        """What every record was made with."""
        return self.folder / "evaluation.json"

    @property
    def predictions_path(self) -> Path:
        """One line per answer, appended as they come."""
        return self.folder / "predictions.jsonl"

    @property
    def results_path(self) -> Path:
        """The summary."""
        return self.folder / "results.json"

    def open(self, settings: Mapping[str, object]) -> set[tuple[str, int]]:
        """Makes the folder ready to append to and returns the (id, sample) pairs that it holds already.

        Raises:
            RunError: The folder holds records made with other settings, or cannot be written.
            DataError: A record cannot be read.
        """
        wanted = json.loads(json.dumps(settings))
        if self.settings_path.exists():
            old, new = _flat(_read_json(self.settings_path)), _flat(wanted)
            different = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            if different:
                parts = [f"{key} was {_short(old.get(key))}, is {_short(new.get(key))}" for key in different]
                raise RunError(f"{self.folder} holds another evaluation: {'; '.join(parts)}. Give another --out, or the same settings.")
        elif self.predictions_path.exists():
            raise RunError(
                f"{self.predictions_path} is there without {self.settings_path.name}, so it cannot be continued. Give another --out."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.folder}: cannot be made ({error.strerror}). Give another --out.") from None
        jsonl.replace_json(self.settings_path, wanted)
        self._trim_torn_line()
        return {(str(row["id"]), int(str(row["sample"]))) for row in self.rows()}

    def append(self, rows: Iterable[Row]) -> None:
        """Adds records.

        Raises:
            RunError: The disk refuses.
        """
        jsonl.append(self.predictions_path, rows)

    def rows(self) -> list[jsonl.Row]:
        """Returns all records.

        Raises:
            DataError: A line is not a record.
        """
        if not self.predictions_path.exists():
            return []
        rows = []
        for number, row in jsonl.read(self.predictions_path, torn_tail=True):
            missing = [key for key in ("id", "sample", "outcome", "stop_reason", "num_tokens") if key not in row]
            if missing:
                raise DataError(f"{self.predictions_path}:{number}: not a record of an evaluation, {', '.join(missing)} missing.")
            rows.append(row)
        return rows

    def _trim_torn_line(self) -> None:
        """Cuts off a last line without its end, left by a killed process, so that the next one does not grow onto it."""
        if not self.predictions_path.exists():
            return
        with open(self.predictions_path, "rb+") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)


@dataclass(frozen=True, slots=True)
class EvalResult:
    """What an evaluation found."""

    name: str
    accuracy: Estimate | None
    """Of played episodes: the share that succeeded. None where no question has a reference answer or a task to play it."""
    by_level: Mapping[int, Estimate]
    by_task: Mapping[str, Estimate]
    outcome_shares: Mapping[str, float]
    """Share of all judged answers by outcome; "unparsed" is its own rate."""
    truncated_share: float
    """Share of answers cut by their token budget; of played episodes, each reply is one."""
    mean_tokens: float
    """Sampled tokens of a question's answer; of played episodes, all replies together."""
    part_means: Mapping[str, float | None]
    """Mean of each reward part where it applies; empty without rewards."""
    num_questions: int
    num_samples: int
    """Most samples of a question."""
    settings: Mapping[str, object] = field(default_factory=dict)
    counts: Mapping[str, Count] = field(default_factory=dict, repr=False)
    """Question id -> (correct, runs), for paired differences."""
    levels: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Question id -> level, where known."""
    episodes: EpisodeFigures | None = None
    """What the replies of played episodes come to; None where none was played."""

    def to_json(self) -> dict[str, object]:
        """Returns the summary as JSON values, counts by question left out (they are in the records)."""
        return {
            "name": self.name,
            "num_questions": self.num_questions,
            "num_samples": self.num_samples,
            "accuracy": None if self.accuracy is None else asdict(self.accuracy),
            "by_level": {str(level): asdict(estimate) for level, estimate in self.by_level.items()},
            "by_task": {task: asdict(estimate) for task, estimate in self.by_task.items()},
            "outcome_shares": dict(self.outcome_shares),
            "truncated_share": self.truncated_share,
            "mean_tokens": self.mean_tokens,
            "part_means": dict(self.part_means),
            **({} if self.episodes is None else {"episodes": self.episodes.to_json()}),
            "settings": dict(self.settings),
        }

    def lines(self) -> list[str]:
        """Returns the summary as plain lines."""
        lines = [f"{self.name}: {self.num_questions} questions, {self.num_samples} samples each"]
        if self.accuracy is not None:
            lines.append(f"{'accuracy' if self.episodes is None else 'success':10} {percent(self.accuracy)}")
        lines += [
            f"  level {level}  {percent(estimate)}  ({estimate.num_questions} questions)" for level, estimate in self.by_level.items()
        ]
        if len(self.by_task) > 1:
            lines += [f"  {task}  {percent(estimate)}  ({estimate.num_questions} questions)" for task, estimate in self.by_task.items()]
        lines.append(f"answers    {percents(self.outcome_shares) or 'not judged'}")
        if self.episodes is not None:
            lines += _episode_lines(self.episodes)
        lines.append(f"truncated  {self.truncated_share:.1%} of answers; {self.mean_tokens:.1f} tokens on average")
        lines += [f"reward     {name} {'does not apply' if mean is None else f'{mean:.4f}'}" for name, mean in self.part_means.items()]
        if self.num_samples == 1:
            lines.append("One sample per question: the interval covers the choice of questions, not the luck of sampling.")
        return lines


def summarize(rows: Sequence[Row], *, name: str, settings: Mapping[str, object]) -> EvalResult:
    """Returns the result that the records of an evaluation give.

    Raises:
        DataError: There are no records.
    """
    if not rows:
        raise DataError(f"{name}: there are no predictions to summarize.")
    correct: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    levels: dict[str, int] = {}
    tasks: dict[str, str] = {}
    for row in rows:
        question = str(row["id"])
        tasks[question] = str(row.get("task") or "")
        level = row.get("level")
        if isinstance(level, int):
            levels[question] = level
        if row["outcome"] is not None:
            runs[question] += 1
            correct[question] += row["outcome"] == "correct"
    counts = {question: (correct[question], num_runs) for question, num_runs in runs.items()}
    outcomes = Counter(str(row["outcome"]) for row in rows if row["outcome"] is not None)
    num_judged = sum(outcomes.values())
    return EvalResult(
        name=name,
        accuracy=accuracy(counts.values()),
        by_level={int(str(level)): estimate for level, estimate in accuracy_by(counts, levels).items()},
        by_task={str(task): estimate for task, estimate in accuracy_by(counts, tasks).items()},
        outcome_shares={outcome: outcomes[outcome] / num_judged for outcome in sorted(outcomes)},
        truncated_share=_truncated_share(rows),
        mean_tokens=sum(float(str(row["num_tokens"])) for row in rows) / len(rows),
        part_means=_part_means(rows),
        num_questions=len(tasks),
        num_samples=max(Counter(str(row["id"]) for row in rows).values()),
        settings=settings,
        counts=counts,
        levels=levels,
        episodes=episode_figures(rows),
    )


def read_result(folder: Path | str, *, name: str | None = None, levels: Mapping[str, int | None] | None = None) -> EvalResult:
    """Returns the result of an evaluation on disk, computed anew from its records.

    Args:
        folder: What `evaluate` wrote to.
        name: What to call it; None: the folder's name.
        levels: Question id -> level, in place of those in the records; None: the records'.

    Raises:
        DataError: There are no records, or they cannot be read.
    """
    records = Records(folder)
    if not records.predictions_path.exists():
        raise DataError(f"{folder}: no predictions.jsonl here. Give the folder that `vlmpost eval --out` wrote.")
    settings = _read_json(records.settings_path) if records.settings_path.exists() else {}
    rows: list[Row] = list(records.rows())
    if levels is not None:
        rows = [{**row, "level": levels.get(str(row["id"]))} for row in rows]
    return summarize(rows, name=name or Path(folder).name, settings=settings)


def percent(estimate: Estimate) -> str:
    """Returns an estimate in percent with its interval, e.g. "61.3 % [58.0, 64.5]"."""
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.mean:.1f} % [too few questions]"
    return f"{100 * estimate.mean:.1f} % [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def percents(shares: Mapping[str, float]) -> str:
    """Returns shares as one line, e.g. "correct 50.0%, wrong 50.0%"."""
    return ", ".join(f"{name} {share:.1%}" for name, share in shares.items())


def hash_of(value: object) -> str:
    """Returns a short hash of JSON values."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def _episode_lines(figures: EpisodeFigures) -> list[str]:
    lines = [f"per step   {percent(figures.per_step)}  ({figures.num_replies} replies, {figures.mean_replies:.2f} per episode)"]
    if figures.recognition is not None:
        lines.append(f"recognised {percent(figures.recognition)}  ({figures.recognition.num_runs} replies)")
    lines.append(f"replies    {percents(figures.outcome_shares)}")
    if figures.violation_shares:
        lines.append(f"offences   {percents(figures.violation_shares)} of replies")
    return lines


def _truncated_share(rows: Sequence[Row]) -> float:
    """The share of replies that were cut; a record of no played episode is one reply."""
    replies = [reply for row in rows for reply in (steps_of(row) or [row])]
    return sum(reply["stop_reason"] == "length" for reply in replies) / len(replies)


def _part_means(rows: Sequence[Row]) -> dict[str, float | None]:
    values: dict[str, list[float]] = {}
    for row in rows:
        parts = row.get("parts")
        for name, value in parts.items() if isinstance(parts, Mapping) else ():
            values.setdefault(str(name), []).extend([float(value)] if value is not None else [])
    return {name: mean_of(found) for name, found in values.items()}


def _read_json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(value).__name__}.")
    return value


def _flat(settings: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings under dotted names."""
    flat: dict[str, object] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
