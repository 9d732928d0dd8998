"""One batch of rollouts with what was thought of them: made, measured, and turned into rows for rollouts.jsonl.

Knows no trainer and no tensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from vlmpost.records import Example, ImageRef, Rollout, Score, Step, Verdict
from vlmpost.rewards.correctness import verdict_of
from vlmpost.runs.directory import disk

Sums = dict[str, tuple[float, float]]
"""Name -> (sum, count): figures that add up over processes."""


@dataclass(frozen=True, slots=True)
class RolloutBatch:
    """The rollouts of this process for one generation, in TRL's order: the completions of a prompt follow each other."""

    rollouts: Sequence[Rollout]
    scores: Sequence[Score]
    verdicts: Sequence[Verdict | None]
    """None where the example has no reference answer."""
    advantages: Sequence[float] = field(default=())

    def with_advantages(self, advantages: Sequence[float]) -> RolloutBatch:
        """The same batch with its advantages."""
        return replace(self, advantages=tuple(advantages))

    def first(self, limit: int) -> RolloutBatch:
        """The first `limit` rollouts."""
        return RolloutBatch(self.rollouts[:limit], self.scores[:limit], self.verdicts[:limit], self.advantages[:limit])

    @staticmethod
    def joined(parts: Iterable[RolloutBatch]) -> RolloutBatch:
        """The batches of all processes as one, in their order."""
        batches = list(parts)
        return RolloutBatch(
            [rollout for batch in batches for rollout in batch.rollouts],
            [score for batch in batches for score in batch.scores],
            [verdict for batch in batches for verdict in batch.verdicts],
            [advantage for batch in batches for advantage in batch.advantages],
        )


def make_rollouts(
    examples: Sequence[Example],
    *,
    texts: Sequence[str],
    token_ids: Sequence[Sequence[int]],
    samples: Sequence[int],
    stop_ids: Collection[int],
) -> list[Rollout]:
    """The rollouts of a batch; one whose last token is not in `stop_ids` was cut by its budget."""
    return [
        Rollout(
            example=example,
            text=text,
            token_ids=tuple(ids),
            stop_reason="stop" if ids[-1] in stop_ids else "length",
            sample=sample,
        )
        for example, text, ids, sample in zip(examples, texts, token_ids, samples, strict=True)
    ]


def played(rollouts: Sequence[Rollout], *, replies: Sequence[Sequence[Sequence[int]]], steps: Sequence[tuple[Step, ...]]) -> list[Rollout]:
    """The rollouts of episodes: the sampled tokens of all replies, the text of the last, and every graded reply."""
    return [
        replace(
            rollout,
            text=own_steps[-1].text,
            token_ids=tuple(token for reply in own for token in reply),
            steps=own_steps,
            reply_lengths=tuple(len(reply) for reply in own),
        )
        for rollout, own, own_steps in zip(rollouts, replies, steps, strict=True)
    ]


def without_images(rollout: Rollout) -> Rollout:
    """The rollout light enough to send to other processes."""
    return replace(rollout, example=replace(rollout.example, images=(), solution=None))


def judge_all(rollouts: Sequence[Rollout], *, profile: str = "generic") -> list[Verdict | None]:
    """A verdict for each rollout that has a reference answer, for the figures and the log."""
    return [verdict_of(rollout, profile=profile) for rollout in rollouts]


