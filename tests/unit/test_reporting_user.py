"""The report of a user."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.ledger import sql
from tests.usage_reports import MARCH, NOW, nothing_counted, refuse, use, user_of
from usage import UnknownUserError
from usage.reporting import UserReport, report_user, user

__all__ = ["nothing_counted"]
pytestmark = pytest.mark.usefixtures("nothing_counted")


def report(user_id: int) -> UserReport:
    return report_user(user_id=user_id, now=NOW)


def test_nobody_has_no_report() -> None:
    with pytest.raises(UnknownUserError, match="there is no user 0"):
        report(0)


def test_a_new_user_has_standings_and_nothing_else() -> None:
    found = report(user_of("PRO"))
    assert {standing.plan for standing in found.standings} == {"PRO"}
    assert (found.history, found.overrides, found.events, found.refused) == ((), (), (), ())


def test_a_standing_says_what_is_used_and_left_and_when_it_starts_anew() -> None:
    ada = user_of("PRO")
    use(ada, 4, feature="pdf_exports_monthly")
    standings = {standing.feature: standing for standing in report(ada).standings}
    exports = standings["pdf_exports_monthly"]
    assert (exports.used, exports.limit, exports.remaining) == (4, 10, 6)
    assert exports.resets_at == datetime(2026, 4, 1, tzinfo=UTC)


def test_the_history_goes_back_into_the_archive() -> None:
    ada, bob = user_of("PRO"), user_of("PRO")
    use(ada, 4)
    use(ada, 9, feature="api_access")
    use(bob, 5)
    sql(
        "INSERT INTO feature_usage_archive"
        " (id, user_id, feature, usage_count, period_start, period_end, archived_at, run_id)"
        " VALUES (1, {ada}, 'map_export', 3, '2025-01-01', '2025-01-31', now(), 1)",
        ada=ada,
    )
    assert [(line.month, line.title, line.uses, line.archived) for line in report(ada).history] == [
        (MARCH, "API access", 9, False),
        (MARCH, "Map export", 4, False),
        (date(2025, 1, 1), "Map export", 3, True),
    ]


def test_the_last_events_come_first_and_only_the_user_s_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user, "EVENTS", 2)
    ada, bob = user_of("PRO"), user_of("PRO")
    first = use(ada, at="2026-03-01 12:00Z")
    third = use(ada, at="2026-03-03 12:00Z", feature="api_access")
    second = use(ada, at="2026-03-02 12:00Z")
    use(bob, at="2026-03-04 12:00Z")
    assert [event.event_id for event in report(ada).events] == [third, second]
    assert first < second


def test_overrides_are_told_with_those_that_have_ended() -> None:
    ada = user_of("PRO")
    for feature, until in (("map_export", "2026-01-01"), ("saved_searches", None)):
        sql(
            "INSERT INTO feature_limit_overrides (user_id, feature, usage_limit, until, reason)"
            " VALUES ({ada}, {feature}, 5, {until}, 'agreed')",
            ada=ada,
            feature=feature,
            until=until,
        )
    assert {line.feature for line in report(ada).overrides} == {"map_export", "saved_searches"}


def test_refusals_of_three_months_are_told() -> None:
    ada, bob = user_of("PRO"), user_of("PRO")
    for day in ("2025-12-31", "2026-01-01", "2026-03-10"):
        refuse(ada, 2, day=day)
    refuse(bob, 5, day="2026-03-10")
    [line] = report(ada).refused
    assert (line.refusals, line.users) == (4, 1)


def test_a_report_asks_five_queries() -> None:
    ada = user_of("PRO")
    use(ada, 3)
    with CaptureQueriesContext(connection) as queries:
        report(ada)
    assert len(queries) == 5
