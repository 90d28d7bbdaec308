"""The page of the counters' health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone

from sentinel.dashboards import health_parts as parts
from sentinel.dashboards import health_records as records
from sentinel.dashboards.health_reading import read_health
from sentinel.dashboards.job_models import JobKind
from sentinel.dashboards.pages import admin_page, render_page
from sentinel.dashboards.permissions import Permission

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

# Who may have what done.
NEEDED = {JobKind.AUDIT: Permission.RUN_AUDIT, JobKind.REPAIR: Permission.REPAIR_COUNTERS}


@admin_page(Permission.VIEW_HEALTH)
def show_health(request: HttpRequest) -> HttpResponse:
    """Show how the counters are, and how they were."""
    now = timezone.now()
    report = read_health(now=now)
    allowed = [kind for kind, permission in NEEDED.items() if permission.is_held_by(request)]
    verdict, tone = parts.describe_verdict(report.status)
    context = {
        "verdict": verdict,
        "tone": tone,
        "now": now,
        "may_audit": JobKind.AUDIT in allowed,
        "may_repair": JobKind.REPAIR in allowed,
        "in_drift": any(counter.rows_in_drift for counter in report.status.counters),
        "under_way": [job for job in report.jobs if not job.ended],
        "figures": parts.health_figures(report),
        "counters": parts.counter_table(report.status.counters, allowed=allowed),
        "problems": parts.problems_shown(report.status),
        "history": records.history_chart(report.days),
        "audits": records.audit_table(report),
        "repairs": records.repair_table(report),
        "archive": records.archive_table(report),
        "jobs": records.job_table(report),
    }
    return render_page(request, "dashboards/health.html", context, title="Counter health")
