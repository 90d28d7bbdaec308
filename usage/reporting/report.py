"""The report of a month."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS

from usage.reporting.months import find_span
from usage.reporting.queries import one_snapshot, query_rows
from usage.reporting.reading import (
    month_values,
    read_limit,
    read_refusal,
    read_user,
    share_of,
    title_of,
)
from usage.reporting.records import Comparison, DayLine, FeatureLine, MonthReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from usage.reporting.records import Span

    Rows = Sequence[tuple[Any, ...]]

# What fits on a page beside the other tables; the lists have all of them.
LISTED = 10


def report_month(
    *,
    month: date,
    now: datetime,
    plan: str | None = None,
    listed: int = LISTED,
    using: str = DEFAULT_DB_ALIAS,
) -> MonthReport:
    """Report how features were used in a month, in a number of queries that is always the same.

    Args:
        month: a day of it.
        now: the time, with a time zone: it says how much of this month is over.
        plan: whose usage, by today's plans; None for all.
        listed: how many of the most active users, and of those near their limits, are listed.
        using: the database's alias.

    Raises:
        ReportError: the month is yet to come, or the time has no time zone.
    """
    span = find_span(month, now=now)
    values = month_values(span, plan=plan, now=now) | {"listed": max(1, listed)}
    names = ("features", "most_active", "nearest_limits", "days", "before", "refused")
    with one_snapshot(using=using):
        found = {name: query_rows(name, using=using, **values) for name in names}
    [(active, near, at, refusals, counted_at, previous_counted_at, since)] = found["before"]
    known = previous_counted_at is not None
    users, limits = found["most_active"], found["nearest_limits"]
    lines, near_now, at_now = limits[0][:3]
    features = _read_features(found["features"], found["days"], span=span, known=known)
    total = sum(line.uses.current for line in features)
    before = sum(
        uses
        for day, uses in _days_of(found["days"], span.previous).items()
        if day <= span.previous_through
    )
    refused = tuple(map(read_refusal, found["refused"]))

    def compare(current: int, before: int) -> Comparison:
        return Comparison(current=current, before=before if known else None)

    return MonthReport(
        span=span,
        plan=plan,
        uses=compare(total, before),
        active_users=compare(users[0][7] if users else 0, active),
        refusals=Comparison(
            current=sum(line.refusals for line in refused),
            before=refusals if since is not None and since <= span.previous_through else None,
        ),
        near_limit=compare(near_now, near - at),
        at_limit=compare(at_now, at),
        features=features,
        days=_read_days(found["days"], span=span, counted=counted_at is not None, known=known),
        users=tuple(read_user(row, total=total) for row in users[:listed]),
        limits=tuple(read_limit(row[3:], span=span) for row in limits[:listed] if lines),
        limits_total=lines,
        refused=refused,
        listed=listed,
        archived=any(archived for *_, archived in found["features"]),
        counted_at=counted_at,
        refusals_since=since,
    )


def _read_features(
    features: Rows, days: Rows, *, span: Span, known: bool
) -> tuple[FeatureLine, ...]:
    """Put uses of the month beside those of the month before, and features of that one alone."""
    before: dict[str, int] = {}
    for month, day, feature, uses in days:
        if month == span.previous and day <= span.previous_through:
            before[feature] = before.get(feature, 0) + uses
    current = {feature: (uses, users) for feature, uses, users, _ in features}
    total = sum(uses for uses, _ in current.values())
    return tuple(
        FeatureLine(
            feature=feature,
            title=title_of(feature),
            uses=Comparison(
                current=current.get(feature, (0, 0))[0],
                before=before.get(feature, 0) if known else None,
            ),
            users=current.get(feature, (0, 0))[1],
            share=share_of(current.get(feature, (0, 0))[0], total),
        )
        for feature in (*current, *sorted(before.keys() - current.keys()))
    )


def _read_days(days: Rows, *, span: Span, counted: bool, known: bool) -> tuple[DayLine, ...]:
    """Return a line for each day that one of the two months has."""
    this, last = _days_of(days, span.month), _days_of(days, span.previous)
    last_of_previous = (span.month - timedelta(days=1)).day
    return tuple(
        DayLine(
            number=number,
            uses=this.get(span.month + timedelta(days=number - 1), 0)
            if counted and number <= span.through.day
            else None,
            before=last.get(span.previous + timedelta(days=number - 1), 0)
            if known and number <= last_of_previous
            else None,
        )
        for number in range(1, max(span.days, last_of_previous) + 1)
    )


def _days_of(days: Rows, month: date) -> dict[date, int]:
    """Add up the features of each day of a month."""
    summed: dict[date, int] = {}
    for of, day, _, uses in days:
        if of == month:
            summed[day] = summed.get(day, 0) + uses
    return summed
