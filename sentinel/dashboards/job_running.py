"""Runs a job, in the process that was started for it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from django.db import DatabaseError
from django.db.models.functions import Now

from sentinel.counters import (
    RepairLockLostError,
    RepairRunningError,
    UnknownCounterError,
    audit_counters,
    find_counters,
    record_audits,
    repair_counters,
    select_rows,
)
from sentinel.counters.recording import RecordingError
from sentinel.counters.run_lock import hold_run_lock
from sentinel.dashboards.job_models import CounterJob, JobKind, JobState
from sentinel.dashboards.jobs import end_job, lock_name
from sentinel.progress import Progress

if TYPE_CHECKING:
    from datetime import datetime

    from sentinel.counters import BoundCounter, CounterReport

SECONDS_BETWEEN_WRITES = 1.0  # as often as a page asks
EXPECTED_ERRORS = (
    DatabaseError,
    RecordingError,
    RepairLockLostError,
    RepairRunningError,
    UnknownCounterError,
)


class JobError(Exception):
    """There is no such job, or it is not for this process to run."""


class Result(NamedTuple):
    """What came of a job.

    Attributes:
        exact: whether the audit at its end found every counter exact.
        summary: it in a sentence or two.
    """

    exact: bool
    summary: str


class JobProgress(Progress):
    """Keeps in the job's row how far it has come, at most once a second."""

    def __init__(self, job: CounterJob) -> None:
        self._job = job
        super().__init__(seconds_between=SECONDS_BETWEEN_WRITES)

    def begin(self, *, total: float | None) -> None:
        """See `Progress.begin`."""
        super().begin(total=total)
        if total is not None:
            self._keep(done=0, total=int(total))

    def show(self, number: int, *, position: float) -> None:  # noqa: ARG002 (of another unit)
        """See `Progress.show`."""
        self._keep(done=number)

    def _keep(self, **values: int) -> None:
        with suppress(DatabaseError):  # the work is worth more than the news of it
            CounterJob.objects.filter(pk=self._job.pk).update(**values)


def run_job(number: int, *, now: datetime) -> Result:
    """Do what a job asks for, and keep in its row what came of it.

    Args:
        number: the job's.
        now: the time of the audit; records that are too old by then are forgotten.

    Raises:
        JobError: there is no such job, or it is not waiting.
        Exception: what ended it early. The row says so as well.
    """
    job = CounterJob.objects.filter(pk=number).first()
    if job is None:
        raise JobError(f"There is no job {number}.")
    with hold_run_lock(lock_name(job)) as lock:
        waiting = CounterJob.objects.filter(pk=number, state=JobState.WAITING)
        if lock is None or not waiting.update(state=JobState.RUNNING, started_at=Now()):
            raise JobError(f"Job {number} is not waiting: it runs, or has ended.")
        try:
            result = _work(job, now=now)
        except BaseException as error:
            with suppress(DatabaseError):  # where the connection is lost, the page sees it gone
                end_job(job, state=JobState.FAILED, summary=_describe(error))
            raise
        end_job(job, state=JobState.COMPLETE, summary=result.summary, exact=result.exact)
    return result


def _work(job: CounterJob, *, now: datetime) -> Result:
    counters = find_counters(job.counters)
    progress = JobProgress(job)
    if job.kind == JobKind.AUDIT:
        return _audit(counters, progress=progress, now=now)
    report = repair_counters(select_rows(job.counters), now=now, progress=progress)
    audit = _audit(counters, progress=Progress(), now=now)
    refused = [repair.counter for repair in report.counters if repair.problems]
    left = sum(repair.rows_skipped + repair.rows_left for repair in report.counters)
    said = [f"Run {report.run}: {_rows(report.rows_repaired)} repaired."]
    if refused:
        said.append(f"Not repaired, since its triggers would not keep it: {', '.join(refused)}.")
    if left:
        said.append(f"{_rows(left)} left: somebody held them, or they could not be written.")
    return Result(exact=audit.exact, summary=" ".join([*said, audit.summary]))


def _audit(counters: list[BoundCounter], *, progress: Progress, now: datetime) -> Result:
    progress.begin(total=len(counters))
    reports = []
    for report in audit_counters(counters):
        reports.append(report)
        progress.advance(len(reports))
    record_audits(reports, now=now)
    return Result(exact=all(report.exact for report in reports), summary=describe_audit(reports))


def describe_audit(reports: list[CounterReport]) -> str:
    """Return what an audit found, in a sentence."""
    wrong = [
        f"{report.counter} ({_rows(report.rows_in_drift)} in drift"
        + (f", {len(report.serious_problems)} problems)" if report.serious_problems else ")")
        for report in reports
        if not report.exact
    ]
    if wrong:
        return f"Not exact: {', '.join(wrong)}."
    return "The counter is exact." if len(reports) == 1 else f"All {len(reports)} counters exact."


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"


def _describe(error: BaseException) -> str:
    first_line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, EXPECTED_ERRORS):
        return first_line
    return f"{type(error).__name__}: {first_line}".removesuffix(": ")
