"""Which months there are, and which days of them a report is about."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta

from django.db import DEFAULT_DB_ALIAS

from usage.reporting.queries import query_rows
from usage.reporting.records import Span


class ReportError(ValueError):
    """A report that means nothing, such as that of a month to come."""


def find_months(*, now: datetime, using: str = DEFAULT_DB_ALIAS) -> tuple[date, ...]:
    """Return the months that have usage, archived ones included, and this one: the latest first.

    Months to come, into which somebody may have written, are left out.
    """
    this_month = now.astimezone(UTC).date().replace(day=1)
    earlier = (month for (month,) in query_rows("months", using=using) if month < this_month)
    return (this_month, *earlier)


def find_span(month: date, *, now: datetime) -> Span:
    """Return which days a report of the month of this day is about.

    Raises:
        ReportError: the month is yet to come, or the time has no time zone.
    """
    if now.utcoffset() is None:
        raise ReportError(f"now={now!r} has no time zone: give one, such as datetime.now(UTC).")
    now = now.astimezone(UTC)
    first = month.replace(day=1)
    current = first == now.date().replace(day=1)
    if first > now.date():
        raise ReportError(f"{first:%Y-%m} is yet to come: this month is {now:%Y-%m}, in UTC.")
    days = monthrange(first.year, first.month)[1]
    through = now.date() if current else first.replace(day=days)
    previous = (first - timedelta(days=1)).replace(day=1)
    last = monthrange(previous.year, previous.month)[1]
    begun = datetime.combine(first, time(), UTC)
    return Span(
        month=first,
        through=through,
        days=days,
        elapsed=(now - begun) / timedelta(days=days) if current else 1.0,
        previous=previous,
        previous_through=previous.replace(day=min(now.day, last) if current else last),
        current=current,
    )


def next_month(month: date) -> date:
    """Return the first day of the month after that of this day."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)
