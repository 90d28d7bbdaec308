"""Users, uses and refusals that reports are made of."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.ledger import sql, use
from tests.rows import new_user
from usage.reporting import report_month
from usage.reporting.refreshing import count_days

if TYPE_CHECKING:
    from usage.reporting import MonthReport

# The tenth of a month: 9.5 days of 31 are over.
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
MARCH, FEBRUARY = date(2026, 3, 1), date(2026, 2, 1)

TABLES = (
    "feature_usage_days",
    "feature_usage_user_days",
    "feature_usage_counted_months",
    "feature_usage_refusals",
)

__all__ = [
    "FEBRUARY",
    "MARCH",
    "NOW",
    "count",
    "nothing_counted",
    "refuse",
    "report",
    "use",
    "user_of",
]


@pytest.fixture
def nothing_counted(db: None) -> None:
    """Nothing that a test with real commits has left."""
    for table in TABLES:
        sql(f"DELETE FROM {table}")


def user_of(plan: str | None = "PRO", **columns: Any) -> int:
    """Add a user of a plan."""
    key = new_user()
    for name, value in ({"plan": plan} | columns).items():
        sql(f"UPDATE users SET {name} = {{value}} WHERE id = {{key}}", value=value, key=key)
    return key


def refuse(
    user: int, times: int = 1, *, day: str, feature: str = "api_access", plan: str = "PRO"
) -> None:
    """Add refusals of a day."""
    sql(
        "INSERT INTO feature_usage_refusals (day, user_id, feature, plan, refusals, last_at)"
        " VALUES ({day}, {user}, {feature}, {plan}, {times}, {day}::timestamp AT TIME ZONE 'UTC')",
        day=day,
        user=user,
        feature=feature,
        plan=plan,
        times=times,
    )


def count(*months: date, now: datetime = NOW) -> None:
    """Count the days of March and February, or of these months."""
    for month in months or (MARCH, FEBRUARY):
        count_days(month, now=now)


def report(month: date = MARCH, **options: Any) -> MonthReport:
    """Report March as of its tenth day, or another month."""
    return report_month(**{"month": month, "now": NOW} | options)
