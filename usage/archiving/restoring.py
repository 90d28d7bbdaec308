"""Brings an archived month back into the ledger, from the archive or from an exported file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction

from sentinel.counters.statements import named_queries
from usage.archiving.export_file import ExportError, Totals, read_manifest
from usage.archiving.reading_exports import load_export
from usage.archiving.run import ArchiveError, explain_error, lock_archive
from usage.statements import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from django.db.backends.utils import CursorWrapper


@dataclass(frozen=True, kw_only=True)
class RestoreReport:
    """What came back.

    Attributes:
        month: the day on which the month begins.
        totals: rows, uses, events and quantity that came back.
        rows_left: rows of users who are gone: they stay in the archive.
    """

    month: date
    totals: Totals
    rows_left: int


def restore_month(
    month: date, *, manifests: Sequence[Path] = (), using: str = DEFAULT_DB_ALIAS
) -> RestoreReport:
    """Move a month from the archive back into the ledger, all of it or nothing.

    Rows and events are what they were, ids, keys and timestamps included; to a row that a late
    event has made meanwhile its uses are added. Who counts in that month waits until it is done.
    The next run of the archive moves the month away again.

    Args:
        month: the day on which it begins.
        manifests: files of the month that were exported and removed, to be taken in first.
        using: the database's alias. The caller has no transaction open in it.

    Raises:
        ArchiveRunningError: a run of the archive is at work.
        ExportError: a file is not what its manifest says, is of another month, or holds what is in
            the archive or in the ledger already.
        ArchiveError: there is nothing of that month, or what came back is not what was archived.
    """
    described = [read_manifest(path) for path in manifests]
    for path, manifest in zip(manifests, described, strict=True):
        if manifest.month != month.isoformat():
            raise ExportError(f"{path} is of {manifest.month}, not of {month}.")
    try:
        with (
            lock_archive(using=using),
            transaction.atomic(using=using, durable=True),
            connections[using].cursor() as cursor,
        ):
            _ask(cursor, "read_committed")
            for path, manifest in zip(manifests, described, strict=True):
                load_export(cursor, path.with_name(manifest.file), expected=manifest.totals)
            return _move_back(cursor, month)
    except IntegrityError as error:
        raise ArchiveError(f"nothing was restored: {explain_error(error)}") from error


def _move_back(cursor: CursorWrapper, month: date) -> RestoreReport:
    values = {"month": month}
    found = _ask(cursor, "totals", values)
    archived = Totals(*(sum(int(row[place]) for row in found) for place in range(1, 5)))
    [(rows_left,)] = _ask(cursor, "rows_that_stay", values)
    if not archived.rows:
        gone = f" but {rows_left:,} rows of users who are gone" if rows_left else ""
        raise ArchiveError(f"nothing of {month:%Y-%m} is in the archive{gone}.")
    _ask(cursor, "add_rows", values)
    [(before,)] = _ask(cursor, "lock_rows", values)
    _ask(cursor, "free_keys", values)
    _ask(cursor, "add_events", values)
    [(after,)] = _ask(cursor, "sum_rows", values)
    _ask(cursor, "keep_timestamps")
    _ask(cursor, "put_timestamps_back", values)
    _ask(cursor, "end_keeping")
    _ask(cursor, "remove_events", values)
    events = cursor.rowcount
    _ask(cursor, "remove_rows", values)
    if (after - before, events, cursor.rowcount) != (
        archived.quantity,
        archived.events,
        archived.rows,
    ):
        raise ArchiveError(
            f"{month:%Y-%m}: {cursor.rowcount:,} rows with {events:,} events would come back and "
            f"add {after - before:,} uses; the archive holds {archived}. Nothing was restored."
        )
    return RestoreReport(month=month, totals=archived, rows_left=rows_left)


def _ask(
    cursor: CursorWrapper, name: str, values: dict[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    cursor.execute(named_queries("restore", FOLDER)[name], values)
    return cursor.fetchall() if cursor.description else []
