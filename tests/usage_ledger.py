"""A ledger of any size, and what the queries of the reports read of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

EVENTS = ("feature_usage_events", "feature_usage_events_archive")
FEATURES = ("chat_messages_monthly", "pdf_exports_monthly")

ADD_USERS = """
INSERT INTO users (email, name, password_hash, plan)
SELECT 'reader' || number || '@example.org', 'Reader ' || number, '',
       (ARRAY['FREE', 'PRO', 'BUSINESS', 'ENTERPRISE'])[1 + number %% 4]
  FROM generate_series(1, %(users)s) AS number
"""

# In the order of time, as a ledger grows. Each user uses each feature so many times.
ADD_EVENTS = """
INSERT INTO feature_usage_events (user_id, feature, quantity, occurred_at, source)
SELECT users.id, feature, 1,
       (%(month)s::date + (day || ' days')::interval
        + (users.id %% 86000 || ' seconds')::interval) AT TIME ZONE 'UTC', 'benchmark'
  FROM generate_series(0, %(times)s - 1) AS day
 CROSS JOIN users
 CROSS JOIN unnest(%(features)s::text[]) AS feature
 ORDER BY day, users.id
"""

ADD_MONTHS = """
INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
SELECT user_id, feature, sum(quantity), period_start,
       (period_start + interval '1 month' - interval '1 day')::date
  FROM feature_usage_events
 GROUP BY user_id, feature, period_start
"""

ADD_REFUSALS = """
INSERT INTO feature_usage_refusals (day, user_id, feature, plan, refusals, last_at)
SELECT %(month)s::date + users.id %% 20, users.id, 'api_access', users.plan, 1, now()
  FROM users
 WHERE users.plan = 'PRO'
    ON CONFLICT DO NOTHING
"""


def add_users(number: int) -> None:
    """Add users, a quarter of them on each plan."""
    run(ADD_USERS, users=number)


def grow_ledger(*, months: list[date], times: int, summed: bool = True) -> None:
    """Have each user use each feature so many times in each of these months.

    The triggers are off: a million events are seconds instead of minutes. The months are summed up
    afterwards, as the triggers would have, unless they are to stay as they are. The caller's
    transaction ends with the triggers off.
    """
    run("SET LOCAL session_replication_role = replica")
    for month in months:
        run(ADD_EVENTS, month=month, times=times, features=list(FEATURES))
        run(ADD_REFUSALS, month=month)
    if summed:
        run(ADD_MONTHS)


def run(statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run a statement with its values."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a page's queries read.

    Attributes:
        queries: how many there were.
        events: how many rows of the ledger and its archive they read, those included that a filter
            took away.
        blocks: how many blocks of 8 kB they read of anything, which is the same on a busy machine.
    """

    queries: int
    events: int
    blocks: int


def measure_reading(page: Callable[[], object]) -> Reading:
    """Run what a page asks, and look up what each of its queries reads."""
    with CaptureQueriesContext(connection) as captured:
        page()
    asked = [
        query["sql"]
        for query in captured.captured_queries
        if query["sql"].lstrip().upper().startswith(("SELECT", "WITH"))
    ]
    plans = [_plan_of(query) for query in asked]
    return Reading(
        queries=len(asked),
        events=sum(_events_read(plan) for plan in plans),
        blocks=sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans),
    )


def _plan_of(query: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) " + query.replace("%", "%%"), ()
        )
        [(found,)] = cursor.fetchall()
    document = found if isinstance(found, list) else json.loads(found)
    plan: dict[str, Any] = document[0]["Plan"]
    return plan


def _events_read(plan: dict[str, Any]) -> int:
    return sum(
        round(
            node.get("Actual Loops", 1)
            * (
                node.get("Actual Rows", 0)
                + node.get("Rows Removed by Filter", 0)
                + node.get("Rows Removed by Index Recheck", 0)
            )
        )
        for node in _nodes(plan)
        if node.get("Relation Name") in EVENTS
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)
