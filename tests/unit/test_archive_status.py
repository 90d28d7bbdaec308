"""Whether the archive is kept up, as counter_status and verify_deployment tell it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sentinel.deployment import after
from sentinel.deployment.findings import Deployment, State
from tests.archiving import use
from tests.rows import execute, new_user
from usage.archiving.status import report_archive

pytestmark = pytest.mark.django_db

NOW = datetime(2020, 9, 15, 12, tzinfo=UTC)
FIRST = datetime(2020, 9, 1, tzinfo=UTC)


def run(state: str, started_at: datetime, error: str | None = None) -> None:
    execute(
        "INSERT INTO feature_usage_archive_runs (state, before, started_at, error)"
        f" VALUES ('{state}', '2020-01-01', '{started_at}', "
        + ("NULL)" if error is None else f"'{error}')")
    )


def test_an_archive_with_nothing_to_do_is_well_before_its_first_run() -> None:
    line = report_archive(NOW)
    assert (line.ok, line.message) == (True, "No run yet.")


def test_old_usage_that_was_never_archived_is_late() -> None:
    use(new_user(), "2020-02-15")
    line = report_archive(NOW)
    assert not line.ok
    assert "Usage of months before 2020-03 waits" in line.message
    assert {figure.name: figure.value for figure in line.figures} == {
        "sentinel_archive_last_run_timestamp_seconds": 0,
        "sentinel_archive_last_run_failed": 0,
        "sentinel_archive_late": 1,
    }


def test_the_job_of_the_month_has_a_day_and_two_hours() -> None:
    use(new_user(), "2020-02-15")
    run("complete", datetime(2020, 8, 1, tzinfo=UTC))
    assert report_archive(FIRST + timedelta(hours=26)).ok
    assert not report_archive(FIRST + timedelta(hours=26, seconds=1)).ok


def test_a_late_event_waits_for_the_next_month_without_an_alarm() -> None:
    run("complete", FIRST)
    use(new_user(), "2020-02-15")
    line = report_archive(NOW)
    assert (line.ok, line.message.endswith("of 2020-09-01 is complete.")) == (True, True)


@pytest.mark.parametrize("state", ["failed", "killed"])
def test_a_run_that_did_not_end_well_is_told_until_another_does(state: str) -> None:
    run(state, FIRST, error="rows of 2020-01 stayed locked")
    line = report_archive(NOW)
    assert not line.ok
    assert f"is {state}. rows of 2020-01 stayed locked. Run `manage.py" in line.message
    run("complete", FIRST + timedelta(hours=1))
    assert report_archive(NOW).ok


def test_a_database_without_the_archive_is_told_to_migrate() -> None:
    execute("DROP TABLE feature_usage_archive_runs")
    line = report_archive(NOW)
    assert (line.ok, "manage.py migrate" in line.message) == (False, True)


def test_verify_deployment_warns_of_what_is_late() -> None:
    assert after.check_archive(Deployment(now=NOW)).state is State.OK
    use(new_user(), "2020-02-15")
    answer = after.check_archive(Deployment(now=NOW))
    assert answer.state is State.WARNING
    assert "deploy/crontab" in answer.cure
