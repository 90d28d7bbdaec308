"""One archived month in a file: a gzip'd CSV, and a manifest that says what is in it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import zlib
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from usage.archiving.run import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1  # of the file's columns
MIB = 1024 * 1024
LONGEST_FIELD = 16 * MIB  # characters; a reason is a text of any length


class ExportError(ArchiveError):
    """A file of the archive cannot be written, or is not what its manifest says."""


class Totals(NamedTuple):
    """What a month holds.

    Attributes:
        rows: rows of feature_usage.
        uses: their sum.
        events: events of the ledger.
        quantity: their sum.
    """

    rows: int
    uses: int
    events: int
    quantity: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What stands beside a file.

    Attributes:
        version: of the columns.
        month: the day on which the month begins.
        run: the run that was the last to add to the month.
        file: the file's name.
        rows, uses, events, quantity: see `Totals`.
        bytes: size of the file.
        sha256: of the file as it is stored.
        exported_at: when, in ISO format.
    """

    version: int
    month: str
    run: int
    file: str
    rows: int
    uses: int
    events: int
    quantity: int
    bytes: int
    sha256: str
    exported_at: str

    @property
    def totals(self) -> Totals:
        """What the file holds."""
        return Totals(self.rows, self.uses, self.events, self.quantity)


def manifest_path(folder: Path, *, month: date, run: int) -> Path:
    """Return where the manifest of a month is: each run that adds to it has a file of its own."""
    return folder / f"feature_usage_{month.isoformat()}_run{run}.json"


def write_export(
    blocks: Iterable[bytes | memoryview],
    *,
    folder: Path,
    month: date,
    run: int,
    totals: Totals,
    now: datetime,
) -> Manifest:
    """Write a month to a file, read it back from the disk, and only then give it its name.

    Args:
        blocks: the CSV, piece by piece.
        folder: where to.
        month: the day on which the month begins.
        run: see `Manifest`.
        totals: what the database says that the file has to hold.
        now: the time, for the manifest.

    Raises:
        ExportError: the disk is full or broken, or what was read back is not `totals`. Nothing with
            a final name was written.
    """
    manifest = manifest_path(folder, month=month, run=run)
    path = manifest.with_suffix(".csv.gz")
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("wb") as stored:
            with gzip.GzipFile(fileobj=stored, mode="wb", filename="", mtime=0) as packed:
                for block in blocks:
                    packed.write(block)
            os.fsync(stored.fileno())
        found = read_totals(unfinished)
        if found != totals:
            raise ExportError(f"{path}: read back {found}, the archive holds {totals}")
        described = Manifest(
            version=VERSION,
            month=month.isoformat(),
            run=run,
            file=path.name,
            **totals._asdict(),
            bytes=unfinished.stat().st_size,
            sha256=_digest(unfinished),
            exported_at=now.isoformat(),
        )
        unfinished.replace(path)
        _write_text(manifest, json.dumps(asdict(described), indent=2) + "\n")
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}. Nothing was removed.") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return described


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, and prove that its file is what it says.

    Raises:
        ExportError: one of the two is missing, altered, or damaged.
    """
    try:
        described = Manifest(**json.loads(path.read_text(encoding="utf-8")))
        date.fromisoformat(described.month)
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise ExportError(f"{path} is no manifest of an exported month: {error}") from error
    if described.version != VERSION or Path(described.file).name != described.file:
        raise ExportError(f"{path}: version {described.version} of {described.file!r} is not known")
    file = path.with_name(described.file)
    try:
        digest = _digest(file)
    except OSError as error:
        raise ExportError(f"{file}: {error.strerror or error}") from error
    if digest != described.sha256:
        raise ExportError(f"{file} was altered or damaged: its SHA-256 is not that of {path.name}")
    found = read_totals(file)
    if found != described.totals:
        raise ExportError(f"{file} holds {found}, {path.name} says {described.totals}")
    return described


def read_totals(path: Path) -> Totals:
    """Count and sum the records of a file, line by line.

    Raises:
        ExportError: it is no gzip'd CSV of a month.
    """
    rows = uses = events = quantity = 0
    csv.field_size_limit(LONGEST_FIELD)
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
            for record in csv.DictReader(text):
                if record["record"] == "month":
                    rows += 1
                    uses += int(record["usage_count"] or 0)
                else:
                    events += 1
                    quantity += int(record["quantity"])
    except (OSError, EOFError, zlib.error, csv.Error, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path} cannot be read back: {error}") from error
    return Totals(rows, uses, events, quantity)


def _digest(path: Path) -> str:
    with path.open("rb") as stored:
        return hashlib.file_digest(stored, "sha256").hexdigest()


def _write_text(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("w", encoding="utf-8") as stored:
            stored.write(text)
            stored.flush()
            os.fsync(stored.fileno())
        unfinished.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        unfinished.unlink(missing_ok=True)
