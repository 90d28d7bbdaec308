"""Brings up to date what the reports and others read: the summary, the days, the refusals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from time import perf_counter
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from usage.archiving.summary import refresh_summary
from usage.reporting.months import find_months
from usage.reporting.queries import reporting_query

if TYPE_CHECKING:
    from datetime import date, datetime

# A month can be put beside that of a year ago, and that beside its own: more is nobody's need, and
# each row names a person.
REFUSAL_DAYS = 760


@dataclass(frozen=True, kw_only=True)
class RefreshReport:
    """What was refreshed.

    Attributes:
        summary_seconds: how long feature_usage_summary took.
        months: whose days were counted, the latest first.
        days_seconds: how long that took.
    """

    summary_seconds: float
    months: tuple[date, ...]
    days_seconds: float


def refresh_reports(
    *, now: datetime, every_month: bool = False, using: str = DEFAULT_DB_ALIAS
) -> RefreshReport:
    """Refresh the summary and count the days of this month and the last, while others read them.

    Args:
        now: the time, with a time zone.
        every_month: count the days of all months that have usage, archived ones included. Needed
            only where something was written into months that lie further back.
        using: the database's alias. The caller has no transaction open in it.

    Raises:
        SummaryRunningError, OperationalError, ProgrammingError: see `refresh_summary`.
    """
    summary_seconds = refresh_summary(using=using)
    started = perf_counter()
    this_month = now.astimezone(UTC).date().replace(day=1)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    months = find_months(now=now, using=using) if every_month else (this_month, last_month)
    for month in months:
        count_days(month, now=now, using=using)
    forget_refusals(before=this_month - timedelta(days=REFUSAL_DAYS), using=using)
    return RefreshReport(
        summary_seconds=summary_seconds,
        months=months,
        days_seconds=perf_counter() - started,
    )


def count_days(month: date, *, now: datetime, using: str = DEFAULT_DB_ALIAS) -> None:
    """Count the days of a month anew, in a transaction of its own, by the plans of this moment."""
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(reporting_query("count_days"), {"month": month, "now": now})


def forget_refusals(*, before: date, using: str = DEFAULT_DB_ALIAS) -> int:
    """Delete refusals of days before this one, and return how many rows that was."""
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(reporting_query("forget_refusals"), {"before": before})
        return int(cursor.rowcount)
