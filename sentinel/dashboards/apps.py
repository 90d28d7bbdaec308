"""The app `dashboards`."""

from __future__ import annotations

from django.apps import AppConfig


class DashboardsConfig(AppConfig):
    """Pages of figures, and who may see and do what on them."""

    name = "sentinel.dashboards"
    label = "dashboards"
    verbose_name = "Dashboards"
