"""The days of a month, as `count_feature_usage_days` counts them from the events."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tests.ledger import sql
from tests.usage_reports import (
    FEBRUARY,
    MARCH,
    NOW,
    count,
    nothing_counted,
    refuse,
    report,
    use,
    user_of,
)
from usage.reporting.refreshing import REFUSAL_DAYS, forget_refusals

__all__ = ["nothing_counted"]
pytestmark = pytest.mark.usefixtures("nothing_counted")


def days() -> list[tuple[Any, ...]]:
    return sql(
        "SELECT to_char(day, 'MM-DD'), feature, plan, uses FROM feature_usage_days"
        " ORDER BY period_start, day, feature, plan"
    )


def user_days() -> list[tuple[Any, ...]]:
    return sql(
        "SELECT to_char(day, 'MM-DD'), new_users, came_near, came_to FROM feature_usage_user_days"
        " ORDER BY day"
    )


def give_back(user: int, quantity: int, *, at: str, feature: str = "map_export") -> None:
    sql(
        "INSERT INTO feature_usage_events (user_id, feature, quantity, occurred_at, reason)"
        " VALUES ({user}, {feature}, -{quantity}, {at}, 'in error')",
        user=user,
        feature=feature,
        quantity=quantity,
        at=at,
    )


def test_uses_count_on_their_day_in_utc_by_feature_and_plan() -> None:
    use(user_of("PRO"), 2, at="2026-03-02 00:30+01")
    use(user_of("FREE"), 3, at="2026-03-02 00:30Z")
    use(user_of("PRO"), 4, at="2026-03-02 12:00Z", feature="api_access")
    count(MARCH)
    assert days() == [
        ("03-01", "map_export", "PRO", 2),
        ("03-02", "api_access", "PRO", 4),
        ("03-02", "map_export", "FREE", 3),
    ]


def test_the_days_of_a_month_add_up_to_what_its_rows_say() -> None:
    keys = [user_of("PRO"), user_of("FREE")]
    for number in range(20):
        use(keys[number % 2], 1 + number % 3, at=f"2026-03-{1 + number:02} 12:00Z")
    give_back(keys[0], 2, at="2026-03-20 12:00Z")
    count(MARCH)
    [(rows,)] = sql("SELECT sum(usage_count) FROM feature_usage")
    assert sum(uses for *_, uses in days()) == rows
    assert sum(line.uses.current for line in report().features) == rows


def test_an_adopted_event_counts_on_the_day_of_its_month_that_is_closest() -> None:
    ada = user_of("PRO")
    sql(
        "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " VALUES ({ada}, 'map_export', 5, '2026-02-01', '2026-02-28'),"
        " ({ada}, 'map_export', 7, '2199-05-01', '2199-05-31')",
        ada=ada,
    )
    count(FEBRUARY, date(2199, 5, 1))
    assert days() == [("02-28", "map_export", "PRO", 5), ("05-01", "map_export", "PRO", 7)]


def test_a_user_is_new_on_the_first_day_and_only_there() -> None:
    ada, bob, gone = user_of(), user_of(), user_of()
    use(ada, at="2026-03-02 12:00Z")
    use(ada, at="2026-03-04 12:00Z", feature="api_access")
    use(bob, at="2026-03-04 12:00Z")
    use(gone, at="2026-03-04 12:00Z")
    give_back(gone, 1, at="2026-03-05 12:00Z")
    count(MARCH)
    assert user_days() == [("03-02", 1, 0, 0), ("03-04", 1, 0, 0)]


def test_a_user_comes_near_a_limit_and_to_it_once() -> None:
    ada = user_of("PRO")
    for day, quantity in (("02", 7), ("03", 1), ("05", 2), ("06", 1)):
        use(ada, quantity, feature="pdf_exports_monthly", at=f"2026-03-{day} 12:00Z")
    count(MARCH)
    assert user_days() == [("03-02", 1, 0, 0), ("03-03", 0, 1, 0), ("03-05", 0, 0, 1)]


def test_who_has_fallen_below_a_limit_again_has_not_come_to_it() -> None:
    ada = user_of("PRO")
    use(ada, 10, feature="pdf_exports_monthly", at="2026-03-02 12:00Z")
    give_back(ada, 1, feature="pdf_exports_monthly", at="2026-03-03 12:00Z")
    count(MARCH)
    assert user_days() == [("03-02", 1, 1, 0)]
    assert (report().near_limit.current, report().at_limit.current) == (1, 0)


def test_counting_again_replaces_what_was_counted_and_leaves_other_months_alone() -> None:
    ada = user_of("PRO")
    use(ada, 2, at="2026-02-02 12:00Z")
    use(ada, 3, at="2026-03-02 12:00Z")
    count(MARCH, FEBRUARY)
    use(ada, 4, at="2026-03-02 12:00Z")
    sql("UPDATE users SET plan = 'BUSINESS' WHERE id = {ada}", ada=ada)
    for _ in range(2):
        count(MARCH)
    assert days() == [
        ("02-02", "map_export", "PRO", 2),
        ("03-02", "map_export", "BUSINESS", 7),
    ]
    counted = sql("SELECT period_start FROM feature_usage_counted_months ORDER BY 1")
    assert counted == [(FEBRUARY,), (MARCH,)]


def test_a_month_without_usage_is_counted_as_nothing() -> None:
    count()
    found = report()
    assert found.counted_at == NOW
    assert (found.uses.before, found.active_users.before) == (0, 0)


@pytest.mark.parametrize(("used", "came"), [(79, 0), (80, 1)])
def test_the_count_and_the_report_agree_on_what_is_near(used: int, came: int) -> None:
    ada = user_of("PRO")
    sql(
        "INSERT INTO feature_limit_overrides (user_id, feature, usage_limit, per, reason)"
        " VALUES ({ada}, 'map_export', 100, 'month', 'agreed')",
        ada=ada,
    )
    use(ada, used)
    count(MARCH)
    assert sum(near for _, _, near, _ in user_days()) == came == report().near_limit.current


def test_refusals_are_forgotten_after_two_years() -> None:
    ada = user_of()
    before = MARCH - timedelta(days=REFUSAL_DAYS)
    refuse(ada, day=str(before - timedelta(days=1)))
    refuse(ada, day=str(before))
    assert forget_refusals(before=before) == 1
    assert sql("SELECT day FROM feature_usage_refusals") == [(before,)]
