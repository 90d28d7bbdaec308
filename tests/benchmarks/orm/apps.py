"""The app of the ORM's peers."""

from django.apps import AppConfig


class PeersConfig(AppConfig):
    """Connects the signals, and has django-computedfields listen only while it is measured."""

    name = "tests.benchmarks.orm"
    label = "bench_peers"

    def ready(self) -> None:
        """See `AppConfig.ready`."""
        from tests.benchmarks.orm.listening import stop_listening
        from tests.benchmarks.orm.signals import connect_signals

        connect_signals()
        stop_listening()
