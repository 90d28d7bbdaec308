"""The report of a user."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS

from usage.limit_models import LimitOverride
from usage.limits import usage_for
from usage.reporting.months import next_month
from usage.reporting.queries import one_snapshot, query_rows
from usage.reporting.reading import read_refusal, title_of
from usage.reporting.records import UserEvent, UserMonth, UserReport

if TYPE_CHECKING:
    from datetime import datetime

EVENTS = 20  # what one looks through by eye; the admin's list has all
REFUSED_MONTHS = 3  # this one and two before it: what the user wants now


def report_user(*, user_id: int, now: datetime, using: str = DEFAULT_DB_ALIAS) -> UserReport:
    """Report what a user is allowed, has used, and was refused, in five queries.

    Args:
        user_id: whose.
        now: the time, with a time zone.
        using: the database's alias; what is allowed is always read from the default one.

    Raises:
        UnknownUserError: there is no such user.
        InvalidUsageError: the time has no time zone.
    """
    standings = usage_for(user_id=user_id, now=now)
    month = now.astimezone(UTC).date().replace(day=1)
    since = month
    for _ in range(REFUSED_MONTHS - 1):
        since = (since - timedelta(days=1)).replace(day=1)
    with one_snapshot(using=using):
        history = query_rows("history", using=using, user_id=user_id)
        events = query_rows("events", using=using, user_id=user_id, listed=EVENTS)
        refused = query_rows(
            "refused",
            using=using,
            user_id=user_id,
            plan=None,
            month=since,
            next_month=next_month(month),
        )
        overrides = tuple(LimitOverride.objects.using(using).filter(user=user_id))
    return UserReport(
        user_id=user_id,
        standings=tuple(standings.values()),
        history=tuple(
            UserMonth(month=of, feature=name, title=title_of(name), uses=uses, archived=archived)
            for of, name, uses, archived in history
        ),
        overrides=overrides,
        events=tuple(
            UserEvent(
                event_id=key,
                month=of,
                feature=name,
                title=title_of(name),
                quantity=quantity,
                occurred_at=at,
                source=source,
                reason=reason,
                adopted=adopted,
            )
            for key, of, name, quantity, at, source, reason, adopted in events
        ),
        refused=tuple(map(read_refusal, refused)),
    )
