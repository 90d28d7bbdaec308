"""One batch of a repair: lock, compare, write, compare again, record, in one transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import DatabaseError, connections, transaction
from psycopg.sql import SQL, Identifier, Literal

from sentinel.counters.binding import json_text
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
        lock = counter.lock_parents(among, skip_locked=skip_locked)
        [locked] = _fetch(cursor, render("repair", "lock_batch", lock_parents=lock))
        repaired, still_wrong = _fetch(cursor, _repair_query(counter, locked, run=run))
        skipped = [_skipped(still_wrong, STILL_WRONG)]
        if skip_locked:
            held = _without(batch.keys, locked)
            [held_and_wrong] = _fetch(cursor, _compare_query(counter, "find_wrong", held))
            skipped.append(_skipped(held_and_wrong, LOCKED))
    return BatchResult(rows_repaired=repaired, skipped=tuple(rows for rows in skipped if rows.keys))


def _begin(cursor: CursorWrapper, counter: BoundCounter, among: Composable) -> None:
    """Make what is to be locked, and settings for this transaction alone.

    Locking and comparing are two statements with a snapshot each: that takes READ COMMITTED.
    `statement_timeout` is left as the role or the server has it: a batch is to keep to it too.
    """
    cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    missing = counter.add_missing_parents(among)
    if missing is not None:  # before the settings: what is new holds 0, and is repaired below
        cursor.execute(missing.as_string(None))
    settings = {"lock_timeout": LOCK_TIMEOUT, **counter.repair_settings}
    cursor.execute(named_queries("repair")["set_for_transaction"], [json.dumps(settings)])


def _repair_query(counter: BoundCounter, locked: str, *, run: int) -> Composable:
    def by_column(values: str) -> Composable:
        """A JSON object with the values of an array."""
        pairs = [
            SQL("{}, {}.{}[{}]").format(
                Literal(column), Identifier("came"), Identifier(values), Literal(place)
            )
            for place, column in enumerate(counter.stored_columns, start=1)
        ]
        return SQL("jsonb_build_object({})").format(SQL(", ").join(pairs))

    return _compare_query(
        counter,
        "repair_batch",
        locked,
        rewrite=counter.rewrite(SQL("(SELECT coalesce(jsonb_agg(key), '[]') FROM wrong)")),
        row_key=counter.row_key,
        run=Literal(run),
        before=by_column("before"),
        after=by_column("after"),
    )


def _compare_query(counter: BoundCounter, name: str, keys: str, **words: Composable) -> Composable:
    """A query about the rows with some keys, what is stored in them and what it should be."""
    return counter.render(
        "repair",
        name,
        comparison=counter.comparison(json_text(keys)),
        differs=render("audit", "differs"),
        **words,
    )


def _fetch(cursor: CursorWrapper, query: Composable) -> tuple[Any, ...]:
    cursor.execute(query.as_string(None))
    [row] = cursor.fetchall()
    return tuple(row)


def _skipped(keys: str, reason: str) -> SkippedRows:
    return SkippedRows(keys=tuple(json.loads(keys)), reason=reason)


def _without(keys: str, others: str) -> str:
    """Return the keys of a JSON array that another one has not."""
    left_out = {json.dumps(key) for key in json.loads(others)}
    return json.dumps([key for key in json.loads(keys) if json.dumps(key) not in left_out])
