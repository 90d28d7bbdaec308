"""Old and recent usage in a database whose commits are real."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.sql import Literal

from sentinel.counters import audit_counters, declared_counters
from tests.rows import execute, new_user
from usage.archiving.archive import ArchiveReport, archive_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2020, 9, 15, 12, tzinfo=UTC)
BEFORE = date(2020, 3, 1)  # six months before that
TABLES = """
    feature_usage, feature_usage_events, feature_usage_archive, feature_usage_events_archive,
    feature_usage_archived_keys, feature_usage_archive_runs, feature_usage_days,
    feature_usage_user_days, feature_usage_counted_months, feature_usage_refusals
"""
# What must stay the same, wherever it is: by month and feature uses, events and their quantity.
TOTALS = """
    SELECT period_start, feature, sum(uses), sum(events), sum(quantity)
      FROM (SELECT period_start, feature, coalesce(usage_count, 0) AS uses, 0 AS events,
                   0 AS quantity FROM feature_usage
            UNION ALL
            SELECT period_start, feature, coalesce(usage_count, 0), 0, 0 FROM feature_usage_archive
            UNION ALL
            SELECT period_start, feature, 0, 1, quantity FROM feature_usage_events
            UNION ALL
            SELECT period_start, feature, 0, 1, quantity FROM feature_usage_events_archive) AS known
     GROUP BY period_start, feature
     ORDER BY period_start, feature
"""
LEDGER = """
    SELECT 'month', to_jsonb(month) FROM feature_usage AS month
    UNION ALL
    SELECT 'event', to_jsonb(event) FROM feature_usage_events AS event
    UNION ALL
    SELECT 'key', to_jsonb(used) FROM feature_usage_archived_keys AS used
    ORDER BY 1, 2
"""


@pytest.fixture
def archive(committed: None) -> Iterator[None]:
    """An empty ledger and an empty archive, emptied again afterwards."""
    execute(f"TRUNCATE {TABLES}")
    yield
    execute(f"TRUNCATE {TABLES}")


def use(
    user: int, day: str, *, feature: str = "map_export", quantity: int = 1, key: str | None = None
) -> int:
    """Append an event, and return its id."""
    reason = "NULL" if quantity > 0 else "'given back'"
    [(event,)] = execute(
        "INSERT INTO feature_usage_events"
        " (user_id, feature, quantity, occurred_at, idempotency_key, reason)"
        f" VALUES ({{user}}, {{feature}}, {{quantity}}, {{day}}, {{key}}, {reason}) RETURNING id",
        user=Literal(user),
        feature=Literal(feature),
        quantity=Literal(quantity),
        day=Literal(f"{day} 12:00+00"),
        key=Literal(key),
    )
    return event


def use_for_a_year(users: int = 3) -> list[int]:
    """Two uses of two features by each user in each month from October 2019 to September 2020."""
    keys = [new_user() for _ in range(users)]
    for user in keys:
        execute(
            "INSERT INTO feature_usage_events (user_id, feature, occurred_at, idempotency_key)"
            " SELECT {user}, feature, month + interval '5 days', month || feature || number"
            " FROM generate_series(timestamptz '2019-10-01+00', '2020-09-01+00', '1 month')"
            " AS month, unnest(ARRAY['map_export', 'api_access']) AS feature,"
            " generate_series(1, 2) AS number",
            user=Literal(user),
        )
    return keys


def run_archive(**options: Any) -> ArchiveReport:
    return archive_usage(**{"before": BEFORE, "now": NOW} | options)


def live_months() -> list[str]:
    return [
        month
        for (month,) in execute(
            "SELECT DISTINCT to_char(period_start, 'YYYY-MM') FROM feature_usage ORDER BY 1"
        )
    ]


def assert_exact() -> None:
    reports = audit_counters(declared_counters())
    assert [report.counter for report in reports if report.rows_in_drift] == []
