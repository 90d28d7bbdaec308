"""The tables of a month in full, for exports: page by page, however many lines there are.

No transaction is held while somebody reads slowly, so a line may be newer than one before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS

from usage.reporting.months import find_span
from usage.reporting.queries import query_rows
from usage.reporting.reading import month_values, read_limit, read_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from usage.reporting.records import LimitLine, UserLine

PAGE = 2_000  # users a query: some ten milliseconds, and a megabyte


def iterate_users(
    *, month: date, now: datetime, plan: str | None = None, using: str = DEFAULT_DB_ALIAS
) -> Iterator[UserLine]:
    """Give everybody who used something in the month, in the order of their ids.

    Args, errors: see `report_month`; errors are raised at once, before the first line.
    """
    values = month_values(find_span(month, now=now), plan=plan, now=now)
    total = sum(uses for _, uses, *_ in query_rows("features", using=using, **values))
    return (
        read_user(row, total=total)
        for page in _pages(values, using=using)
        for row in query_rows("users_by_id", using=using, **page)
    )


def iterate_limits(
    *, month: date, now: datetime, plan: str | None = None, using: str = DEFAULT_DB_ALIAS
) -> Iterator[LimitLine]:
    """Give everybody who is near or at a limit of the month, in the order of their ids.

    Args, errors: see `report_month`; errors are raised at once, before the first line.
    """
    span = find_span(month, now=now)
    return (
        read_limit(row, span=span)
        for page in _pages(month_values(span, plan=plan, now=now), using=using)
        for row in query_rows("limits_by_id", using=using, **page)
    )


def _pages(values: dict[str, Any], *, using: str) -> Iterator[dict[str, Any]]:
    """Give the values for one page of users after the other."""
    after = 0
    while True:
        [(last,)] = query_rows("next_users", using=using, after=after, size=PAGE, **values)
        if last is None:
            return
        yield values | {"first": after + 1, "last": last}
        after = last
