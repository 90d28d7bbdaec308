"""The app `demo`."""

from __future__ import annotations

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Brings `manage.py demo`; it has no tables."""

    name = "sentinel.demo"
    label = "demo"
    verbose_name = "Demo"
