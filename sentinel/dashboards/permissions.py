"""The permissions of the dashboards, by name. Each is declared in `sentinel.dashboards.models`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpRequest


class Permission(StrEnum):
    """What `has_perm` of a user is asked for."""

    VIEW_USAGE = "dashboards.view_usage_dashboard"
    EXPORT_USAGE = "dashboards.export_usage"
    VIEW_HEALTH = "dashboards.view_health_dashboard"
    RUN_AUDIT = "dashboards.run_audit"
    REPAIR_COUNTERS = "dashboards.repair_counters"
    VIEW_EMAILS = "dashboards.view_emails"

    def is_held_by(self, request: HttpRequest) -> bool:
        """Tell whether the user of a request has it."""
        return request.user.has_perm(self.value)