def figures(batch: RolloutBatch, *, image_token_ids: Collection[int]) -> Sums:
    """Figures of a batch as sums and counts, the same names in the same order on every process; accuracy is that without hints."""
    rows = [(rollout, verdict) for rollout, verdict in zip(batch.rollouts, batch.verdicts, strict=True) if verdict is not None]
    judged = [verdict for rollout, verdict in rows if not rollout.hint_share]
    helped = [verdict.correct for rollout, verdict in rows if rollout.hint_share]
    right = [len(rollout.token_ids) for rollout, verdict in rows if verdict.correct and not rollout.hint_share]
    wrong = [len(rollout.token_ids) for rollout, verdict in rows if not verdict.correct and not rollout.hint_share]
    emitted = sum(bool(set(rollout.token_ids) & set(image_token_ids)) for rollout in batch.rollouts)
    return {
        "accuracy": (float(len(right)), float(len(judged))),
        "hinted_accuracy": (float(sum(helped)), float(len(helped))),
        "parse_failure_share": (float(sum(verdict.outcome == "unparsed" for verdict in judged)), float(len(judged))),
        "length_right_tokens": (float(sum(right)), float(len(right))),
        "length_wrong_tokens": (float(sum(wrong)), float(len(wrong))),
        "image_token_share": (float(emitted), float(len(batch.rollouts))),
    }


def episode_figures(batch: RolloutBatch) -> Sums:
    """Figures of played episodes as sums and counts; nothing where none was played."""
    episodes = [rollout.steps for rollout in batch.rollouts if rollout.steps]
    replies = [step for steps in episodes for step in steps]
    seen = [step.recognised for step in replies if step.recognised is not None]
    return {
        "success": (float(sum(steps[-1].correct for steps in episodes)), float(len(episodes))),
        "first_success": (float(sum(steps[0].correct for steps in episodes)), float(len(episodes))),
        "step_accuracy": (float(sum(step.correct for step in replies)), float(len(replies))),
        "recognition": (float(sum(seen)), float(len(seen))),
        "replies": (float(len(replies)), float(len(episodes))),
    }


def rollout_rows(batch: RolloutBatch, *, step: int, limit: int, images_dir: Path) -> Iterator[dict[str, object]]:
    """The first `limit` rollouts as JSON rows; images held in memory are written to `images_dir` once."""
    for index, rollout in enumerate(batch.rollouts[:limit]):
        score, verdict = batch.scores[index], batch.verdicts[index]
        yield {
            "step": step,
            "id": rollout.example.id,
            "task": rollout.example.task,
            "level": rollout.example.level,
            "sample": rollout.sample,
            "prompt": [
                {"role": message.role, "content": "".join(part if isinstance(part, str) else part.value for part in message.content)}
                for message in rollout.example.prompt
            ],
            "images": [image_path(image, images_dir=images_dir) for image in rollout.example.images],
            "answer": rollout.example.answer,
            "text": rollout.text,
            "num_tokens": len(rollout.token_ids),
            "stop_reason": rollout.stop_reason,
            **({"hint_share": rollout.hint_share} if rollout.hint_share else {}),
            "reward": score.total,
            "parts": dict(score.parts),
            "advantage": batch.advantages[index] if batch.advantages else None,
            **_judged(rollout, verdict),
        }


def _judged(rollout: Rollout, verdict: Verdict | None) -> dict[str, object]:
    """What is said of the answer: by the task's verifier where the example was played, else by the judge."""
    if rollout.steps:
        last = rollout.steps[-1]
        outcome = "correct" if last.correct else last.outcome.lower()
        return {"outcome": outcome, "extracted": last.extracted, "steps": [asdict(step) for step in rollout.steps]}
    return {
        "outcome": None if verdict is None else verdict.outcome,
        "extracted": None if verdict is None else verdict.extracted,
    }


def image_path(image: ImageRef, *, images_dir: Path) -> str:
    """Where an image can be seen: its own file, or a file in `images_dir` named after its bytes, written if new.

    Raises:
        RunError: The disk refuses.
    """
    if image.path is not None:
        return image.path
    assert image.data is not None, "an ImageRef has a path or data"
    suffix = ".png" if image.data[:4] == b"\x89PNG" else ".jpg" if image.data[:2] == b"\xff\xd8" else ".webp"
    path = images_dir / f"{hashlib.sha256(image.data).hexdigest()[:16]}{suffix}"
    if not path.exists():
        with disk(path):
            images_dir.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image.data)
    return f"{images_dir.name}/{path.name}"
