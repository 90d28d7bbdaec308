"""Refreshes `feature_usage_summary`, which `FeatureUsageSummary` reads."""

from __future__ import annotations

from time import perf_counter

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from sentinel.counters.statements import named_queries
from usage.statements import FOLDER

# A concurrent refresh waits for those who refresh, alter or vacuum the view, and no reader waits
# for it. So long is patience enough; the next hour or month refreshes again.
LOCK_TIMEOUT = "5s"


class SummaryRunningError(Exception):
    """Somebody else is refreshing the summary."""


def refresh_summary(*, using: str = DEFAULT_DB_ALIAS) -> float:
    """Refresh the summary while others read it, and return how many seconds it took.

    Raises:
        SummaryRunningError: somebody else is refreshing it.
        OperationalError: it stayed locked by somebody else.
        ProgrammingError: the role does not own the view, as a refresh requires.
    """
    started = perf_counter()
    queries = named_queries("summary", FOLDER)
    with transaction.atomic(using=using, durable=True), connections[using].cursor() as cursor:
        cursor.execute(queries["patience"], [LOCK_TIMEOUT])
        cursor.execute(queries["try_lock"])
        if cursor.fetchone() != (True,):
            raise SummaryRunningError(
                "feature_usage_summary is being refreshed by somebody else: it will be as new."
            )
        cursor.execute(queries["refresh"])
    return perf_counter() - started
