"""One run of the archive at a time, and the row that says what became of it."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, Error, connections, transaction

from sentinel.counters.run_lock import RunLock, hold_run_lock
from sentinel.counters.statements import named_queries
from usage.statements import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

# Also taken by archive_old_feature_usage, by this name.
LOCK = "sentinel.archive"


class ArchiveError(Exception):
    """The archive could not do what it was to do. What was committed before stays as it is."""


class ArchiveRunningError(ArchiveError):
    """Another run is at work."""


def query_archive(name: str, *, using: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run a query of `sql/archive.sql` and return its rows."""
    with connections[using].cursor() as cursor:
        cursor.execute(named_queries("archive", FOLDER)[name], values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


@contextmanager
def lock_archive(*, using: str = DEFAULT_DB_ALIAS) -> Iterator[RunLock]:
    """Keep others out who move usage into the archive or out of it.

    Raises:
        ArchiveRunningError: one is at work; the message says which, where it is known.
    """
    with hold_run_lock(LOCK, using=using) as lock:
        if lock is None:
            raise ArchiveRunningError(_describe_running(using=using))
        yield lock


@contextmanager
def recorded_run(before: date, *, using: str) -> Iterator[int]:
    """Keep that a run has begun and how it ends; gives its number."""
    with transaction.atomic(using=using, durable=True):
        [(run,)] = query_archive(
            "begin_run", using=using, before=before, host=socket.gethostname(), process=os.getpid()
        )
    try:
        yield run
    except BaseException as error:
        reason = str(error).strip() or "interrupted"
        with suppress(Error):  # where the connection is lost, the next run says so
            _end(run, state="failed", error=reason.splitlines()[0], using=using)
        raise
    _end(run, state="complete", error=None, using=using)


def require_lock(lock: RunLock) -> None:
    """Go on only while the lock is held.

    Raises:
        ArchiveError: it is held no longer.
    """
    if not lock.is_held():
        raise ArchiveError(
            "the connection that kept other runs out was ended. The batches that were committed "
            "stay: run it again for the rest."
        )


def explain_error(error: DatabaseError) -> str:
    """Return what the database says, with its hint, in a line."""
    diagnosis = getattr(error.__cause__, "diag", None)
    names = ("message_primary", "message_detail", "message_hint")
    said = [getattr(diagnosis, name, None) for name in names]
    return ". ".join(text.rstrip(".") for text in said if text) or str(error).strip()


def _end(run: int, *, state: str, error: str | None, using: str) -> None:
    with transaction.atomic(using=using, durable=True):
        query_archive("end_run", using=using, run=run, state=state, error=error)


def _describe_running(*, using: str) -> str:
    running = query_archive("find_running", using=using)
    if not running:
        return "the archive is being written to by somebody else. Wait for it to end."
    run, started_at, user, host, process, rows = running[0]
    return (
        f"archive run {run} is at work: started {started_at} by {user} on {host} (process "
        f"{process}), {rows:,} rows moved so far. Wait for it to end."
    )
