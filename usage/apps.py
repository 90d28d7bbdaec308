"""The app `usage`."""

from __future__ import annotations

from django.apps import AppConfig


class UsageConfig(AppConfig):
    """What customers use of each feature, and how much of it their plan gives them."""

    name = "usage"
    verbose_name = "Usage"

    def ready(self) -> None:
        """See `AppConfig.ready`."""
        from sentinel.counters.status import add_status_line
        from usage.archiving.status import report_archive

        add_status_line(report_archive)
