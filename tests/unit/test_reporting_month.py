"""The report of a month: figures, tables, and what they are compared with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

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
from usage.reporting import (
    Comparison,
    ReportError,
    find_months,
    iterate_limits,
    iterate_users,
    lists,
)
from usage.reporting.months import find_span
from usage.reporting.records import DayLine

__all__ = ["nothing_counted"]
pytestmark = pytest.mark.usefixtures("nothing_counted")


def archive(month: date) -> None:
    """Move a month to the archive, as the batches do."""
    sql(
        "INSERT INTO feature_usage_archive SELECT id, user_id, feature, usage_count, period_start,"
        " period_end, created_at, updated_at, now(), 1 FROM feature_usage"
        " WHERE period_start = {month}",
        month=month,
    )
    sql(
        "INSERT INTO feature_usage_events_archive SELECT id, user_id, feature, quantity,"
        " occurred_at, recorded_at, idempotency_key, source, reason, adopted, adopted_period,"
        " period_start, now(), 1 FROM feature_usage_events WHERE period_start = {month}",
        month=month,
    )
    sql("DELETE FROM feature_usage WHERE period_start = {month}", month=month)


# ------------------------------------------------------------------------------------------ span


def test_a_month_that_runs_is_compared_up_to_the_same_day() -> None:
    span = find_span(date(2026, 3, 30), now=datetime(2026, 3, 30, 12, tzinfo=UTC))
    assert (span.month, span.through, span.current) == (MARCH, date(2026, 3, 30), True)
    assert (span.previous, span.previous_through) == (FEBRUARY, date(2026, 2, 28))
    assert span.elapsed == pytest.approx(29.5 / 31)


def test_a_month_that_is_over_is_compared_as_a_whole() -> None:
    span = find_span(FEBRUARY, now=NOW)
    assert (span.through, span.previous_through) == (date(2026, 2, 28), date(2026, 1, 31))
    assert (span.elapsed, span.current) == (1.0, False)


def test_months_are_those_of_utc_whatever_the_zone_of_the_time_is() -> None:
    tokyo = timezone(timedelta(hours=9))
    span = find_span(date(2026, 2, 28), now=datetime(2026, 3, 1, 8, tzinfo=tokyo))
    assert (span.month, span.through, span.current) == (FEBRUARY, date(2026, 2, 28), True)


def test_a_month_to_come_has_no_report() -> None:
    with pytest.raises(ReportError, match="2026-04 is yet to come: this month is 2026-03"):
        report(date(2026, 4, 1))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ReportError, match="no time zone"):
        report(now=datetime(2026, 3, 10))  # noqa: DTZ001 (what is refused)


# --------------------------------------------------------------------------------------- figures


def test_a_database_without_usage_has_an_empty_report() -> None:
    found = report()
    assert found.empty
    assert (found.features, found.users, found.limits, found.refused) == ((), (), (), ())
    assert found.uses == Comparison(current=0, before=None)
    assert found.uses.change is None
    assert (found.counted_at, found.refusals_since, found.limits_total) == (None, None, 0)
    assert [day.uses for day in found.days] == [None] * 31
    assert list(iterate_users(month=MARCH, now=NOW)) == []
    assert list(iterate_limits(month=MARCH, now=NOW)) == []


def test_figures_stand_beside_those_of_the_month_before_at_the_same_day() -> None:
    ada, bob = user_of(), user_of()
    use(ada, 6, at="2026-03-02 12:00Z")
    use(ada, 4, at="2026-02-10 23:59Z")
    use(bob, 9, at="2026-02-11 00:00Z")
    refuse(ada, 3, day="2026-03-01")
    refuse(ada, 5, day="2026-02-10")
    refuse(ada, 7, day="2026-02-11")
    count()
    found = report()
    assert found.uses == Comparison(current=6, before=4)
    assert (found.uses.difference, found.uses.change) == (2, 0.5)
    assert found.active_users == Comparison(current=1, before=1)
    assert found.refusals == Comparison(current=3, before=5)


def test_what_was_never_counted_is_not_taken_for_nothing() -> None:
    use(user_of(), at="2026-02-10 12:00Z")
    count(MARCH)
    found = report()
    assert (found.uses.before, found.active_users.before, found.near_limit.before) == (None,) * 3
    assert {day.before for day in found.days} == {None}


def test_who_gave_everything_back_is_not_active() -> None:
    ada = user_of()
    use(ada, 2)
    sql(
        "INSERT INTO feature_usage_events (user_id, feature, quantity, occurred_at, reason)"
        " VALUES ({ada}, 'map_export', -2, '2026-03-15 12:00Z', 'in error')",
        ada=ada,
    )
    count()
    found = report()
    assert found.active_users.current == 0
    assert report(date(2026, 3, 31), now=datetime(2026, 4, 1, tzinfo=UTC)).users == ()


def test_rows_without_a_user_are_nobody_s() -> None:
    sql(
        "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " VALUES (NULL, 'map_export', 5, '2026-03-01', '2026-03-31')"
    )
    assert report().empty


def test_the_features_have_their_share_and_their_users() -> None:
    ada, bob = user_of(), user_of()
    use(ada, 2)
    use(bob, 1)
    use(ada, 1, feature="somebody's own")
    use(ada, 8, feature="api_access", at="2026-02-03 12:00Z")
    count()
    first, second, third = report().features
    assert (first.feature, first.title, first.uses.current) == ("map_export", "Map export", 3)
    assert (first.users, first.share) == (2, 0.75)
    assert (second.title, second.share) == ("somebody's own", 0.25)
    assert (third.feature, third.uses) == ("api_access", Comparison(current=0, before=8))


def test_the_line_has_each_day_of_the_longer_month_and_none_to_come() -> None:
    ada = user_of()
    use(ada, 3, at="2026-03-10 00:00Z")
    use(ada, 2, at="2026-02-28 23:00Z")
    count()
    days = report().days
    assert [day.number for day in days] == list(range(1, 32))
    assert days[9] == DayLine(number=10, uses=3, before=0)
    assert days[10] == DayLine(number=11, uses=None, before=0)
    assert days[27] == DayLine(number=28, uses=None, before=2)
    assert days[28] == DayLine(number=29, uses=None, before=None)


def test_the_most_active_users_come_first_and_no_more_than_asked_for() -> None:
    keys = [user_of("BUSINESS", name=f"User {number}") for number in range(4)]
    for number, key in enumerate(keys):
        use(key, number + 1)
    use(keys[0], 1, feature="api_access")
    found = report(listed=3)
    assert [(line.user_id, line.uses) for line in found.users] == [
        (keys[3], 4),
        (keys[2], 3),
        (keys[0], 2),
    ]
    assert found.users[2].features == 2
    assert found.users[0].share == pytest.approx(4 / 11)
    assert (found.users[0].name, found.users[0].plan) == ("User 3", "BUSINESS")
    assert found.active_users.current == 4


def test_a_plan_has_a_report_of_its_own_and_a_trial_that_ended_is_free() -> None:
    use(user_of("PRO"), 1)
    use(user_of("PRO", is_trial=True, trial_ends_at="2026-03-09"), 2)
    use(user_of("PRO", is_trial=True, trial_ends_at="2026-03-11"), 4)
    use(user_of(None), 8)
    refuse(user_of("PRO"), 3, day="2026-03-02", plan="PRO")
    refuse(user_of("PRO"), 5, day="2026-03-02", plan="FREE")
    count()
    pro, free, every = report(plan="PRO"), report(plan="FREE"), report()
    assert (pro.uses.current, free.uses.current, every.uses.current) == (5, 10, 15)
    assert (pro.refusals.current, free.refusals.current) == (3, 5)
    assert sum(day.uses or 0 for day in pro.days) == 0, "the uses are of the 15th, still to come"
    assert {line.plan for line in free.users} == {"FREE"}


# ---------------------------------------------------------------------------------------- limits


def test_who_has_used_80_percent_of_a_limit_of_the_month_is_near_it() -> None:
    for used in (7, 8, 9, 10, 11):
        use(user_of("PRO"), used, feature="pdf_exports_monthly")  # ten a month
    found = report()
    assert [line.used for line in found.limits] == [11, 10, 9, 8]
    assert [line.at_limit for line in found.limits] == [True, True, False, False]
    assert (found.near_limit.current, found.at_limit.current, found.limits_total) == (2, 2, 4)
    assert found.limits[2].ratio == 0.9
    assert found.limits[2].pace == pytest.approx(0.9 / (9.5 / 31))


def test_a_user_counts_once_and_by_what_is_worst() -> None:
    ada = user_of("PRO")
    use(ada, 9, feature="pdf_exports_monthly")
    use(ada, 500, feature="chat_messages_monthly")
    found = report(listed=1)
    assert (found.near_limit.current, found.at_limit.current) == (0, 1)
    assert (found.limits_total, [line.feature for line in found.limits]) == (
        2,
        ["chat_messages_monthly"],
    )


def test_limits_of_another_kind_are_none_of_a_month() -> None:
    use(user_of("FREE"), 3, feature="chat_messages_monthly")  # three in a lifetime
    use(user_of("PRO"), 5, feature="trip_planner_destinations")  # five of a trip
    use(user_of("BUSINESS"), 900, feature="pdf_exports_monthly")  # unlimited
    use(user_of("FREE"), 9, feature="briefing_packages")  # not in the plan
    assert report().limits == ()


@pytest.mark.parametrize(
    ("until", "limits"), [(None, [10]), ("2026-03-11", [10]), ("2026-03-10", [])]
)
def test_a_user_s_own_limit_holds_until_it_ends(until: str | None, limits: list[int]) -> None:
    ada = user_of("BUSINESS")
    sql(
        "INSERT INTO feature_limit_overrides (user_id, feature, usage_limit, per, until, reason)"
        " VALUES ({ada}, 'pdf_exports_monthly', 10, 'month', {until}, 'agreed')",
        ada=ada,
        until=until,
    )
    use(ada, 10, feature="pdf_exports_monthly")
    found = report()
    assert [line.limit for line in found.limits] == limits
    assert all(line.overridden for line in found.limits)


def test_who_was_near_a_limit_last_month_is_known_for_each_day() -> None:
    ada, bob = user_of("PRO"), user_of("PRO")
    for day, quantity in (("01", 4), ("05", 4), ("12", 2)):
        use(ada, quantity, feature="pdf_exports_monthly", at=f"2026-02-{day} 12:00Z")
    use(bob, 10, feature="pdf_exports_monthly", at="2026-02-06 12:00Z")
    count()
    assert (report().near_limit.before, report().at_limit.before) == (1, 1)
    later = report(now=NOW + timedelta(days=3))
    assert (later.near_limit.before, later.at_limit.before) == (0, 2)


# -------------------------------------------------------------------------------------- refusals


def test_refusals_are_told_by_feature_and_by_the_plan_of_then() -> None:
    ada, bob = user_of("BUSINESS"), user_of("PRO")
    refuse(ada, 2, day="2026-03-01", plan="PRO")
    refuse(ada, 3, day="2026-03-02", plan="PRO")
    refuse(bob, 1, day="2026-03-02", plan="PRO")
    refuse(bob, 9, day="2026-02-28", plan="PRO")
    [line] = report().refused
    assert (line.title, line.plan, line.refusals, line.users) == ("API access", "PRO", 6, 2)
    assert line.last_at == datetime(2026, 3, 2, tzinfo=UTC)
    assert report().refusals_since == date(2026, 2, 28)


# --------------------------------------------------------------------------------------- archive


def test_a_month_says_the_same_when_it_is_archived() -> None:
    ada, bob = user_of("PRO"), user_of("FREE")
    use(ada, 9, feature="pdf_exports_monthly", at="2026-02-03 12:00Z")
    use(bob, 2, at="2026-02-04 12:00Z")
    count(FEBRUARY)
    before = report(FEBRUARY)
    archive(FEBRUARY)
    count(FEBRUARY)
    after = report(FEBRUARY)
    assert (before.archived, after.archived) == (False, True)
    assert vars(after) == vars(before) | {"archived": True}
    assert before.uses.current == 11


def test_a_late_event_adds_to_an_archived_month_and_its_user_counts_once() -> None:
    ada = user_of("PRO")
    use(ada, 2, at="2026-02-03 12:00Z")
    archive(FEBRUARY)
    use(ada, 3, at="2026-02-04 12:00Z")
    count(FEBRUARY)
    found = report(FEBRUARY)
    assert (found.uses.current, found.active_users.current) == (5, 1)
    assert sum(day.uses or 0 for day in found.days) == 5
    assert [line.uses for line in iterate_users(month=FEBRUARY, now=NOW)] == [5]


def test_an_account_that_is_gone_leaves_its_archived_uses_without_name_and_plan() -> None:
    ada = user_of("PRO")
    use(ada, 2, at="2026-02-03 12:00Z")
    archive(FEBRUARY)
    sql("DELETE FROM users WHERE id = {ada}", ada=ada)
    count(FEBRUARY)
    [line] = report(FEBRUARY).users
    assert (line.user_id, line.name, line.email, line.plan) == (ada, "", None, None)
    assert report(FEBRUARY, plan="PRO").users == ()


def test_the_months_are_found_in_ledger_and_archive_without_those_to_come() -> None:
    ada = user_of()
    for month in ("2025-11", "2025-12", "2026-02", "2026-05"):
        use(ada, at=f"{month}-03 12:00Z")
    archive(date(2025, 11, 1))
    assert find_months(now=NOW) == (MARCH, FEBRUARY, date(2025, 12, 1), date(2025, 11, 1))


# ----------------------------------------------------------------------------------------- lists


def test_the_lists_have_everybody_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "PAGE", 2)
    keys = [user_of("PRO") for _ in range(5)]
    for key in keys:
        use(key, 9, feature="pdf_exports_monthly")
    use(keys[0], 1)
    users = list(iterate_users(month=MARCH, now=NOW))
    assert [line.user_id for line in users] == keys
    assert users[0].share == pytest.approx(10 / 46)
    assert [line.user_id for line in iterate_limits(month=MARCH, now=NOW)] == keys
    assert list(iterate_users(month=MARCH, now=NOW, plan="FREE")) == []


def test_a_list_of_a_month_to_come_is_refused_before_its_first_line() -> None:
    with pytest.raises(ReportError):
        iterate_users(month=date(2026, 4, 1), now=NOW)


def test_a_report_asks_the_same_number_of_queries_however_much_there_is() -> None:
    asked = []
    for users in (0, 1, 30):
        for _ in range(users):
            key = user_of("PRO")
            use(key, 10, feature="pdf_exports_monthly")
            refuse(key, day="2026-03-02")
        count()
        with CaptureQueriesContext(connection) as queries:
            report()
        asked.append(len(queries))
    assert asked == [6, 6, 6]
