"""Who may see and do what on the dashboards. Nothing is stored for it but the permissions."""

from __future__ import annotations

from django.db import models

from sentinel.dashboards.job_models import CounterJob

__all__ = ["CounterJob", "Dashboards"]


class Dashboards(models.Model):  # noqa: DJ008 (there is none to be shown)
    """Holds the permissions; there is no table."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (
            ("view_usage_dashboard", "Can see what customers use"),
            ("export_usage", "Can download what customers use"),
            ("view_health_dashboard", "Can see the health of the counters"),
            ("run_audit", "Can have the counters audited"),
            ("repair_counters", "Can have wrong counters repaired"),
            ("view_emails", "Can see the email addresses of customers on the dashboards"),
        )
