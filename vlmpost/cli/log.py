"""The log of a run: everything that is said through `logging` while the run is worked on."""

from __future__ import annotations

import logging
import sys
from pathlib import Path


class RunLog(logging.FileHandler):
    """Writes one attempt's log; the file is opened when the first line comes. Once the disk refuses a line, the log ends there.

    A full disk becomes an error where it loses something; a log that cannot be written must not hide it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self._is_refused = False
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line, unless the disk refused one before."""
        if not self._is_refused:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Ends the log where `logging` would print a traceback on standard error."""
        if isinstance(sys.exc_info()[1], OSError):
            self._is_refused = True
        else:
            super().handleError(record)

    def close(self) -> None:
        """Closes the file, what the disk refuses left out."""
        try:
            super().close()
        except OSError:
            self._is_refused = True
