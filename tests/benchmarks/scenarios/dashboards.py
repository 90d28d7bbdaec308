"""What the dashboards read, with a ledger and with one ten times as large."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from tests.benchmarks.checking import find_usage_drift
from tests.benchmarks.measuring import milliseconds
from tests.benchmarks.peers import SENTINEL
from usage.reporting import report_month, report_user
from usage.reporting.refreshing import count_days

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Connection

NOW = datetime(2026, 3, 25, 12, tzinfo=UTC)
MONTHS = [date(2026, 2, 1), date(2026, 3, 1)]
FEATURES = ["pdf_exports_monthly", "saved_searches"]
EVENTS_OF_A_USER = len(MONTHS) * len(FEATURES)
GROWTH = 10  # times as many events in the end; users and months stay as they are
USERS = """
INSERT INTO public.users (id, email, password_hash, plan)
SELECT n, 'user' || n || '@example.org', '', 'PRO' FROM generate_series(2, %(users)s + 1) AS n
"""
EVENTS = """
INSERT INTO public.feature_usage_events (user_id, feature, occurred_at, source)
SELECT account.id, feature, month + (time || ' days')::interval, 'measured'
  FROM generate_series(0, %(times)s - 1) AS time
 CROSS JOIN public.users AS account
 CROSS JOIN unnest(%(months)s::date[]) AS month
 CROSS JOIN unnest(%(features)s::text[]) AS feature
"""
SUMS = """
INSERT INTO public.feature_usage AS month
       (user_id, feature, usage_count, period_start, period_end)
SELECT user_id, feature, sum(quantity), period_start,
       (period_start + interval '1 month - 1 day')::date
  FROM public.feature_usage_events
 GROUP BY user_id, feature, period_start
    ON CONFLICT (user_id, feature, period_start)
    DO UPDATE SET usage_count = excluded.usage_count
"""


def measure(bench: Bench) -> None:
    """Read the pages' figures, have the ledger grow, and read them again."""
    users = bench.sizes.reported_events // EVENTS_OF_A_USER
    pages: dict[str, Callable[[], object]] = {
        "a month": lambda: report_month(month=MONTHS[-1], now=NOW),
        "a user": lambda: report_user(user_id=users // 2 + 1, now=NOW),
    }
    with bench.database.connect() as connection:
        bench.create(connection, SENTINEL)
        connection.execute(USERS, {"users": users})
        for size, times in (("small ledger", 1), ("large ledger", GROWTH - 1)):
            _grow(connection, times)
            bench.tell(f"dashboards, {size}")
            for page, read in pages.items():
                if bench.sizes.warm_up:
                    read()
                values = [milliseconds(read) for _ in range(bench.sizes.rounds)]
                bench.keep(f"dashboard, {page}", size, *values, unit="ms")
        bench.drifts.append(find_usage_drift(connection, work="dashboards"))


def _grow(connection: Connection, times: int) -> None:
    """Have each user use each feature so many times more in each month. No trigger fires."""
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(EVENTS, {"times": times, "months": MONTHS, "features": FEATURES})
        connection.execute(SUMS)
    for month in MONTHS:
        count_days(month, now=NOW)
    # The months were written anew with their sums: without FULL they would be twice as many pages.
    connection.execute("VACUUM (FULL, ANALYZE) public.feature_usage")
    connection.execute("VACUUM (ANALYZE) public.feature_usage_events")
    connection.execute("CHECKPOINT")  # or what has grown would still be written while it is read
