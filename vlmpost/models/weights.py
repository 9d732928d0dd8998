"""Weight files of a model folder, looked at without building a model: are they whole, and which are they.

Only safetensors: other formats can run code when opened.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from vlmpost.errors import ModelError

INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
ADAPTER_FILE = "adapter_model.safetensors"
MAX_WHOLE_HASH_BYTES = 256 * 2**20
NUM_SAMPLES = 64
SAMPLE_BYTES = 64 * 2**10
MAX_HEADER_BYTES = 100 * 10**6


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Returns the safetensors files that make up the model in `folder`, each checked to be whole.

    Raises:
        ModelError: There are none, a shard is missing, or a file is cut or damaged.
    """
    # Where both stand, transformers reads the single file.
    is_sharded = (folder / INDEX_FILE).is_file() and not (folder / SINGLE_FILE).is_file()
    names = _shard_names(folder / INDEX_FILE) if is_sharded else (SINGLE_FILE,)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing and names == (SINGLE_FILE,):
        pickled = " It has pytorch_model.bin, which can run code: convert it to safetensors." if list(folder.glob("*.bin")) else ""
        raise ModelError(f"{folder} has no weights: neither {SINGLE_FILE} nor {INDEX_FILE}.{pickled}")
    if missing:
        raise ModelError(f"{folder} lacks {len(missing)} of the {len(names)} weight files its index names: {', '.join(missing)}.")
    files = tuple(folder / name for name in names)
    for file in files:
        check_whole(file)
    return files


def check_whole(file: Path) -> None:
    """Checks that a safetensors file has a readable header and as many bytes as it says.

    Raises:
        ModelError: It has not.
    """
    num_bytes = file.stat().st_size
    with file.open("rb") as stream:
        header_bytes = int.from_bytes(stream.read(8), "little")
        if num_bytes < 8 or not 2 <= header_bytes <= min(num_bytes - 8, MAX_HEADER_BYTES):
            raise ModelError(f"{file} is no safetensors file, or is damaged: its header would have {header_bytes} of {num_bytes} bytes.")
        try:
            header = json.loads(stream.read(header_bytes))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ModelError(f"{file} is no safetensors file, or is damaged: its header cannot be read.") from error
    expected_bytes = 8 + header_bytes + max(ends, default=0)
    if expected_bytes != num_bytes:
        raise ModelError(f"{file} has {num_bytes} bytes where its header says {expected_bytes}: it was cut or damaged. Copy it again.")


def weights_hash(files: tuple[Path, ...]) -> str:
    """Returns a hash that names the weights: of all bytes up to 256 MiB in total, else of sizes, headers and samples.

    The prefix says which: "sha256:" or "sha256-sampled:".
    """
    whole = sum(file.stat().st_size for file in files) <= MAX_WHOLE_HASH_BYTES
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        if whole:
            digest.update(file.read_bytes())
        else:
            _hash_samples(file, digest)
    return f"{'sha256' if whole else 'sha256-sampled'}:{digest.hexdigest()}"


def _hash_samples(file: Path, digest: hashlib._Hash) -> None:
    num_bytes = file.stat().st_size
    with file.open("rb") as stream:
        header_bytes = int.from_bytes(stream.read(8), "little")
        digest.update(stream.read(header_bytes))
        for index in range(NUM_SAMPLES):
            stream.seek(index * max(num_bytes - SAMPLE_BYTES, 0) // (NUM_SAMPLES - 1))
            digest.update(stream.read(SAMPLE_BYTES))


def _shard_names(index: Path) -> tuple[str, ...]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = tuple(sorted(set(weight_map.values())))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index} cannot be read as an index of weight files.") from error
    if not names:
        raise ModelError(f"{index} names no weight file.")
    outside = [name for name in names if not isinstance(name, str) or Path(name).name != name]
    if outside:
        raise ModelError(f"{index} names weight files outside its folder: {outside[0]!r}.")
    return names
