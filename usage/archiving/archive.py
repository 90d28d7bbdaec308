"""Moves usage of old months, with its events, from the ledger to the archive."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction

from sentinel.counters.repair_batch import LOCK_TIMEOUT
from sentinel.progress import Progress
from sentinel.retries import (
    ATTEMPTS,
    BATCH_FIRST_PAUSE,
    ENDED,
    passes,
    pause_before_next,
    sqlstate,
)
from usage.archiving.export import ExportedMonth, export_months, require_folder
from usage.archiving.run import (
    ArchiveError,
    explain_error,
    lock_archive,
    query_archive,
    recorded_run,
    require_lock,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime
    from pathlib import Path

    from sentinel.counters.run_lock import RunLock

DEFAULT_BATCH_SIZE = 1_000  # rows of feature_usage; with ten events each some 0.1 s
FIGURES_DIFFER = "23000"  # how archive_usage_batch says that it did not move what it found


class MovedMonth(NamedTuple):
    """What was moved of a month.

    Attributes:
        month: the day on which it begins.
        rows: rows of feature_usage.
        events: their events.
    """

    month: date
    rows: int
    events: int


class WaitingMonth(NamedTuple):
    """What would be moved of a month.

    Attributes:
        month: the day on which it begins.
        rows: rows of feature_usage.
        uses: their sum.
    """

    month: date
    rows: int
    uses: int


@dataclass(frozen=True, kw_only=True)
class ArchiveReport:
    """What a run has done.

    Attributes:
        run: its number.
        before: months that began before this day were archived.
        months: what was moved, by month.
        batches: in how many transactions.
        exported: the files that were written, or were there and agree.
        seconds: how long it took.
    """

    run: int
    before: date
    months: tuple[MovedMonth, ...]
    batches: int
    exported: tuple[ExportedMonth, ...]
    seconds: float

    @property
    def rows(self) -> int:
        """Rows of feature_usage."""
        return sum(month.rows for month in self.months)

    @property
    def events(self) -> int:
        """Their events."""
        return sum(month.events for month in self.months)


class _Batch(NamedTuple):
    month: date
    ids: str  # the text of an array: a million of them are 8 MB
    rows: int


def archive_usage(
    *,
    before: date,
    now: datetime,
    batch_size: int = DEFAULT_BATCH_SIZE,
    export_to: Path | None = None,
    delete_exported: bool = False,
    progress: Progress | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> ArchiveReport:
    """Move months that began before a day. Others go on writing; who writes to one waits a batch.

    Every batch is a transaction of its own that compares what it moved with what was there: after
    a kill at any moment whole batches stay, and the next run does the rest.

    Args:
        before: see `archive_before`.
        now: the time, for the manifests of exported files.
        batch_size: rows of a batch.
        export_to: write the archived months to files in this folder afterwards.
        delete_exported: remove from the archive what was exported.
        progress: is told how far it has come.
        using: the database's alias. The caller has no transaction open in it.

    Raises:
        ArchiveRunningError: another run is at work.
        ArchiveError: the figures differ, a row stayed locked, or a file could not be written.
            Batches that were committed before stay archived.
    """
    started = perf_counter()
    if export_to is not None:
        require_folder(export_to)
    with lock_archive(using=using) as lock, recorded_run(before, using=using) as run:
        moved: dict[date, MovedMonth] = {}
        batches = 0
        for batch, rows, events in _move_batches(
            run,
            before=before,
            batch_size=batch_size,
            lock=lock,
            progress=progress or Progress(),
            using=using,
        ):
            known = moved.get(batch.month, MovedMonth(batch.month, 0, 0))
            moved[batch.month] = MovedMonth(
                batch.month, rows=known.rows + rows, events=known.events + events
            )
            batches += 1
        exported = (
            ()
            if export_to is None
            else export_months(export_to, now=now, delete=delete_exported, lock=lock, using=using)
        )
    return ArchiveReport(
        run=run,
        before=before,
        months=tuple(month for month in moved.values() if month.rows),
        batches=batches,
        exported=tuple(exported),
        seconds=round(perf_counter() - started, 3),
    )


def preview_archive(*, before: date, using: str = DEFAULT_DB_ALIAS) -> list[WaitingMonth]:
    """Return what `archive_usage` would move, by month. Writes nothing."""
    rows = query_archive("preview", using=using, before=before)
    return [WaitingMonth(month, rows=number, uses=int(uses)) for month, number, uses in rows]


def _move_batches(
    run: int, *, before: date, batch_size: int, lock: RunLock, progress: Progress, using: str
) -> Iterator[tuple[_Batch, int, int]]:
    """Move batch after batch; gives each with its rows and events."""
    listed = query_archive("list_batches", using=using, before=before, batch_size=batch_size)
    batches = [_Batch(*row) for row in listed]
    progress.begin(total=sum(batch.rows for batch in batches))
    done = 0
    for batch in batches:
        require_lock(lock)
        rows, events = _move_batch(run, batch, before=before, using=using)
        done += batch.rows
        progress.advance(done)
        yield batch, rows, events


def _move_batch(run: int, batch: _Batch, *, before: date, using: str) -> tuple[int, int]:
    """Move one batch, with patience for those who hold its rows."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic(using=using, durable=True):
                with connections[using].cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                query_archive("patience", using=using, lock_timeout=LOCK_TIMEOUT)
                [(rows, events)] = query_archive(
                    "move_batch", using=using, run=run, before=before, ids=batch.ids
                )
                return rows, events
        except DatabaseError as error:
            if sqlstate(error) == FIGURES_DIFFER:
                raise ArchiveError(explain_error(error)) from error
            if not passes(error, also=ENDED):
                raise
            if attempt == ATTEMPTS:
                raise ArchiveError(
                    f"rows of {batch.month:%Y-%m} stayed locked by others: {explain_error(error)}. "
                    "The batches that were committed stay: run it again for the rest."
                ) from error
        pause_before_next(attempt, first=BATCH_FIRST_PAUSE)
    raise AssertionError("the last attempt returns or raises")
