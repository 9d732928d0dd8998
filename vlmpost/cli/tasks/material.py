"""Examples of a task posed on stored material, for `vlmpost tasks show --path` and `vlmpost make data --path`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmpost.config.schema import SourceConfig
    from vlmpost.data import Ledger
    from vlmpost.records import Example


def posed_on_material(source: SourceConfig, ledger: Ledger) -> Iterator[Example]:
    """Yields the examples; what cannot be used is entered in the ledger.

    Raises:
        ConfigError: The task draws its own pictures.
        DataError: There is nothing at the path, or nothing that can be used.
    """
    from vlmpost.data.material import examples_on
    from vlmpost.errors import DataError

    example = None
    for example in examples_on(source, base_dir=None, ledger=ledger):
        yield example
    if example is None:
        raise DataError(f"{source.path}: nothing there can be used for {source.task}. {' '.join(ledger.summary())}")
