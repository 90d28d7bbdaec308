"""Repair: makes wrong counters right under live traffic, batch by batch."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, DataError, Error, connections, transaction
from psycopg.sql import Literal

from sentinel.counters.audit import DEFAULT_SAMPLE, audit_counter
from sentinel.counters.health import find_problems
from sentinel.counters.repair_batch import Batch, BatchRepair
from sentinel.counters.repair_lock import lock_repairs
from sentinel.counters.repair_pace import Pace
from sentinel.counters.repair_report import RepairReport, RepairRunReport
from sentinel.counters.repair_run import Outcome, begin_run, end_run
from sentinel.counters.selection import refused_keys
from sentinel.counters.statements import render
from sentinel.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from psycopg.sql import Composable

    from sentinel.counters.audit import CounterReport
    from sentinel.counters.binding import BoundCounter
    from sentinel.counters.problems import Problem
    from sentinel.counters.repair_batch import SkippedRows
    from sentinel.counters.repair_lock import RepairLock
    from sentinel.counters.selection import Selection

# Rows. Whoever writes one of them waits for one batch, some 10 ms: what writers lose grows with the
# square of it, since a larger batch is met more often and waited for longer.
DEFAULT_BATCH_SIZE = 250
# Batches in one transaction while nobody is slowed down by it, or slows it down: some 30 ms. A
# transaction costs as much as sixty rows, so more of them would save little.
MOST_TOGETHER = 4


@dataclass(kw_only=True)
class _Task:
    """One counter, while it is repaired."""

    counter: BoundCounter
    problems: tuple[Problem, ...]
    batches: list[Batch]
    rows_unlisted: int
    seconds: float
    rows_left: int = 0
    rows_repaired: int = 0
    skipped: list[SkippedRows] = field(default_factory=list)

    @property
    def rows_found(self) -> int:
        return sum(batch.rows for batch in self.batches)

    @property
    def rows_skipped(self) -> int:
        return sum(len(skipped.keys) for skipped in self.skipped)

    def report(self) -> RepairReport:
        return RepairReport(
            counter=self.counter.name,
            rows_found=self.rows_found,
            rows_repaired=self.rows_repaired,
            rows_skipped=self.rows_skipped,
            rows_left=self.rows_left,
            rows_unlisted=self.rows_unlisted,
            seconds=round(self.seconds, 3),
            skipped=tuple(self.skipped),
            problems=self.problems,
        )


def repair_counters(
    selections: Sequence[Selection],
    *,
    now: datetime,
    batch_size: int | None = None,
    max_batches: int | None = None,
    pause: float | None = None,
    progress: Progress | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> RepairRunReport:
    """Repair rows in drift. Others go on writing; each of them waits for one batch at most.

    Only rows in drift are locked and written. Every batch is a transaction of its own: after a kill
    at any moment whole batches stay, and a second run does the rest.

    Args:
        selections: see `select_rows`.
        now: records that are too old by then are forgotten.
        batch_size: rows of a batch; None for 250, and up to four times as many in one transaction
            while nobody else is at work.
        max_batches: end after so many; None for all.
        pause: seconds between two batches; None to rest as `Pace` finds it.
        progress: is told how far it has come.
        using: the database's alias. The caller has no transaction open in it.

    Raises:
        RepairRunningError: another repair is at work.
        RepairLockLostError: the lock that keeps others out was taken away.
        SelectionError: a key does not fit its column. Nothing has been written.
        DatabaseError: see `BatchRepair.repair`.
    """
    started = perf_counter()
    progress = progress or Progress()
    tasks: list[_Task] = []
    with lock_repairs(using=using) as lock:
        counters = [selection.counter.name for selection in selections]
        run = begin_run(counters, backend=lock.backend, using=using)

        def end(outcome: Outcome) -> None:
            skipped = sum(task.rows_skipped for task in tasks)
            left = sum(task.rows_left + task.rows_unlisted for task in tasks)
            end_run(
                run, outcome=outcome, rows_skipped=skipped, rows_left=left, now=now, using=using
            )

        try:
            tasks += [
                _find_work(selection, batch_size=batch_size or DEFAULT_BATCH_SIZE, using=using)
                for selection in selections
            ]
            batches = _work_off(
                tasks,
                run=run,
                lock=lock,
                max_batches=max_batches,
                most_together=MOST_TOGETHER if batch_size is None else 1,
                pause=pause,
                progress=progress,
                using=using,
            )
        except BaseException:
            with suppress(Error):  # where the connection is lost, the next run says so
                end(Outcome.BROKEN)
            raise
        reports = tuple(task.report() for task in tasks)
        complete = all(report.complete for report in reports)
        end(Outcome.COMPLETE if complete else Outcome.INCOMPLETE)
    return RepairRunReport(
        run=run,
        batches=batches,
        seconds=round(perf_counter() - started, 3),
        counters=reports,
    )


def preview_repair(
    selections: Sequence[Selection],
    *,
    sample: int = DEFAULT_SAMPLE,
    using: str = DEFAULT_DB_ALIAS,
) -> Iterator[CounterReport]:
    """Return what a repair would find: an audit of the selected rows. Writes nothing.

    Args:
        selections: see `select_rows`.
        sample: how many rows to return at most for each counter, those that are furthest off.
        using: the database's alias.

    Raises:
        SelectionError: a key does not fit its column.
    """
    for selection in selections:
        try:
            yield audit_counter(
                selection.counter, among=selection.among, sample=sample, using=using
            )
        except DataError as error:
            raise refused_keys(selection.counter, error) from error


def find_batches(counter: BoundCounter, *, among: Composable | None, size: int) -> Composable:
    """Return the query that finds the keys of all rows in drift, cut into batches.

    It is asked once: one comparison, one snapshot, no lock. A comparison for each batch would read
    the whole table every time. What is kept is the text of the keys, 8 MB for a million of them.
    """
    return render(
        "repair",
        "find_batches",
        comparison=counter.comparison(among),
        differs=render("audit", "differs"),
        batch_size=Literal(size),
    )


def _find_work(selection: Selection, *, batch_size: int, using: str) -> _Task:
    started = perf_counter()
    counter = selection.counter
    batches: list[Batch] = []
    problems = find_problems(counter, using=using)
    if not problems:
        query = find_batches(counter, among=selection.among, size=batch_size)
        try:
            with transaction.atomic(using=using), connections[using].cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
                cursor.execute(query.as_string(None))
                batches = [Batch(*row) for row in cursor.fetchall()]
        except DataError as error:
            raise refused_keys(counter, error) from error
    return _Task(
        counter=counter,
        problems=tuple(problems),
        batches=batches,
        rows_unlisted=selection.unlisted,
        seconds=perf_counter() - started,
    )


def _work_off(
    tasks: Sequence[_Task],
    *,
    run: int,
    lock: RepairLock,
    max_batches: int | None,
    most_together: int,
    pause: float | None,
    progress: Progress,
    using: str,
) -> int:
    """Repair batch after batch, and return how many."""
    progress.begin(total=sum(task.rows_found for task in tasks))
    done = rows = 0
    rest = 0.0
    for task in tasks:
        pace = Pace(pause=pause, most_together=most_together)
        batches = BatchRepair(counter=task.counter, run=run, using=using)
        waiting = deque(task.batches)
        while waiting and done != max_batches:
            batch = waiting.popleft()
            more = min(pace.together - 1, len(waiting))
            batch = batch.joined(waiting.popleft() for _ in range(more))
            time.sleep(rest)
            lock.require()
            started = perf_counter()
            result = batches.repair(batch)
            seconds = perf_counter() - started
            rest = pace.rest(seconds=seconds, rows=result.rows_repaired)
            task.seconds += seconds
            task.rows_repaired += result.rows_repaired
            task.skipped += result.skipped
            done += 1
            rows += batch.rows
            progress.advance(rows)
        task.rows_left += sum(batch.rows for batch in waiting)
    return done
