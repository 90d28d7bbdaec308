"""`manage.py restore_feature_usage`."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentinel.console import ConsoleCommand
from usage.archiving.restoring import restore_month
from usage.archiving.run import ArchiveError

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(ConsoleCommand):
    """Parses, restores, prints."""

    help = (
        "Bring an archived month back into the ledger, as it was, all of it or nothing. A month "
        "that was exported and removed comes from its files, each of which is compared with its "
        "manifest first. Rows of users who are gone stay in the archive. The next run of "
        "archive_feature_usage moves the month away again."
    )
    examples = """\
  manage.py restore_feature_usage 2026-01-01
  manage.py restore_feature_usage 2026-01-01 \\
      --from /var/backups/usage/feature_usage_2026-01-01_run7.json"""
    expected_errors = (ArchiveError,)

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument(
            "month",
            type=date.fromisoformat,
            metavar="DATE",
            help="the day on which the month begins, such as 2026-01-01",
        )
        parser.add_argument(
            "--from",
            dest="manifests",
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help="the manifest of an exported file of this month; may be given several times",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        report = restore_month(options["month"], manifests=options["manifests"])
        totals = report.totals
        if options["format"] == "json":
            document = {
                "month": report.month.isoformat(),
                **totals._asdict(),
                "rows_left": report.rows_left,
            }
            self.stdout.write(json.dumps(document, indent=2))
            return 0
        self.stdout.write(
            f"{report.month:%Y-%m} is back: {totals.rows:,} rows with {totals.uses:,} uses, "
            f"{totals.events:,} events."
        )
        if report.rows_left:
            self.stdout.write(f"{report.rows_left:,} rows of users who are gone stay archived.")
        return 0
