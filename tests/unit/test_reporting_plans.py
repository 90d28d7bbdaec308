"""What the reports read of a ledger of 50,000 events: `tests.benchmarks.reports` has 10,000,000."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest
from django.db import transaction

from tests.usage_ledger import add_users, grow_ledger, measure_reading, run
from usage.reporting import find_months, iterate_limits, iterate_users, report_month, report_user
from usage.reporting.refreshing import count_days

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import DjangoDbBlocker

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
MARCH = date(2026, 3, 1)
MONTHS = [date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1), MARCH]
USERS, TIMES = 500, 10
EVENTS = USERS * TIMES * 2 * len(MONTHS)
FEW = 0.03  # of the ledger


@pytest.fixture(scope="module")
def ledger(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """One ledger for all of these tests, which only read it. It is never committed."""
    with django_db_blocker.unblock(), transaction.atomic():
        add_users(USERS)
        grow_ledger(months=MONTHS, times=TIMES)
        for month in MONTHS[-2:]:
            count_days(month, now=NOW)
        run("ANALYZE feature_usage, feature_usage_events, feature_usage_refusals, users")
        yield
        transaction.set_rollback(True)


def one_user() -> int:
    return int(run("SELECT min(id) FROM users")[0][0])


@pytest.mark.parametrize(
    ("page", "queries"),
    [
        ("the month", 6),
        ("a plan", 6),
        ("the month before", 6),
        ("the months", 1),
        ("a user", 5),
        ("everybody", 4),
        ("everybody near a limit", 3),
    ],
)
def test_a_page_asks_few_queries_and_reads_little_of_the_ledger(
    ledger: None, page: str, queries: int
) -> None:
    assert run("SELECT count(*) FROM feature_usage_events") == [(EVENTS,)]
    pages = {
        "the month": lambda: report_month(month=MARCH, now=NOW),
        "a plan": lambda: report_month(month=MARCH, now=NOW, plan="PRO"),
        "the month before": lambda: report_month(month=MONTHS[-2], now=NOW),
        "the months": lambda: find_months(now=NOW),
        "a user": lambda: report_user(user_id=one_user(), now=NOW),
        "everybody": lambda: list(iterate_users(month=MARCH, now=NOW)),
        "everybody near a limit": lambda: list(iterate_limits(month=MARCH, now=NOW)),
    }
    if page == "a user":
        queries += 1  # for its id
    reading = measure_reading(pages[page])
    assert reading.queries == queries
    assert reading.events <= EVENTS * FEW
    assert (reading.events > 0) == (page == "a user"), "and only a user's page shows events"


def test_the_count_of_a_month_reads_no_more_than_that_month_by_its_index(ledger: None) -> None:
    plan = run(
        "EXPLAIN SELECT sum(quantity) FROM feature_usage_events"
        " WHERE period_start >= '2026-02-01' AND period_start < '2026-03-01'"
    )
    assert "idx_usage_events_period_brin" in "".join(line for (line,) in plan)
