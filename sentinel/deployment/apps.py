"""The app `deployment`."""

from __future__ import annotations

from django.apps import AppConfig


class DeploymentConfig(AppConfig):
    """Brings `manage.py verify_deployment`; it has no tables."""

    name = "sentinel.deployment"
    label = "deployment"
    verbose_name = "Deployment"
