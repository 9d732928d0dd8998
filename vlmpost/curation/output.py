"""What a curation leaves for training: the rows in vlmpost's own layout, each image once, and a card that says how they were made.

`train.jsonl` appears last, so whoever finds it finds its images.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vlmpost import jsonl
from vlmpost.config.curate import CurateConfig
from vlmpost.curation.ledger import Ledger, QuestionFate
from vlmpost.curation.store import Store
from vlmpost.data.write import row_of, store_image
from vlmpost.records import Example, ImageRef
from vlmpost.runs.directory import disk

_TEMPORARY_PREFIX = ".rows."


def write_rows(store: Store, rows: Sequence[Example]) -> None:
    """Replaces the rows of a curation and their images.

    Raises:
        RunError: The disk refuses.
        DataError: An image cannot be read.
    """
    with disk(store.folder):
        for left in store.folder.glob(f"{_TEMPORARY_PREFIX}*"):
            shutil.rmtree(left)
        temporary = Path(tempfile.mkdtemp(dir=store.folder, prefix=_TEMPORARY_PREFIX))
        (temporary / store.images_dir.name).mkdir()
        paths: dict[ImageRef, str] = {}
        with open(temporary / store.train_path.name, "w", encoding="utf-8") as file:
            for row in rows:
                for ref in row.images:
                    if ref not in paths:
                        paths[ref] = store_image(ref, temporary, f"{len(paths) + 1:06d}")
                file.write(jsonl.dump(row_of(row, [paths[ref] for ref in row.images], layout="jsonl")))
        store.train_path.unlink(missing_ok=True)
        shutil.rmtree(store.images_dir, ignore_errors=True)
        (temporary / store.images_dir.name).rename(store.images_dir)
        (temporary / store.train_path.name).rename(store.train_path)
        shutil.rmtree(temporary)


def write_fates(store: Store, fates: Sequence[QuestionFate]) -> None:
    """Replaces the file that says by name what became of each question and sample.

    Raises:
        RunError: The disk refuses.
    """
    jsonl.replace_text(store.fates_path, "".join(jsonl.dump(fate.to_row()) for fate in fates))


def write_card(store: Store, config: CurateConfig, ledger: Ledger, *, teacher: str) -> None:
    """Replaces the card.

    Raises:
        RunError: The disk refuses.
    """
    generation = config.generation
    sources = [str(source.task or source.path) for source in config.data]
    lines = [
        f"# {store.folder.name}",
        "",
        f"{ledger.num_rows} rows curated by `vlmpost curate`; train on them with `data: {{train: [{{path: {store.train_path.name}}}]}}`.",
        "",
        f"- questions: {', '.join(sources)}",
        f"- teacher: {teacher}, {config.teacher.prompting}",
        f"- sampling: {config.num_samples} for each question, temperature {generation.temperature:g}, top_p {generation.top_p:g}, "
        f"top_k {generation.top_k}, at most {generation.max_completion_length} tokens, seed {config.seed}",
        f"- instruction: {config.instruction or 'none'}",
        "- the rows hold the questions without the instruction; where each comes from stands in its `meta.curation`",
        "- by name, what became of every question and sample: `fates.jsonl`",
        "- what the teacher refused for good (`failure` in `samples.jsonl`) is asked again once its lines are removed there",
        "",
        "```",
        *ledger.lines(),
        "```",
    ]
    jsonl.replace_text(store.card_path, "\n".join(lines) + "\n")
