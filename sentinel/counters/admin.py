"""The admin's pages of audits and repairs: to be read, never to be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from sentinel.counters.models import CounterAudit, CounterRepair, CounterRepairRun
from sentinel.counters.registry import declared_counters
from sentinel.long_lists import LongListAdmin

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet
    from django.http import HttpRequest


class CounterFilter(admin.SimpleListFilter):
    """By counter: those that are declared, since a table of repairs may be long to ask."""

    title = "counter"
    parameter_name = "counter"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 (Django's signature)
        """See `SimpleListFilter.lookups`."""
        return [(counter.name, counter.name) for counter in declared_counters()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002 (Django's signature)
        """See `SimpleListFilter.queryset`."""
        return queryset.filter(counter=self.value()) if self.value() else queryset


class ReadOnlyAdmin(LongListAdmin):
    """Records that nobody writes by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 (Django's signature)
        """See `ModelAdmin.has_add_permission`."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 (Django's signature)
        """See `ModelAdmin.has_change_permission`."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 (Django's signature)
        """See `ModelAdmin.has_delete_permission`."""
        return False


@admin.register(CounterAudit)
class CounterAuditAdmin(ReadOnlyAdmin):
    """Audits, the newest first."""

    list_display = (
        "counter",
        "audited_at",
        "exact",
        "rows_checked",
        "rows_in_drift",
        "largest_drift",
        "summed_drift",
        "duration",
    )
    list_filter = (CounterFilter, "exact", "audited_at")

    @admin.display(description="seconds", ordering="seconds")
    def duration(self, audit: CounterAudit) -> str:
        """Return how long the audit took, to hundredths of a second."""
        return f"{audit.seconds:.2f}"


@admin.register(CounterRepairRun)
class CounterRepairRunAdmin(ReadOnlyAdmin):
    """Runs of `repair_counters`, the newest first."""

    list_display = (
        "id",
        "started_at",
        "ended_at",
        "outcome",
        "rows_repaired",
        "rows_skipped",
        "rows_left",
        "batches",
        "database_user",
        "host",
    )
    list_filter = ("outcome", "started_at")


@admin.register(CounterRepair)
class CounterRepairAdmin(ReadOnlyAdmin):
    """Repaired rows, the newest first."""

    list_display = ("counter", "key", "before", "after", "repaired_at", "run")
    list_select_related = ("run",)
    list_filter = (CounterFilter, "repaired_at")
    search_fields = ("run__id__exact",)
    search_help_text = "The number of a run"
