"""Rollouts picked for a report, with their images made small enough to stand inside one HTML file."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmpost import jsonl
from vlmpost.errors import DataError
from vlmpost.media.images import open_image
from vlmpost.records import ImageRef

MAX_IMAGE_SIDE_PIXELS = 320
MAX_IMAGES_BYTES = 4_000_000
"""Images past this sum of encoded bytes are named in place of shown."""
MAX_TEXT_CHARACTERS = 4000
"""A longer text is shown to here, and what is left out is counted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """One rollout as a report shows it."""

    heading: str
    images: tuple[str, ...]
    """Data URIs."""
    missing_images: tuple[str, ...]
    """Why an image is not shown."""
    prompt: str
    text: str
    outcome: str
    answer: str
    extracted: str
    facts: str
    """Length and how it ended."""
    parts: tuple[tuple[str, str], ...]
    """Reward parts by name, then total and advantage."""


def pick(rows: Sequence[Mapping[str, object]], *, limit: int) -> list[Mapping[str, object]]:
    """Returns rollouts of the newest step, right and wrong ones in turn, each question once while there are others."""
    if not rows:
        return []
    newest = max(_step(row) for row in rows)
    last = [row for row in rows if _step(row) == newest]
    right = [row for row in last if row.get("outcome") == "correct"]
    wrong = [row for row in last if row.get("outcome") != "correct"]
    mixed = [row for index in range(max(len(right), len(wrong))) for side in (right, wrong) for row in side[index : index + 1]]
    seen: set[object] = set()
    fresh: list[Mapping[str, object]] = []
    again: list[Mapping[str, object]] = []
    for row in mixed:
        (again if row.get("id") in seen else fresh).append(row)
        seen.add(row.get("id"))
    return [*fresh, *again][:limit]


def samples_of(run_dir: Path, rows: Sequence[Mapping[str, object]]) -> list[Sample]:
    """Returns rollouts of a run ready to show; images that cannot be read or are too many are named instead."""
    budget = MAX_IMAGES_BYTES
    samples = []
    for row in rows:
        images: list[str] = []
        missing: list[str] = []
        for name in _list(row.get("images")):
            encoded = _encoded(run_dir / str(name), missing)
            if encoded is not None and len(encoded) > budget:
                missing.append(f"{Path(str(name)).name} (left out: this file would grow too large)")
            elif encoded is not None:
                budget -= len(encoded)
                images.append(encoded)
        samples.append(_sample(row, tuple(images), tuple(missing)))
    return samples


def reply_lines(row: Mapping[str, object]) -> list[str]:
    """Returns what the model wrote, line by line; of an episode, each reply with the verifier's class, reward and message."""
    steps = [step for step in _list(row.get("steps")) if isinstance(step, Mapping)]
    if not steps:
        return [str(row.get("text", ""))]
    lines = []
    for number, step in enumerate(steps, start=1):
        lines += [f"reply {number}: {step.get('text')}", f"  {step.get('outcome')} {_value(step.get('reward'))}"]
        if step.get("feedback") and number < len(steps):
            lines.append(f"  {step['feedback']}")
    return lines


def read_rollouts(path: Path) -> list[jsonl.Row]:
    """Returns the rollouts that a run logged; none where there is no file.

    Raises:
        DataError: A line is not JSON.
    """
    return [row for _, row in jsonl.read(path, torn_tail=True)] if path.exists() else []


def _sample(row: Mapping[str, object], images: tuple[str, ...], missing: tuple[str, ...]) -> Sample:
    parts = row.get("parts")
    named = [(str(name), _value(value)) for name, value in parts.items()] if isinstance(parts, Mapping) else []
    level = f", level {row['level']}" if row.get("level") else ""
    return Sample(
        heading=f"step {row.get('step')}: {row.get('id')}, sample {row.get('sample')}{level}",
        images=images,
        missing_images=missing,
        prompt=_cut("\n".join(str(message.get("content")) for message in _list(row.get("prompt")) if isinstance(message, Mapping))),
        text=_cut("\n".join(reply_lines(row))),
        outcome=str(row.get("outcome") or "not judged"),
        answer=str(row.get("answer") if row.get("answer") is not None else "-"),
        extracted=_cut(str(row.get("extracted") if row.get("extracted") is not None else "-")),
        facts=f"{row.get('num_tokens')} tokens, ended by {row.get('stop_reason')}",
        parts=(*named, ("total", _value(row.get("reward"))), ("advantage", _value(row.get("advantage")))),
    )


def _encoded(path: Path, missing: list[str]) -> str | None:
    """A small JPEG or PNG as a data URI, drawn anew, so that nothing but pixels gets into the report."""
    try:
        image = open_image(ImageRef(path=str(path)))
    except DataError as error:
        missing.append(f"{path.name} (cannot be read)")
        _log.warning("report: %s", error)
        return None
    image.thumbnail((MAX_IMAGE_SIDE_PIXELS, MAX_IMAGE_SIDE_PIXELS))
    best = None
    for kind in ("png", "jpeg"):
        out = io.BytesIO()
        image.save(out, format=kind.upper())
        if best is None or len(out.getvalue()) < len(best[1]):
            best = (kind, out.getvalue())
    assert best is not None, "two formats were tried"
    return f"data:image/{best[0]};base64,{base64.b64encode(best[1]).decode()}"


def _cut(text: str) -> str:
    left = len(text) - MAX_TEXT_CHARACTERS
    return text if left <= 0 else f"{text[:MAX_TEXT_CHARACTERS]}\n[{left} more characters]"


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "-"


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _step(row: Mapping[str, object]) -> int:
    step = row.get("step")
    return step if isinstance(step, int) else 0
