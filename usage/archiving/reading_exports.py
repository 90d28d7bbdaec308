"""Takes a file of an exported month back into the archive."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import psycopg

from sentinel.counters.statements import named_queries
from usage.archiving.export_file import MIB, ExportError, Totals
from usage.statements import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from django.db.backends.utils import CursorWrapper


def load_export(cursor: CursorWrapper, path: Path, *, expected: Totals) -> None:
    """Add the rows and events of a file to the archive, as a part of the transaction under way.

    Args:
        cursor: of the transaction.
        path: the file, which was compared with its manifest.
        expected: what the manifest says.

    Raises:
        ExportError: some of it is in the archive or in the ledger already.
    """
    queries = named_queries("export", FOLDER)
    cursor.execute("DROP TABLE IF EXISTS pg_temp.staged_usage")
    cursor.execute(queries["stage"])
    try:
        with gzip.open(path) as blocks, cursor.copy(queries["copy_in"]) as copy:
            while block := blocks.read(MIB):
                copy.write(block)
    except psycopg.Error as error:  # COPY passes Django's own errors by
        reason = str(error).strip().splitlines()[0]
        raise ExportError(f"{path} cannot be read in: {reason}. Nothing was restored.") from error
    cursor.execute(queries["known_records"])
    [known] = cursor.fetchone()
    if known:
        raise ExportError(
            f"{path}: {known:,} of its records are in the archive or in the ledger already. "
            "Nothing was restored; without --from the month is taken from the archive."
        )
    cursor.execute(queries["archive_staged_events"])
    events = cursor.rowcount
    cursor.execute(queries["archive_staged_months"])
    if (cursor.rowcount, events) != (expected.rows, expected.events):
        raise ExportError(
            f"{path}: {cursor.rowcount:,} rows and {events:,} events were read, its manifest says "
            f"{expected.rows:,} and {expected.events:,}. Nothing was restored."
        )
