"""One batch of a repair: lock, compare, write, compare again, record, in one transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
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
    from collections.abc import Iterable, Mapping

    from django.db.backends.utils import CursorWrapper
    from psycopg.sql import Composable

    from sentinel.counters.binding import BoundCounter, Key

LOCK_TIMEOUT = "500ms"  # below deadlock_timeout (1 s): the repair gives way, not a writer
REFUSING = {"09", "22", "23", "27", "P0"}  # classes of errors that triggers and constraints raise

LOCKED = "locked by another transaction"
BATCH = SQL("current_setting('sentinel.batch')::jsonb")  # the keys

STILL_WRONG = "still wrong after the write: a trigger of others, or a writer without triggers"


class Batch(NamedTuple):
    """Rows that are repaired in one transaction.

    Attributes:
        keys: their keys, a JSON array.
        rows: how many.
    """

    keys: str
    rows: int

    def joined(self, others: Iterable[Batch]) -> Batch:
        """Return this batch and others as one."""
        batches = (self, *others)
        keys = ", ".join(batch.keys.strip()[1:-1] for batch in batches)
        return Batch(keys=f"[{keys}]", rows=sum(batch.rows for batch in batches))


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


@dataclass(frozen=True, kw_only=True)
class BatchRepair:
    """Repairs batches of rows of one counter.

    What differs from batch to batch, the keys, stands in a setting of the transaction: every
    statement is the same text each time, and is put together once.

    Attributes:
        counter: whose rows they are.
        run: the key of the run that is recorded with each row.
        using: the database's alias.
    """

    counter: BoundCounter
    run: int
    using: str

    def repair(self, batch: Batch) -> BatchResult:
        """Repair rows, with patience for those who hold them.

        What passes (a lock, a deadlock, a cancelled statement) is tried again; the last attempt
        leaves out what is locked, so that one row does not keep the others wrong.

        Raises:
            DatabaseError: anything that the next batch would meet as well, such as a lost
                connection or a missing right. The batch is rolled back.
        """
        reason = ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with transaction.atomic(using=self.using, durable=True):
                    return self._write(batch, skip_locked=attempt == ATTEMPTS)
            except DatabaseError as error:
                passing = passes(error, also=ENDED)
                if not passing and sqlstate(error)[:2] not in REFUSING:
                    raise
                reason = str(error).strip().splitlines()[0]
            if not passing:
                break
            if attempt < ATTEMPTS:
                pause_before_next(attempt, first=BATCH_FIRST_PAUSE)
        keys = tuple(json.loads(batch.keys))
        return BatchResult(skipped=(SkippedRows(keys=keys, reason=reason),))

    def _write(self, batch: Batch, *, skip_locked: bool) -> BatchResult:
        with connections[self.using].cursor() as cursor:
            self._begin(cursor, batch)
            [locked] = _fetch(cursor, self._skip_locked if skip_locked else self._lock)
            repaired, still_wrong = _fetch(cursor, self._rewrite)
            skipped = [_skipped(still_wrong, STILL_WRONG)]
            if skip_locked:
                held = json_text(_without(batch.keys, locked))
                find_wrong = _compare(self.counter, "find_wrong", held).as_string(None)
                [held_and_wrong] = _fetch(cursor, find_wrong)
                skipped.append(_skipped(held_and_wrong, LOCKED))
        skipped_rows = tuple(rows for rows in skipped if rows.keys)
        return BatchResult(rows_repaired=repaired, skipped=skipped_rows)

    def _begin(self, cursor: CursorWrapper, batch: Batch) -> None:
        """Make what is to be locked, and settings for this transaction alone.

        Locking and comparing are two statements with a snapshot each: that takes READ COMMITTED.
        `statement_timeout` is left as the role or the server has it: a batch is to keep to it too.
        """
        cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        settings = {"lock_timeout": LOCK_TIMEOUT, "sentinel.batch": batch.keys}
        if self._add_missing:  # before the others: what is new holds 0, and is repaired below
            _set(cursor, settings)
            cursor.execute(self._add_missing)
        _set(cursor, {**settings, **self.counter.repair_settings})

    @cached_property
    def _add_missing(self) -> str:
        missing = self.counter.add_missing_parents(BATCH)
        return "" if missing is None else missing.as_string(None)

    @cached_property
    def _lock(self) -> str:
        lock = self.counter.lock_parents(BATCH)
        return render("repair", "lock_batch", lock_parents=lock).as_string(None)

    @cached_property
    def _skip_locked(self) -> str:
        lock = self.counter.lock_parents(BATCH, skip_locked=True)
        return render("repair", "lock_batch", lock_parents=lock).as_string(None)

    @cached_property
    def _rewrite(self) -> str:
        query = _compare(
            self.counter,
            "repair_batch",
            BATCH,
            rewrite=self.counter.restore(),
            row_key=self.counter.row_key,
            run=Literal(self.run),
            before=_by_column(self.counter, "before"),
            after=_by_column(self.counter, "after"),
        )
        return query.as_string(None)


def _by_column(counter: BoundCounter, values: str) -> Composable:
    """A JSON object with the values of an array."""
    pairs = [
        SQL("{}, {}.{}[{}]").format(
            Literal(column), Identifier("came"), Identifier(values), Literal(place)
        )
        for place, column in enumerate(counter.stored_columns, start=1)
    ]
    return SQL("jsonb_build_object({})").format(SQL(", ").join(pairs))


def _compare(
    counter: BoundCounter, name: str, among: Composable, **words: Composable
) -> Composable:
    """A query about the rows with some keys, what is stored in them and what it should be."""
    return counter.render(
        "repair",
        name,
        comparison=counter.comparison(among),
        differs=render("audit", "differs"),
        **words,
    )


def _set(cursor: CursorWrapper, settings: Mapping[str, str]) -> None:
    cursor.execute(named_queries("repair")["set_for_transaction"], [json.dumps(settings)])


def _fetch(cursor: CursorWrapper, query: str) -> tuple[Any, ...]:
    cursor.execute(query)
    [row] = cursor.fetchall()
    return tuple(row)


def _skipped(keys: str, reason: str) -> SkippedRows:
    return SkippedRows(keys=tuple(json.loads(keys)), reason=reason)


def _without(keys: str, others: str) -> str:
    """Return the keys of a JSON array that another one has not."""
    left_out = {json.dumps(key) for key in json.loads(others)}
    return json.dumps([key for key in json.loads(keys) if json.dumps(key) not in left_out])
