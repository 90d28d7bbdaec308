"""`manage.py refresh_usage_summary`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sentinel.console import ConsoleCommand
from sentinel.pings import pinged_job
from usage.archiving.summary import SummaryRunningError
from usage.reporting.refreshing import refresh_reports

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(ConsoleCommand):
    """Refreshes, prints."""

    help = (
        "Refresh what reports read, while others read it: feature_usage_summary, the usage of each "
        "feature in this month and the three before it, and the uses of each day of this month and "
        "the last. Exits with 2 where somebody else is refreshing the summary."
    )
    examples = """\
  manage.py refresh_usage_summary
  manage.py refresh_usage_summary --every-month"""
    expected_errors = (SummaryRunningError,)

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument(
            "--every-month",
            action="store_true",
            help="count the days of all months, archived ones included: where something was "
            "written into months before the last",
        )

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        with pinged_job("refresh-usage-summary"):
            done = refresh_reports(now=timezone.now(), every_month=options["every_month"])
        self.stdout.write(f"feature_usage_summary was refreshed in {done.summary_seconds:.1f} s.")
        months = ", ".join(f"{month:%Y-%m}" for month in done.months)
        self.stdout.write(f"The days of {months} were counted in {done.days_seconds:.1f} s.")
        return 0
