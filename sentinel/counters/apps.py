"""The app of the counter engine."""

from django.apps import AppConfig


class CountersConfig(AppConfig):
    """Registers the guards once every model is loaded, and the system checks."""

    name = "sentinel.counters"
    label = "counters"
    verbose_name = "Counters"

    def ready(self) -> None:
        """See `AppConfig.ready`."""
        from sentinel.counters.checks import register_checks
        from sentinel.counters.citus_checks import register_citus_checks
        from sentinel.counters.registry import register_guards

        register_guards()
        register_checks()
        register_citus_checks()
