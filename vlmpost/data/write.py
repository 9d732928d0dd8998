"""Examples to files that `build` and other tools read: one data file, a folder of images, and a card that says how they were made.

Three layouts, by what else reads them: "jsonl" (ours), "trl" (conversational prompt and completion), "llava" (conversations with
`<image>` markers and `image`, a path or a list of paths; one JSON list). All three read back as the same examples, with every turn of
a prompt that has several. A folder appears whole or not at all.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from vlmpost import jsonl
from vlmpost.data import Progress
from vlmpost.data.conversation import to_completion, to_messages
from vlmpost.errors import DataError, RunError
from vlmpost.media.images import name_of
from vlmpost.records import IMAGE, Example, ImageRef, Message

Layout = Literal["jsonl", "llava", "trl"]
LAYOUTS: tuple[Layout, ...] = ("jsonl", "llava", "trl")
IMAGES_DIR = "images"
CARD = "README.md"

_SUFFIXES = ((b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"), (b"RIFF", ".webp"), (b"BM", ".bmp"))
_BATCH_ROWS = 64


def write(
    examples: Iterable[Example],
    directory: Path | str,
    *,
    layout: Layout,
    split: str,
    card: str | None = None,
    progress: Progress | None = None,
) -> tuple[Path, int]:
    """Writes examples to a new folder; returns the data file's path and the number of rows.

    Args:
        examples: Read once, a row at a time.
        directory: Must not exist.
        layout: One of `LAYOUTS`.
        split: Names the data file, so that the folder can be read by its split.
        card: Text of the folder's README.md; None: there is none.
        progress: Called now and then; None: not.

    Raises:
        RunError: The folder exists, or the disk refuses; nothing is left behind.
        DataError: There are no examples, or one has an image that cannot be read.
    """
    target = Path(directory)
    if target.exists():
        raise RunError(f"{target} exists already. Choose another folder, or remove it.")
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        name, number = _fill(temporary, examples, layout=layout, split=split, progress=progress)
        if card is not None:
            (temporary / CARD).write_text(card, encoding="utf-8")
        temporary.chmod(0o755)
        temporary.rename(target)
    except OSError as error:
        raise RunError(f"{target}: cannot be written ({error.strerror}). Free space or choose another folder.") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return target / name, number


def _fill(folder: Path, examples: Iterable[Example], *, layout: Layout, split: str, progress: Progress | None) -> tuple[str, int]:
    (folder / IMAGES_DIR).mkdir()
    name = f"{split}.json" if layout == "llava" else f"{split}.jsonl"
    number = 0
    with open(folder / name, "w", encoding="utf-8") as file:
        file.write("[\n" if layout == "llava" else "")
        for number, example in enumerate(examples, start=1):
            stem = f"{number:06d}-{_stem(example.id)}"
            paths = [store_image(ref, folder, f"{stem}-{slot}") for slot, ref in enumerate(example.images, start=1)]
            row = jsonl.dump(row_of(example, paths, layout=layout))
            file.write((",\n" if number > 1 else "") + row.rstrip("\n") if layout == "llava" else row)
            if progress is not None and number % _BATCH_ROWS == 0:
                progress("writing examples", number, None)
        file.write("\n]\n" if layout == "llava" else "")
    if number == 0:
        raise DataError("There are no examples to write.")
    return name, number


def row_of(example: Example, paths: list[str], *, layout: Layout) -> dict[str, object]:
    """One example as a row of a layout, `paths` being its images' places."""
    if layout == "trl":
        body: dict[str, object] = {"prompt": to_messages(example, instruction=None), "images": paths}
        body |= {"completion": to_completion(example)} if example.solution is not None else {}
    elif layout == "llava":
        turns = [_turn(message.role, marked(message)) for message in example.prompt]
        turns += [_turn("assistant", example.solution)] if example.solution is not None else []
        body = {"conversations": turns, **_llava_images(paths)}
    else:
        single = len(example.prompt) == 1
        prompt: object = (
            marked(example.prompt[0]) if single else [{"role": message.role, "content": marked(message)} for message in example.prompt]
        )
        body = {"prompt": prompt, "images": paths}
        body |= {"solution": example.solution} if example.solution is not None else {}
    return {"id": example.id, "task": example.task, **body, **_rest(example)}


def _llava_images(paths: list[str]) -> dict[str, object]:
    return {"image": paths[0] if len(paths) == 1 else paths} if paths else {}


def _rest(example: Example) -> dict[str, object]:
    optional: dict[str, object] = {"answer": example.answer, "level": example.level}
    rest: dict[str, object] = {name: value for name, value in optional.items() if value is not None}
    rest["answer_type"] = example.answer_type
    if example.choices:
        rest["choices"] = list(example.choices)
    if example.meta:
        rest["meta"] = dict(example.meta)
    return rest


def _turn(role: str, text: str) -> Mapping[str, str]:
    return {"from": {"user": "human", "assistant": "gpt"}.get(role, role), "value": text}


def marked(message: Message) -> str:
    """The text of a turn with `<image>` at each slot, on a line of its own before the text."""
    text = ""
    for index, part in enumerate(message.content):
        if part is not IMAGE:
            text += str(part)
            continue
        leading = all(earlier is IMAGE for earlier in message.content[:index])
        text += "<image>\n" if leading and index + 1 < len(message.content) else "<image>"
    return text


def store_image(ref: ImageRef, folder: Path, stem: str) -> str:
    """Writes an image's bytes to the folder of images in `folder`; returns its path from there, `stem` with the ending of its kind.

    Raises:
        DataError: It cannot be read.
    """
    try:
        data = ref.data if ref.data is not None else Path(str(ref.path)).read_bytes()
    except OSError as error:
        raise DataError(f"{name_of(ref)}: the image cannot be read ({error.strerror}).") from None
    suffix = next((suffix for head, suffix in _SUFFIXES if data.startswith(head)), ".tif")
    (folder / IMAGES_DIR / f"{stem}{suffix}").write_bytes(data)
    return f"{IMAGES_DIR}/{stem}{suffix}"


def _stem(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)[:80]
