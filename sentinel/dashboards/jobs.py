"""Jobs as the pages see them: asked for, started, watched."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from sentinel.counters.run_lock import find_holder
from sentinel.dashboards.job_models import CounterJob, JobKind, JobState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sentinel.counters import BoundCounter

START_GRACE = timedelta(minutes=1)  # Python and Django start in seconds, on a busy machine too
NOT_STARTED = "Its process did not begin. The server's log tells why."
VANISHED = "Its process was ended. What it had committed stays; it can be asked for again."


class JobUnderWayError(Exception):
    """A job of this kind is under way.

    Attributes:
        job: which.
    """

    def __init__(self, job: CounterJob) -> None:
        super().__init__(f"{job} is under way.")
        self.job = job


def lock_name(job: CounterJob) -> str:
    """Return the name of the lock that a job's process holds for as long as it lives."""
    return f"sentinel.counter_job.{job.pk}"


def request_job(
    kind: JobKind, counters: Sequence[BoundCounter], *, user_id: int, now: datetime
) -> CounterJob:
    """Keep that somebody wants something done. Nothing is done yet: see `start_job`.

    Args:
        kind: what.
        counters: of which.
        user_id: for whom.
        now: jobs that are too old by then are forgotten, and those that were lost are ended.

    Raises:
        JobUnderWayError: one of this kind is under way.
    """
    for job in CounterJob.objects.filter(ended_at=None):
        if reason := reason_of_loss(job, now=now):
            end_job(job, state=JobState.LOST, summary=reason)
    _forget_old_jobs(now=now)
    try:
        with transaction.atomic():
            job = CounterJob.objects.create(
                kind=kind, counters=[counter.name for counter in counters], requested_by=user_id
            )
    except IntegrityError:
        newest = CounterJob.objects.filter(kind=kind).first()
        if newest is None:
            raise
        raise JobUnderWayError(newest) from None
    return CounterJob.objects.get(pk=job.pk)  # with what the database has filled in


def start_job(job: CounterJob) -> None:
    """Run a job in a process of its own, which outlives the request and the server's.

    Where no process can be started the job has failed, and says so.
    """
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE}
    if settings.SENTINEL_JOBS_DATABASE_URL:
        environment["DATABASE_URL"] = settings.SENTINEL_JOBS_DATABASE_URL
    try:
        process = subprocess.Popen(  # noqa: S603 (our own command, and a number)
            [sys.executable, "-m", "django", "run_counter_job", str(job.pk)],
            cwd=settings.BASE_DIR,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        reason = f"No process could be started: {error.strerror}."
        end_job(job, state=JobState.FAILED, summary=reason)
        return
    Thread(target=process.wait, daemon=True).start()  # or it would stay in the table of processes


def reason_of_loss(job: CounterJob, *, now: datetime) -> str:
    """Return why nothing more will come of a job that has not ended; empty where something may."""
    if job.ended or find_holder(lock_name(job)) is not None:
        return ""
    # It may have ended in the moment between the reading of its row and of its lock.
    current = CounterJob.objects.filter(pk=job.pk, ended_at=None).first()
    if current is None:
        return ""
    if current.state == JobState.RUNNING:
        return VANISHED
    return NOT_STARTED if now > job.requested_at + START_GRACE else ""


def end_job(job: CounterJob, *, state: JobState, summary: str, exact: bool | None = None) -> None:
    """Keep how a job ended, unless it has ended already."""
    CounterJob.objects.filter(pk=job.pk, ended_at=None).update(
        state=state, ended_at=Now(), summary=summary, exact=exact
    )


def _forget_old_jobs(*, now: datetime) -> None:
    days = settings.SENTINEL_RECORD_RETENTION_DAYS
    if days:
        CounterJob.objects.filter(ended_at__lt=now - timedelta(days=days)).delete()
