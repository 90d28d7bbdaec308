"""Reads the lines of a file, plain or gzip, or of standard input, in flat memory."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from sentinel.imports.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD_INPUT = "-"
GZIP_FIRST_BYTE = b"\x1f"  # a control character, with which no JSON begins
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
TRUNCATED = "the gzip data ends too early: the file is truncated"
MIB = 1024 * 1024
LONGEST_LINE = 16 * MIB  # bytes; a line is held in memory, and no real record comes near it


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank.

    Attributes:
        number: its place in the file, from 1, blank lines counted.
        raw: its bytes without white space around them; the beginning where it is too long.
        too_long: whether it has more than `LONGEST_LINE` bytes.
    """

    number: int
    raw: bytes
    too_long: bool = False


class Source:
    """An open file of lines.

    Attributes:
        name: the file's name, for messages.
        path: where the file is; None for standard input.
        size: bytes of the file as it is stored; None where that is not known (a pipe).
        line_number: the line that was read last, from 1.
    """

    def __init__(self, *, name: str, stored: BinaryIO, path: Path | None) -> None:
        self.name = name
        self.path = path
        self.size = _size(stored)
        self.line_number = 0
        self._stored = stored
        self._text = self._unpacked()

    @property
    def position(self) -> int:
        """How many bytes of the stored file have been read; 0 where the size is not known."""
        return 0 if self.size is None else self._stored.tell()

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are not blank.

        Raises:
            InputError: the file cannot be read further: truncated or damaged gzip, a broken disk.
        """
        while raw := self._read(LONGEST_LINE + 1):
            self.line_number += 1
            too_long = len(raw) > LONGEST_LINE and not raw.endswith(b"\n")
            if self.line_number == 1:
                raw = raw.removeprefix(BYTE_ORDER_MARK)
            if too_long:
                self._skip_to_next_line()
            stripped = raw.strip()
            if stripped:
                yield Line(self.line_number, stripped, too_long)

    def _skip_to_next_line(self) -> None:
        while (rest := self._read(MIB)) and not rest.endswith(b"\n"):
            pass

    def _read(self, limit: int) -> bytes:
        try:
            return self._text.readline(limit)
        except EOFError:
            raise self._error(TRUNCATED) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._error(f"the gzip data is damaged ({error})") from None
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror or error}") from None

    def _error(self, reason: str) -> InputError:
        return InputError(f"{self.name}, line {self.line_number + 1}: {reason}.")

    def _unpacked(self) -> BinaryIO:
        """Return the text, whether it is packed or not."""
        try:
            first = self._stored.peek(1)[:1]  # type: ignore[attr-defined]  # it is buffered
        except OSError as error:
            raise unreadable(self.name, error) from None
        if first == GZIP_FIRST_BYTE:
            return cast("BinaryIO", gzip.GzipFile(fileobj=self._stored, mode="rb"))
        if self.name.endswith(".gz"):
            raise self._error(
                "this is no gzip file, though its name ends with .gz. Rename it if it is plain text"
                if first
                else TRUNCATED
            )
        return self._stored


@contextmanager
def open_source(file: str) -> Iterator[Source]:
    """Open a file of lines, plain or gzip (told by its content), `-` for standard input.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    if file == STANDARD_INPUT:
        if sys.stdin is None:
            raise InputError("standard input is closed: pipe a file into it, or name one.")
        yield Source(name="standard input", stored=cast("BinaryIO", sys.stdin.buffer), path=None)
        return
    try:
        stored = Path(file).open("rb")  # noqa: SIM115 (closed below; only opening may fail here)
    except (OSError, ValueError) as error:
        raise unreadable(file, error) from None
    with stored:
        yield Source(name=file, stored=stored, path=Path(file))


def unreadable(name: str, error: Exception) -> InputError:
    """Return the error for a file that the system does not give us."""
    return InputError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}.")


def _size(stored: BinaryIO) -> int | None:
    try:
        status = os.fstat(stored.fileno())
    except OSError:  # a stream in memory
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
