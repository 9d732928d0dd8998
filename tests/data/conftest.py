"""Small rows, images and sources for the tests of `vlmpost.data`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from vlmpost.config.schema import DataConfig, SourceConfig
from vlmpost.data import Ledger, collect
from vlmpost.records import Example

FIXTURES = Path(__file__).parent / "fixtures"

Read = Callable[..., tuple[list[Example], Ledger]]


def png(size: tuple[int, int] = (40, 30), colour: str = "red") -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", size, colour).save(encoded, format="PNG")
    return encoded.getvalue()


@pytest.fixture
def fixtures() -> Path:
    return FIXTURES


@pytest.fixture
def drawn() -> Callable[..., bytes]:
    return png


@pytest.fixture
def read_rows(tmp_path: Path) -> Read:
    """`read_rows(rows, **source)`: the rows written as JSONL beside a.png and b.png, then collected."""
    (tmp_path / "a.png").write_bytes(png(colour="red"))
    (tmp_path / "b.png").write_bytes(png(colour="blue"))

    def read(rows: Sequence[Mapping[str, object]], **source: object) -> tuple[list[Example], Ledger]:
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return collect([SourceConfig(path=str(tmp_path / "rows.jsonl"), **source)], base_dir=None)

    return read


@pytest.fixture
def read_path() -> Read:
    """`read_path(path, **source)`: collected."""

    def read(path: Path, **source: object) -> tuple[list[Example], Ledger]:
        return collect([SourceConfig(path=str(path), **source)], base_dir=None)

    return read


@pytest.fixture
def data_config() -> Callable[..., DataConfig]:
    """A `DataConfig` with one source that is not read."""
    return lambda **keys: DataConfig(train=[SourceConfig(path="unused.jsonl")], **keys)
