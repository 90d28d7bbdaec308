"""`manage.py run_counter_job`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sentinel.console import FOUND_SOMETHING, ConsoleCommand, natural_number
from sentinel.dashboards.job_running import EXPECTED_ERRORS, JobError, run_job

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(ConsoleCommand):
    """Parses, runs, prints."""

    help = (
        "Run an audit or a repair that somebody has asked for on the page of the counters' health. "
        "The page starts this by itself; by hand it is of use where it could not."
    )
    examples = """\
  manage.py run_counter_job 12"""
    when_interrupted = "What was committed stays; the job can be asked for again."
    expected_errors = (JobError, *EXPECTED_ERRORS)

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument("job", type=natural_number, metavar="NUMBER", help="of the job")

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        result = run_job(options["job"], now=timezone.now())
        self.stdout.write(result.summary)
        return 0 if result.exact else FOUND_SOMETHING
