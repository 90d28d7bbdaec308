"""The file of lines that were not imported."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Self

from sentinel.imports.errors import InputError

if TYPE_CHECKING:
    from types import TracebackType

    from sentinel.imports.source import Line, Source

LONGEST_RAW = 65_536  # characters of a line that are repeated: whole for all but the absurd


class RejectedLines:
    """Collects rejected lines as JSON Lines: `line`, `reason`, `raw`, `truncated`.

    They go to a temporary file beside the target, readable by its owner alone. `publish` gives it
    its name, or removes the file of an earlier run where nothing was rejected this time: so the
    file there is always that of the last run. Left without `publish`, nothing has changed.

    Args:
        path: the file to make.
        source: what is imported, which must be another file.

    Raises:
        InputError: the file cannot be written there.
    """

    def __init__(self, path: Path, *, source: Source) -> None:
        self.path = path
        self.count = 0
        target = path.resolve()
        if target.exists() and not target.is_file():
            raise InputError(f"{path}: is no regular file. {OTHER_PLACE}")
        if target.exists() and source.path is not None and target.samefile(source.path):
            raise InputError(f"{path}: is the file that is imported. {OTHER_PLACE}")
        self._target = target
        try:
            self._file = NamedTemporaryFile(  # noqa: SIM115 (closed by publish)
                mode="w",
                encoding="utf-8",
                dir=target.parent,
                prefix=f".{target.name}.",
                suffix=".partial",
                delete=False,
            )
        except OSError as error:
            raise self._unwritable(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what was not published."""
        with suppress(OSError):
            self._file.close()
        Path(self._file.name).unlink(missing_ok=True)

    def add(self, line: Line, reason: str) -> None:
        """Write one line.

        Raises:
            InputError: the disk is full, or the like.
        """
        raw = line.raw[: 4 * LONGEST_RAW].decode(errors="replace")
        entry = {
            "line": line.number,
            "reason": reason,
            "raw": raw[:LONGEST_RAW],
            "truncated": line.too_long or len(raw) > LONGEST_RAW,
        }
        try:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        except OSError as error:
            raise self._unwritable(error) from None
        self.count += 1

    def publish(self) -> None:
        """Write everything to the disk and give the file its name.

        Raises:
            InputError: the disk is full, or the file that is there belongs to somebody else.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if self.count:
                Path(self._file.name).replace(self._target)
            else:
                self._target.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(f"{self.path}: cannot be written: {error.strerror}. {OTHER_PLACE}")


OTHER_PLACE = "Name another place with --rejected."


def default_path(source: Source) -> Path:
    """Return where rejected lines go unless told otherwise: beside the file, or here for stdin."""
    if source.path is None:
        return Path("stdin.rejected.jsonl")
    return source.path.with_name(f"{source.path.name}.rejected.jsonl")
