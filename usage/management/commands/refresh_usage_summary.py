"""`manage.py refresh_usage_summary`."""

from __future__ import annotations

from typing import Any

from sentinel.console import ConsoleCommand
from sentinel.pings import pinged_job
from usage.archiving.summary import SummaryRunningError, refresh_summary


class Command(ConsoleCommand):
    """Refreshes, prints."""

    help = (
        "Refresh feature_usage_summary, the usage of each feature in this month and the three "
        "before it, while others read it. Exits with 2 where somebody else is refreshing it."
    )
    examples = """\
  manage.py refresh_usage_summary"""
    expected_errors = (SummaryRunningError,)

    def run(self, **options: Any) -> int:  # noqa: ARG002 (there are none of its own)
        """See `ConsoleCommand.run`."""
        with pinged_job("refresh-usage-summary"):
            took = refresh_summary()
        self.stdout.write(f"feature_usage_summary was refreshed in {took:.1f} s.")
        return 0
