"""Writes archived months to files, and lets go of what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psycopg
from django.db import connections, transaction
from psycopg.sql import SQL, Literal

from sentinel.counters.statements import named_queries
from usage.archiving.export_file import (
    ExportError,
    Manifest,
    Totals,
    manifest_path,
    read_manifest,
    write_export,
)
from usage.archiving.retention import archive_before
from usage.archiving.run import require_lock
from usage.statements import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime
    from pathlib import Path

    from sentinel.counters.run_lock import RunLock

MONTHS_OF_THE_SUMMARY = 3  # before this one: feature_usage_summary reads them from the archive


class ExportedMonth(NamedTuple):
    """A month that is in a file.

    Attributes:
        manifest: what the file holds.
        written: whether it was written now; otherwise it was there, and agrees.
        deleted: whether the month was removed from the archive.
    """

    manifest: Manifest
    written: bool
    deleted: bool


def require_folder(folder: Path) -> None:
    """Refuse a folder that nothing can be written to, before anything is moved.

    Raises:
        ExportError: it is not there, or no folder.
    """
    if not folder.is_dir():
        raise ExportError(f"--export {folder}: there is no such folder. Make it first.")


def export_months(
    folder: Path, *, now: datetime, delete: bool, lock: RunLock, using: str
) -> list[ExportedMonth]:
    """Write every month of the archive to a file, where no file of it is there that agrees.

    A file counts as exported when it was read back from the disk and holds what the archive does.
    Only then `delete` removes the month from the archive. Months that the summary still reads stay.

    Raises:
        ExportError: a file could not be written, or what is removed is not what was written.
            Months that were done before stay done.
    """
    queries = named_queries("export", FOLDER)
    with connections[using].cursor() as cursor:
        cursor.execute(queries["months"])
        months: list[tuple[date, int]] = cursor.fetchall()
    summarised = archive_before(now=now, months=MONTHS_OF_THE_SUMMARY)
    exported = []
    for month, run in months:
        require_lock(lock)
        manifest, written = _export_month(folder, month=month, run=run, now=now, using=using)
        deleted = delete and month < summarised
        if deleted:
            _remove_month(month, expected=manifest.totals, using=using)
        exported.append(ExportedMonth(manifest, written=written, deleted=deleted))
    return exported


def _export_month(
    folder: Path, *, month: date, run: int, now: datetime, using: str
) -> tuple[Manifest, bool]:
    """Return the manifest of a month's file, and whether it had to be written."""
    queries = named_queries("export", FOLDER)
    with transaction.atomic(using=using, durable=True), connections[using].cursor() as cursor:
        cursor.execute(queries["snapshot"])
        cursor.execute("SELECT set_config('TimeZone', 'UTC', true)")
        cursor.execute(queries["totals"], {"month": month})
        totals = Totals(*map(int, cursor.fetchone()))
        known = _find_export(manifest_path(folder, month=month, run=run))
        if known is not None and known.totals == totals:
            return known, False

        def blocks() -> Iterator[bytes | memoryview]:
            copy_out = SQL(queries["copy_out"]).format(month=Literal(month))
            try:
                with cursor.copy(copy_out.as_string(None)) as copy:
                    yield from copy
            except psycopg.Error as error:  # COPY passes Django's own errors by
                reason = str(error).strip().splitlines()[0]
                raise ExportError(f"{month:%Y-%m} cannot be read: {reason}") from error

        manifest = write_export(
            blocks(), folder=folder, month=month, run=run, totals=totals, now=now
        )
        return manifest, True


def _find_export(path: Path) -> Manifest | None:
    """Return a manifest whose file agrees. Any other is written anew: the archive has it all."""
    try:
        return read_manifest(path)
    except ExportError:
        return None


def _remove_month(month: date, *, expected: Totals, using: str) -> None:
    with transaction.atomic(using=using, durable=True), connections[using].cursor() as cursor:
        cursor.execute(named_queries("export", FOLDER)["remove_month"], {"month": month})
        gone = Totals(*map(int, cursor.fetchone()))
        if gone != expected:
            raise ExportError(
                f"{month:%Y-%m}: the file holds {expected}, and {gone} would be removed. Nothing "
                "was removed."
            )
