"""The summary is refreshed while others read it, and by one at a time."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.archiving import archive
from tests.concurrency.writers import connect
from tests.rows import execute, new_user
from usage.archiving.summary import SummaryRunningError, refresh_summary

__all__ = ["archive"]
pytestmark = pytest.mark.usefixtures("archive")

UNIQUE_USERS = "SELECT sum(unique_users) FROM feature_usage_summary"


def test_a_refresh_brings_the_summary_up_to_date() -> None:
    execute(f"SELECT increment_feature_usage_safe({new_user()}, 'map_export', 2)")
    out = StringIO()
    call_command("refresh_usage_summary", stdout=out)
    assert "was refreshed" in out.getvalue()
    assert execute(UNIQUE_USERS) == [(1,)]


def test_a_reader_does_not_keep_it_from_being_refreshed() -> None:
    execute(f"SELECT increment_feature_usage_safe({new_user()}, 'map_export', 2)")
    with connect() as other, other.transaction():
        other.execute(UNIQUE_USERS)
        refresh_summary()
    assert execute(UNIQUE_USERS) == [(1,)]


def test_a_second_refresh_at_once_says_so_and_exits_with_2() -> None:
    with connect() as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('sentinel.summary', 0))")
        with pytest.raises(SummaryRunningError):
            refresh_summary()
        with pytest.raises(CommandError, match="by somebody else") as error:
            call_command("refresh_usage_summary")
    assert error.value.returncode == 2


def test_a_refresh_gives_up_on_a_view_that_stays_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usage.archiving.summary.LOCK_TIMEOUT", "20ms")
    with connect() as other, other.transaction():
        other.execute("REFRESH MATERIALIZED VIEW feature_usage_summary")
        with pytest.raises(CommandError, match="lock timeout") as error:
            call_command("refresh_usage_summary")
    assert error.value.returncode == 2
