"""A log file that stops nothing where it cannot be written."""

from __future__ import annotations

import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import TextIOWrapper
    from logging import LogRecord


class LogFile(RotatingFileHandler):
    """A rotated file, whose folder is made with the first line.

    Where the file cannot be written, stderr says so once, and the program goes on without it.
    """

    _has_complained = False

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: LogRecord) -> None:  # noqa: N802 (logging's own name)
        """Complain once of a file that cannot be written; anything else is a mistake of ours."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_complained:
            self._has_complained = True
            sys.stderr.write(f"{self.baseFilename}: no log is written: {error.strerror}\n")
