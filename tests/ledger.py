"""Writes events and months in plain SQL, and says what came of it."""

from __future__ import annotations

from typing import Any

from psycopg.sql import Composable

from sentinel.counters import audit_counter, find_counters
from tests.rows import execute, literal

USAGE = "feature_usage.usage_count"
MARCH = "2026-03-01"


def sql(statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run a statement with values, or pieces of SQL, in the place of the words in braces."""
    words = {
        name: value if isinstance(value, Composable) else literal(value)
        for name, value in values.items()
    }
    return execute(statement, **words)


def use(
    user: int, quantity: int = 1, *, feature: str = "map_export", at: str = "2026-03-15 12:00Z"
) -> int:
    """Append an event and return its id."""
    [(key,)] = sql(
        "INSERT INTO feature_usage_events (user_id, feature, quantity, occurred_at)"
        " VALUES ({user}, {feature}, {quantity}, {at}) RETURNING id",
        user=user,
        feature=feature,
        quantity=quantity,
        at=at,
    )
    return int(key)


def months() -> list[tuple[Any, ...]]:
    """Every month: feature, first day, number, in the order of the keys."""
    return sql(
        "SELECT feature, period_start::text, usage_count FROM feature_usage"
        " ORDER BY user_id, feature, period_start"
    )


def adopted() -> list[tuple[Any, ...]]:
    """What was adopted: month and quantity, in the order in which it was."""
    return sql(
        "SELECT period_start::text, quantity FROM feature_usage_events WHERE adopted ORDER BY id"
    )


def assert_exact() -> None:
    [counter] = find_counters([USAGE])
    report = audit_counter(counter)
    assert report.exact, report
