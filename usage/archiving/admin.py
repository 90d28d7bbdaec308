"""The admin's pages of the archive: to be read, never to be changed."""

from __future__ import annotations

from django.contrib import admin

from sentinel.counters.admin import ReadOnlyAdmin
from usage.archiving.models import ArchiveRun, FeatureUsageArchive, FeatureUsageEventArchive
from usage.filters import FeatureFilter


@admin.register(ArchiveRun)
class ArchiveRunAdmin(ReadOnlyAdmin):
    """Runs of the archive, the newest first."""

    list_display = (
        "id",
        "state",
        "started_at",
        "ended_at",
        "before",
        "months_moved",
        "rows_moved",
        "events_moved",
        "batches",
        "database_user",
        "host",
        "error",
    )
    list_filter = ("state", "started_at")

    @admin.display(description="months")
    def months_moved(self, run: ArchiveRun) -> str:
        """Return the months of which something was moved."""
        return ", ".join(f"{month:%Y-%m}" for month in run.months)


class ArchivedAdmin(ReadOnlyAdmin):
    """Pages of large tables: counted nowhere, searched by what has an index."""

    show_full_result_count = False
    list_select_related = ("run",)
    list_filter = (FeatureFilter, "period_start")


@admin.register(FeatureUsageArchive)
class FeatureUsageArchiveAdmin(ArchivedAdmin):
    """Archived months, the newest first."""

    list_display = ("user_id", "feature", "usage_count", "period_start", "archived_at", "run")
    search_fields = ("user_id__exact",)
    search_help_text = "The number of a user, who may be gone"


@admin.register(FeatureUsageEventArchive)
class FeatureUsageEventArchiveAdmin(ArchivedAdmin):
    """Archived events, the newest first."""

    list_display = ("id", "user_id", "feature", "quantity", "occurred_at", "source", "run")
    search_fields = ("id__exact",)
    search_help_text = "The number of an event"
