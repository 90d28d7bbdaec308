"""One batch of a repair: lock, compare, write, compare again, record, in one transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from django.db import DatabaseError, connections, transaction

from sentinel.counters.binding import json_text
from sentinel.counters.recording import RepairedRow, record_batch
from sentinel.counters.statements import named_queries, render
from sentinel.retries import (
    ATTEMPTS,
    BATCH_FIRST_PAUSE,
    ENDED,
    passes,
    pause_before_next,
    sqlstate,
)

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper
    from psycopg.sql import Composable

    from sentinel.counters.binding import BoundCounter, Key

LOCK_TIMEOUT = "500ms"  # below deadlock_timeout (1 s): the repair gives way, not a writer
REFUSING = {"09", "22", "23", "27", "P0"}  # classes of errors that triggers and constraints raise

LOCKED = "locked by another transaction"
STILL_WRONG = "still wrong after the write: a trigger of others, or a writer without triggers"


class Batch(NamedTuple):
    """Rows that are repaired in one transaction.

    Attributes:
        keys: their keys, a JSON array.
        rows: how many.
    """

    keys: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class SkippedRows:
    """Rows that a repair could not make right.

    Attributes:
        keys: their keys.
        reason: what kept them from it.
    """

    keys: tuple[Key, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """What became of a batch. Rows in neither were right, or gone, when they were locked."""

    rows_repaired: int = 0
    skipped: tuple[SkippedRows, ...] = ()


class _ComparedRow(NamedTuple):
    key: str  # as JSON
    stored: list[int | None]
    actual: int
    differs: bool


def repair_batch(counter: BoundCounter, batch: Batch, *, run: int, using: str) -> BatchResult:
    """Repair rows, with patience for those who hold them.

    What passes (a lock, a deadlock, a cancelled statement) is tried again; the last attempt leaves
    out what is locked, so that one row does not keep the others wrong.

    Raises:
        DatabaseError: anything that the next batch would meet as well, such as a lost connection or
            a missing right. The batch is rolled back.
    """
    reason = ""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic(using=using, durable=True):
                return _write_batch(
                    counter, batch, run=run, using=using, skip_locked=attempt == ATTEMPTS
                )
        except DatabaseError as error:
            passing = passes(error, also=ENDED)
            if not passing and sqlstate(error)[:2] not in REFUSING:
                raise
            reason = str(error).strip().splitlines()[0]
        if not passing:
            break
        if attempt < ATTEMPTS:
            pause_before_next(attempt, first=BATCH_FIRST_PAUSE)
    return BatchResult(skipped=(SkippedRows(keys=tuple(json.loads(batch.keys)), reason=reason),))


def _write_batch(
    counter: BoundCounter, batch: Batch, *, run: int, using: str, skip_locked: bool
) -> BatchResult:
    among = json_text(batch.keys)
    with connections[using].cursor() as cursor:
        _begin(cursor, counter, among)
        cursor.execute(counter.lock_parents(among, skip_locked=skip_locked).as_string(None))
        locked = [key for (key,) in cursor.fetchall()]
        before = [row for row in _compare(cursor, counter, _array(locked)) if row.differs]
        if before:
            wrong = _array([row.key for row in before])
            cursor.execute(counter.rewrite(wrong).as_string(None))
        after = {row.key: row for row in _compare(cursor, counter, among)}
        repaired = [
            RepairedRow(key=row.key, before=row.stored, after=after[row.key].stored)
            for row in before
            if row.key in after and not after[row.key].differs
        ]
        record_batch(cursor, counter, repaired, run=run)
    skipped = [
        (STILL_WRONG if key in locked else LOCKED, key) for key, row in after.items() if row.differs
    ]
    return BatchResult(
        rows_repaired=len(repaired),
        skipped=tuple(
            SkippedRows(reason=reason, keys=tuple(json.loads(key) for _, key in rows))
            for reason, rows in groupby(sorted(skipped), key=lambda pair: pair[0])
        ),
    )


def _begin(cursor: CursorWrapper, counter: BoundCounter, among: Composable) -> None:
    """Make what is to be locked, and settings for this transaction alone.

    Locking and comparing are two statements with a snapshot each: that takes READ COMMITTED.
    `statement_timeout` is left as the role or the server has it: a batch is to keep to it too.
    """
    cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    missing = counter.add_missing_parents(among)
    if missing is not None:  # before the settings: what is new holds 0, and is repaired below
        cursor.execute(missing.as_string(None))
    for name, value in {"lock_timeout": LOCK_TIMEOUT, **counter.repair_settings}.items():
        cursor.execute(named_queries("repair")["set_for_transaction"], [name, value])


def _compare(cursor: CursorWrapper, counter: BoundCounter, among: Composable) -> list[_ComparedRow]:
    query = render(
        "repair",
        "compare_batch",
        comparison=counter.comparison(among),
        differs=render("audit", "differs"),
    )
    cursor.execute(query.as_string(None))
    return [_ComparedRow(*row) for row in cursor.fetchall()]


def _array(keys: list[str]) -> Composable:
    return json_text(f"[{','.join(keys)}]")
