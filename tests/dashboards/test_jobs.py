"""Audits and repairs that are asked for on a page, and run in a process of their own."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from sentinel.counters import declared_counters, find_counters
from sentinel.counters.models import CounterAudit, CounterRepair
from sentinel.counters.run_lock import hold_run_lock
from sentinel.dashboards.job_models import CounterJob, JobKind, JobState
from sentinel.dashboards.job_running import JobError, run_job
from sentinel.dashboards.jobs import (
    START_GRACE,
    JobUnderWayError,
    lock_name,
    reason_of_loss,
    request_job,
    start_job,
)
from tests.dashboards.jobs import THREADS, plant_drift
from tests.deployments import thread

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

NAMES = [counter.name for counter in declared_counters()]


def ask(kind: JobKind = JobKind.AUDIT, *names: str) -> CounterJob:
    return request_job(kind, find_counters(names), user_id=7, now=timezone.now())


def run(job: CounterJob) -> CounterJob:
    """Run a job here, and return its row afterwards."""
    run_job(job.pk, now=timezone.now())
    return CounterJob.objects.get(pk=job.pk)


def age(job: CounterJob, by: timedelta) -> None:
    """Let a job have been asked for earlier."""
    CounterJob.objects.filter(pk=job.pk).update(requested_at=job.requested_at - by)
    job.refresh_from_db()


# -------------------------------------------------------------------------------------- asking


def test_a_job_waits_until_its_process_begins() -> None:
    job = ask(JobKind.AUDIT, THREADS)
    assert (job.state, job.counters, job.requested_by) == (JobState.WAITING, [THREADS], 7)
    assert not reason_of_loss(job, now=timezone.now())


def test_two_clicks_do_not_run_two() -> None:
    first = ask()
    with pytest.raises(JobUnderWayError) as refused:
        ask()
    assert refused.value.job == first
    assert CounterJob.objects.count() == 1


def test_an_audit_does_not_keep_a_repair_waiting() -> None:
    ask(JobKind.AUDIT)
    assert ask(JobKind.REPAIR).state == JobState.WAITING


def test_a_job_whose_process_never_began_is_lost_and_makes_room() -> None:
    first = ask()
    age(first, START_GRACE + timedelta(seconds=1))
    assert "did not begin" in reason_of_loss(first, now=timezone.now())
    assert ask() != first
    first.refresh_from_db()
    assert first.state == JobState.LOST


def test_a_job_whose_process_is_gone_is_lost() -> None:
    job = ask()
    CounterJob.objects.filter(pk=job.pk).update(state=JobState.RUNNING)
    job.refresh_from_db()
    assert "was ended" in reason_of_loss(job, now=timezone.now())


def test_a_job_is_not_lost_while_its_process_holds_its_lock() -> None:
    job = ask()
    CounterJob.objects.filter(pk=job.pk).update(state=JobState.RUNNING)
    job.refresh_from_db()
    with hold_run_lock(lock_name(job)) as lock:
        assert lock
        assert not reason_of_loss(job, now=timezone.now() + timedelta(days=1))
    assert reason_of_loss(job, now=timezone.now())


def test_old_jobs_are_forgotten_when_somebody_asks(settings: Settings) -> None:
    settings.SENTINEL_RECORD_RETENTION_DAYS = 5
    old, new = (
        CounterJob.objects.create(
            kind="audit",
            counters=[],
            requested_by=1,
            ended_at=timezone.now() - timedelta(days=days),
        )
        for days in (6, 4)
    )
    ask()
    assert set(CounterJob.objects.filter(pk__in=[old.pk, new.pk])) == {new}


# ------------------------------------------------------------------------------------- running


def test_an_audit_is_recorded_and_says_what_it_found() -> None:
    job = run(ask())
    assert (job.state, job.exact) == (JobState.COMPLETE, True)
    assert job.summary == f"All {len(NAMES)} counters exact."
    assert set(CounterAudit.objects.values_list("counter", flat=True)) == set(NAMES)
    assert job.started_at
    assert job.ended_at


def test_an_audit_names_the_counter_that_is_not_exact() -> None:
    drifting = thread(messages=2)
    plant_drift(drifting)
    job = run(ask(JobKind.AUDIT, THREADS))
    assert job.exact is False
    assert job.summary == f"Not exact: {THREADS} (1 row in drift)."


def test_a_repair_makes_the_counter_right_and_proves_it() -> None:
    drifting = thread(messages=2)
    plant_drift(drifting)
    job = run(ask(JobKind.REPAIR, THREADS))
    assert (job.state, job.exact) == (JobState.COMPLETE, True)
    assert "1 row repaired. The counter is exact." in job.summary
    assert (job.done, job.total) == (0, 1)  # it was over before there was news to keep
    assert CounterRepair.objects.get().counter == THREADS


def test_a_repair_beside_another_fails_and_says_who_is_at_work() -> None:
    job = ask(JobKind.REPAIR)
    with hold_run_lock("sentinel.repair") as lock:
        assert lock
        with pytest.raises(CommandError):
            call_command("run_counter_job", str(job.pk))
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "another repair" in job.summary


def test_a_counter_that_is_gone_fails_the_job_with_the_names_there_are() -> None:
    job = CounterJob.objects.create(kind="audit", counters=["gone.count"], requested_by=7)
    with pytest.raises(CommandError, match=r"gone\.count"):
        call_command("run_counter_job", str(job.pk))
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert THREADS in job.summary


def test_a_job_runs_once() -> None:
    job = run(ask())
    with pytest.raises(JobError, match="not waiting"):
        run_job(job.pk, now=timezone.now())
    assert CounterAudit.objects.count() == len(NAMES)


def test_a_job_that_does_not_exist_is_named() -> None:
    with pytest.raises(JobError, match="no job 4711"):
        run_job(4711, now=timezone.now())


def test_where_no_process_can_be_started_the_job_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    job = ask()
    start_job(job)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "No such file" in job.summary
