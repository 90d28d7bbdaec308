"""Audits and repairs by a button: confirmed, logged, started, watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import Http404, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone

from sentinel.counters import UnknownCounterError, find_counters
from sentinel.counters.status import report_status
from sentinel.dashboards.action_log import record_action
from sentinel.dashboards.health_records import OUTCOME_TONES
from sentinel.dashboards.job_models import CounterJob, JobKind, JobState
from sentinel.dashboards.jobs import JobUnderWayError, reason_of_loss, request_job, start_job
from sentinel.dashboards.pages import admin_action, admin_page, render_page
from sentinel.dashboards.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse

    from sentinel.counters import BoundCounter

DONE_IN = {JobKind.AUDIT: "counters audited", JobKind.REPAIR: "rows repaired"}


@admin_page(Permission.RUN_AUDIT)
def confirm_audit(request: HttpRequest) -> HttpResponse:
    """Ask whether counters are to be audited."""
    return _confirm(request, JobKind.AUDIT, title="Audit now")


@admin_page(Permission.REPAIR_COUNTERS)
def confirm_repair(request: HttpRequest) -> HttpResponse:
    """Ask whether counters are to be repaired."""
    return _confirm(request, JobKind.REPAIR, title="Repair")


@admin_action(Permission.RUN_AUDIT)
def start_audit(request: HttpRequest) -> HttpResponse:
    """Have counters audited."""
    return _start(request, JobKind.AUDIT)


@admin_action(Permission.REPAIR_COUNTERS)
def start_repair(request: HttpRequest) -> HttpResponse:
    """Have counters repaired."""
    return _start(request, JobKind.REPAIR)


@admin_page(Permission.VIEW_HEALTH, one_snapshot=False)
def show_job(request: HttpRequest, number: int) -> HttpResponse:
    """Show how far a job has come."""
    job = _find_job(number)
    context = {"job": job, **describe_job(job), "tone": OUTCOME_TONES.get(job.state, "neutral")}
    title = f"{job.kind.capitalize()} {job.pk}"
    return render_page(request, "dashboards/job.html", context, title=title)


@admin_page(Permission.VIEW_HEALTH, one_snapshot=False)
def tell_job(_: HttpRequest, number: int) -> HttpResponse:
    """Tell a page that watches a job how far it has come, as JSON."""
    return JsonResponse(describe_job(_find_job(number)))


def describe_job(job: CounterJob) -> dict[str, Any]:
    """Return what a page shows of a job while it runs: it is asked for again and again.

    Nothing is written: a job whose process is gone is called lost here, and its row says so as
    soon as somebody asks for another one.
    """
    lost = reason_of_loss(job, now=timezone.now())
    said = f"{job.done:,} {DONE_IN[JobKind(job.kind)]}"
    if job.total is not None:
        said = f"{job.done:,} of {job.total:,} {DONE_IN[JobKind(job.kind)]}"
    return {
        "state": JobState.LOST if lost else job.state,
        "ended": job.ended or bool(lost),
        "done": job.done,
        "total": job.total,
        "said": lost or job.summary or said,
    }


def _find_job(number: int) -> CounterJob:
    job = CounterJob.objects.filter(pk=number).first()
    if job is None:
        raise Http404(f"There is no job {number}.")
    return job


def _named_counters(names: Sequence[str]) -> list[BoundCounter]:
    try:
        return find_counters(names)
    except UnknownCounterError as error:
        raise Http404(str(error)) from error


def _confirm(request: HttpRequest, kind: JobKind, *, title: str) -> HttpResponse:
    counters = _named_counters(request.GET.getlist("counter"))
    names = {counter.name for counter in counters}
    status = report_status(now=timezone.now())
    chosen = [counter for counter in status.counters if counter.counter in names]
    context = {
        "kind": kind,
        "chosen": chosen,
        "refused": [counter for counter in chosen if counter.serious_problems],
        "in_drift": sum(counter.rows_in_drift or 0 for counter in chosen),
        "under_way": CounterJob.objects.filter(kind=kind, ended_at=None).first(),
    }
    return render_page(request, "dashboards/confirm_job.html", context, title=title)


def _start(request: HttpRequest, kind: JobKind) -> HttpResponse:
    counters = _named_counters(request.POST.getlist("counter"))
    user_id = request.user.pk
    assert user_id  # noqa: S101 (nobody anonymous has a permission)
    try:
        job = request_job(kind, counters, user_id=user_id, now=timezone.now())
    except JobUnderWayError as error:
        messages.warning(request, f"One {kind} at a time: this one is under way, or has just been.")
        return redirect("dashboards:job", number=error.job.pk)
    record_action(request, subject=", ".join(job.counters), message=f"Asked for {job}.")
    start_job(job)
    return redirect("dashboards:job", number=job.pk)
