"""The row that says who repairs, and what came of it."""

from __future__ import annotations

import os
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from django.db import connections, transaction
from psycopg.sql import Literal

from sentinel.counters.recording import execute, forget_old_records, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Outcome(StrEnum):
    """How a run ended. The batches that it made stay, whatever came of it."""

    RUNNING = "running"
    COMPLETE = "complete"  # nothing wrong is left
    INCOMPLETE = "incomplete"  # rows were skipped or left
    BROKEN = "broken"  # an error, Ctrl-C, or a kill that the next run has found


class RunUnderWay(NamedTuple):
    """Who repairs, and since when."""

    id: int
    started_at: str
    database_user: str
    host: str
    process: int
    backend: int
    rows_repaired: int


def begin_run(counters: Sequence[str], *, backend: int, using: str) -> int:
    """Keep who repairs what, and return the run's number.

    Args:
        counters: names of the counters.
        backend: the server's process that keeps other repairs out.
        using: the database's alias.
    """
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        execute(
            cursor,
            "begin_run",
            counters=to_json(counters),
            host=Literal(socket.gethostname()),
            process=Literal(os.getpid()),
            backend=Literal(backend),
        )
        [run] = cursor.fetchone()
    return int(run)


def end_run(
    run: int, *, outcome: Outcome, rows_skipped: int, rows_left: int, now: datetime, using: str
) -> None:
    """Keep how a run ended, and forget what is too old."""
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        execute(
            cursor,
            "end_run",
            run=Literal(run),
            outcome=Literal(str(outcome)),
            rows_skipped=Literal(rows_skipped),
            rows_left=Literal(rows_left),
        )
        forget_old_records(cursor, now=now)


def find_running(*, using: str) -> RunUnderWay | None:
    """Return the run that is under way; None where it has left no row yet."""
    with connections[using].cursor() as cursor:
        execute(cursor, "find_running")
        row = cursor.fetchone()
    return row and RunUnderWay(*row)
