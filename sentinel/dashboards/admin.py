"""The admin's pages of jobs: to be read, never to be changed."""

from __future__ import annotations

from django.contrib import admin

from sentinel.counters.admin import ReadOnlyAdmin
from sentinel.dashboards.job_models import CounterJob


@admin.register(CounterJob)
class CounterJobAdmin(ReadOnlyAdmin):
    """Audits and repairs that were asked for, the newest first."""

    list_display = (
        "id",
        "kind",
        "state",
        "exact",
        "requested_by",
        "requested_at",
        "started_at",
        "ended_at",
        "summary",
    )
    list_filter = ("kind", "state")
