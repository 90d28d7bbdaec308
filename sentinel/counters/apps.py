"""The app of the counter engine."""

from django.apps import AppConfig


class CountersConfig(AppConfig):
    """Registers the guards once every model is loaded."""

    name = "sentinel.counters"
    label = "counters"
    verbose_name = "Counters"

    def ready(self) -> None:
        """See `AppConfig.ready`."""
        from sentinel.counters.registry import register_guards

        register_guards()
