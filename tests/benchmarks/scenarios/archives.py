"""An archive run against a bare move of the same rows."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from django.utils import timezone

from tests.benchmarks.checking import find_usage_drift
from tests.benchmarks.measuring import milliseconds
from tests.benchmarks.peers import SENTINEL
from usage.archiving.archive import archive_usage

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Connection

EVENTS = 10  # of each month's row, a fifth of them with a key
OLD, LIVE = "2024-03-01", "2026-11-01"
BEFORE = date(2024, 4, 1)
USERS = """
INSERT INTO public.users (id, email, password_hash)
SELECT n, 'user' || n || '@example.org', '' FROM generate_series(2, %(users)s + 1) AS n
"""
MONTHS = """
INSERT INTO public.feature_usage (user_id, feature, usage_count, period_start, period_end)
SELECT n, 'map_export', %(events)s, %(month)s::date,
       (%(month)s::date + interval '1 month - 1 day')::date
  FROM generate_series(2, %(users)s + 1) AS n
"""
EVENTS_OF_MONTHS = """
INSERT INTO public.feature_usage_events (user_id, feature, occurred_at, idempotency_key)
SELECT n, 'map_export', %(month)s::date + interval '12 hours',
       CASE WHEN e %% 5 = 0 THEN concat_ws(' ', 'event', %(month)s, n, e) END
  FROM generate_series(2, %(users)s + 1) AS n CROSS JOIN generate_series(1, %(events)s) AS e
"""
BARE_TABLES = """
DROP SCHEMA IF EXISTS moved CASCADE;
CREATE SCHEMA moved;
CREATE TABLE moved.months (LIKE public.feature_usage INCLUDING ALL);
CREATE TABLE moved.events (LIKE public.feature_usage_events INCLUDING ALL);
CREATE TABLE moved.months_archive (LIKE public.feature_usage_archive INCLUDING ALL);
CREATE TABLE moved.events_archive (LIKE public.feature_usage_events_archive INCLUDING ALL);
INSERT INTO moved.months SELECT * FROM public.feature_usage;
"""


def measure(bench: Bench) -> None:
    """Archive one old month beside a live one of the same size."""
    with bench.database.connect() as connection:
        shared = _shared_columns(connection)
        bench.compare(
            "archive",
            {
                "bare": lambda: _move_bare(bench, connection, shared),
                "archive": lambda: _archive(bench, connection),
            },
            rounds=min(bench.sizes.rounds, 5),
            warm_up=False,
        )
        bench.drifts.append(find_usage_drift(connection, work="archive"))


def _fill(bench: Bench, connection: Connection) -> None:
    bench.create(connection, SENTINEL)
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        values = {"users": bench.sizes.archived_months, "events": EVENTS}
        connection.execute(USERS, values)
        for month in (OLD, LIVE):
            connection.execute(MONTHS, {**values, "month": month})
            connection.execute(EVENTS_OF_MONTHS, {**values, "month": month})
    connection.execute("VACUUM (ANALYZE) public.feature_usage, public.feature_usage_events")


def _archive(bench: Bench, connection: Connection) -> float:
    _fill(bench, connection)
    return milliseconds(lambda: archive_usage(before=BEFORE, now=timezone.now()))


def _shared_columns(connection: Connection) -> dict[str, str]:
    """Return the columns that a table and its archive have in common."""
    found = {}
    for table in ("feature_usage", "feature_usage_events"):
        [(columns,)] = connection.execute(
            """
            SELECT string_agg(quote_ident(kept.attname), ', ')
              FROM pg_attribute AS kept
              JOIN pg_attribute AS live
                ON live.attrelid = %s::regclass AND live.attname = kept.attname
             WHERE kept.attrelid = %s::regclass AND kept.attnum > 0 AND NOT kept.attisdropped
            """,
            [table, f"{table}_archive"],
        ).fetchall()
        found[table] = columns
    return found


def _move_bare(bench: Bench, connection: Connection, shared: dict[str, str]) -> float:
    """Two INSERTs and two DELETEs: no comparison, no triggers, no batches."""
    _fill(bench, connection)
    connection.execute(BARE_TABLES)
    events = shared["feature_usage_events"]
    insertable = ", ".join(name for name in events.split(", ") if name != "period_start")
    connection.execute(
        f"INSERT INTO moved.events ({insertable}) OVERRIDING SYSTEM VALUE"
        f" SELECT {insertable} FROM public.feature_usage_events"
    )
    connection.execute("VACUUM (ANALYZE) moved.months, moved.events")
    months = shared["feature_usage"]

    def move() -> None:
        with connection.transaction():
            for table, columns in (("months", months), ("events", events)):
                where = f"WHERE period_start < '{BEFORE}'"
                connection.execute(
                    f"INSERT INTO moved.{table}_archive ({columns}, archived_at, run_id)"
                    f" SELECT {columns}, now(), 1 FROM moved.{table} {where}"
                )
                connection.execute(f"DELETE FROM moved.{table} {where}")

    return milliseconds(move)
