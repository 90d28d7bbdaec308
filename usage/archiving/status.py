"""Whether the archive is kept up: for `counter_status` and `verify_deployment`."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from django.db import DEFAULT_DB_ALIAS, connections

from sentinel.counters.status import Figure, StatusLine
from usage.archiving.retention import archive_before
from usage.archiving.run import query_archive

NAME = "archive of usage"
# The job runs on the first of the month. A day and two hours later it should have ended: that is
# how long an audit may take to come, too.
GRACE = timedelta(hours=26)
CURE = "Run `manage.py archive_feature_usage`, and look at the log of deploy/crontab's line."


def report_archive(now: datetime, *, using: str = DEFAULT_DB_ALIAS) -> StatusLine:
    """Report the last run, and whether months wait that it should have archived.

    Not well is a last run that failed or was killed, and, from the second day of a month on, usage
    that is old enough while no run was complete this month.

    Args:
        now: the time.
        using: the database's alias.
    """
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.feature_usage_archive_runs') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return StatusLine(name=NAME, ok=False, message="It is not there: `manage.py migrate`.")
    begun = datetime.combine(now.astimezone(UTC).date().replace(day=1), time(), UTC)
    before = archive_before(now=now)
    [(run, state, started_at, error, done, waiting)] = query_archive(
        "status", using=using, since=begun, before=before
    )
    failed = state in {"failed", "killed"}
    late = waiting and not done and now > begun + GRACE
    if run is None:
        message = "No run yet."
    else:
        message = f"Run {run} of {started_at.astimezone(UTC):%Y-%m-%d} is {state}."
    if failed and error:
        message += f" {error.rstrip('.')}."
    if late:
        message += f" Usage of months before {before:%Y-%m} waits, and no run ended this month."
    if failed or late:
        message += f" {CURE}"
    figures = (
        Figure(
            "sentinel_archive_last_run_timestamp_seconds",
            "When the last run of the archive began, 0 where there was none.",
            started_at.timestamp() if run is not None else 0.0,
        ),
        Figure(
            "sentinel_archive_last_run_failed",
            "Whether the last run of the archive failed or was killed.",
            float(failed),
        ),
        Figure(
            "sentinel_archive_late",
            "Whether usage waits that should have been archived.",
            float(late),
        ),
    )
    return StatusLine(name=NAME, ok=not (failed or late), message=message, figures=figures)
