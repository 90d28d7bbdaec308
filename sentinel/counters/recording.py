"""Keeps what audits found and what repairs changed, and forgets it when it is old."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from pgtrigger import features
from psycopg.sql import Identifier, Literal

from sentinel.counters.binding import json_text
from sentinel.counters.statements import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.utils import CursorWrapper
    from psycopg.sql import Composable

    from sentinel.counters.audit import CounterReport

RETENTION_DAYS = 90  # a quarter: longer than anybody looks for what made a counter drift
FORGOTTEN_AT_ONCE = 10_000  # rows of a table; a fraction of a second


class RecordingError(Exception):
    """An audit could not be recorded; it holds all the same."""


def record_audits(
    reports: Sequence[CounterReport], *, now: datetime, using: str = DEFAULT_DB_ALIAS
) -> None:
    """Keep what an audit found, in a transaction of its own, and forget what is too old.

    Raises:
        RecordingError: the role may not write, the table is not there, the server is a standby.
    """
    audits = [
        {
            "counter": report.counter,
            "exact": report.exact,
            "rows_checked": report.rows_checked,
            "rows_in_drift": report.rows_in_drift,
            "largest_drift": report.largest_drift,
            "summed_drift": report.summed_drift,
            "problems": [asdict(problem) for problem in report.problems],
            "seconds": report.seconds,
        }
        for report in reports
    ]
    try:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            execute(cursor, "patience")
            execute(cursor, "record_audits", audits=to_json(audits), now=Literal(now))
            forget_old_records(cursor, now=now)
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0]
        raise RecordingError(
            f"the audit was not recorded: {reason} (--no-record leaves it out)"
        ) from error


def forget_old_records(cursor: CursorWrapper, *, now: datetime, days: int | None = None) -> None:
    """Delete records that are older than the retention, a bounded number of each kind.

    Whoever adds records deletes old ones, so nothing else has to be scheduled.

    Args:
        cursor: the deletion is a part of its transaction.
        now: the time from which the age is counted.
        days: how long to keep them, 0 for ever; the setting SENTINEL_RECORD_RETENTION_DAYS if
            not given.
    """
    if days is None:
        days = getattr(settings, "SENTINEL_RECORD_RETENTION_DAYS", RETENTION_DAYS)
    if not days:
        return
    words = {"before": Literal(now - timedelta(days=days)), "at_most": Literal(FORGOTTEN_AT_ONCE)}
    for query in ("delete_old_audits", "delete_old_repairs", "delete_old_runs"):
        execute(cursor, query, **words)


def execute(cursor: CursorWrapper, query: str, **words: Composable) -> None:
    """Run a query of `sql/records.sql`."""
    words = {"schema": Identifier(features.schema()), **words}
    cursor.execute(render("records", query, **words).as_string(None))


def to_json(value: Sequence[Any]) -> Composable:
    """The SQL of a value as a JSON document."""
    return json_text(json.dumps(value))
