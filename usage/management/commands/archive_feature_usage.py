"""`manage.py archive_feature_usage`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sentinel.console import ConsoleCommand, natural_number, positive_number, print_table
from sentinel.pings import pinged_job
from sentinel.progress import open_progress
from usage.archiving.archive import DEFAULT_BATCH_SIZE, archive_usage, preview_archive
from usage.archiving.retention import DEFAULT_MONTHS, RetentionError, archive_before
from usage.archiving.run import ArchiveError
from usage.archiving.summary import SummaryRunningError, refresh_summary

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from usage.archiving.archive import ArchiveReport


class Command(ConsoleCommand):
    """Parses, archives, prints."""

    help = (
        "Move usage of old months with its events from feature_usage and feature_usage_events to "
        "feature_usage_archive and feature_usage_events_archive, batch by batch, while others go "
        "on counting. Rows and sums are compared before each commit. It can be stopped at any time "
        "and run again. A late event of an archived month is taken, and follows with the next run; "
        "an idempotency key stays used."
    )
    examples = """\
  manage.py archive_feature_usage --dry-run
  manage.py archive_feature_usage --refresh                # monthly, see deploy/crontab
  manage.py archive_feature_usage --months 12 --export /var/backups/usage --delete-exported
  manage.py archive_feature_usage --before 2026-01-01 --format json"""
    expected_errors = (RetentionError, ArchiveError, SummaryRunningError)
    when_interrupted = "The batches that were committed stay archived: run it again for the rest."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--months",
            type=natural_number,
            default=DEFAULT_MONTHS,
            metavar="N",
            help="archive months that began more than N months before this one (default: "
            "%(default)s, which is longer than anybody disputes a bill)",
        )
        which.add_argument(
            "--before",
            type=date.fromisoformat,
            metavar="DATE",
            help="archive the months before that of this day, such as 2026-01-01",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be moved, and write nothing"
        )
        parser.add_argument(
            "--batch-size",
            type=positive_number,
            default=DEFAULT_BATCH_SIZE,
            metavar="N",
            help="rows of feature_usage that are moved at once; who counts in one of them waits "
            "(default: %(default)s, some 0.1 seconds where each has ten events)",
        )
        parser.add_argument(
            "--export",
            type=Path,
            metavar="DIR",
            help="afterwards write each archived month to a file in this folder, with a manifest",
        )
        parser.add_argument(
            "--delete-exported",
            action="store_true",
            help="remove from the archive what is in such a file, read back and agreeing; the last "
            "three months stay, since the summary reads them",
        )
        parser.add_argument(
            "--refresh", action="store_true", help="refresh feature_usage_summary afterwards"
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        if options["delete_exported"] and not options["export"]:
            self.give_up("--delete-exported removes what is in files: give --export DIR as well.")
        now = timezone.now()
        before = archive_before(now=now, months=options["months"], before=options["before"])
        if options["dry_run"]:
            return self.preview(before, output=options["format"])
        with (
            pinged_job("archive-feature-usage"),
            open_progress(self.stderr, name="archive_feature_usage", unit="rows") as progress,
        ):
            report = archive_usage(
                before=before,
                now=now,
                batch_size=options["batch_size"],
                export_to=options["export"],
                delete_exported=options["delete_exported"],
                progress=progress,
            )
            if options["refresh"]:
                refresh_summary()
        if options["format"] == "json":
            self.stdout.write(json.dumps(as_document(report), indent=2))
        else:
            self.print_report(report)
        return 0

    def preview(self, before: date, *, output: str) -> int:
        """Print what would be moved."""
        waiting = preview_archive(before=before)
        if output == "json":
            months = [{**month._asdict(), "month": month.month.isoformat()} for month in waiting]
            document = {"dry_run": True, "before": before.isoformat(), "months": months}
            self.stdout.write(json.dumps(document, indent=2))
            return 0
        if waiting:
            rows = [(f"{month:%Y-%m}", rows, uses) for month, rows, uses in waiting]
            print_table(self.stdout, ("month", "rows", "uses"), rows)
        else:
            self.stdout.write(nothing_to_do(before))
        self.stdout.write("\nA dry run: nothing was written.")
        return 0

    def print_report(self, report: ArchiveReport) -> None:
        """Print what was moved and exported."""
        if report.months:
            rows = [(f"{month:%Y-%m}", rows, events) for month, rows, events in report.months]
            print_table(self.stdout, ("month", "rows", "events"), rows)
            self.stdout.write(
                f"\nRun {report.run} archived {report.rows:,} rows with {report.events:,} events "
                f"in {report.batches:,} batches, {report.seconds:.1f} s."
            )
        else:
            self.stdout.write(nothing_to_do(report.before))
        if report.exported:
            self.stdout.write("")
            print_table(
                self.stdout,
                ("file", "rows", "events", "written", "in the archive"),
                [
                    (
                        month.manifest.file,
                        month.manifest.rows,
                        month.manifest.events,
                        "now" if month.written else "before",
                        "removed" if month.deleted else "kept",
                    )
                    for month in report.exported
                ],
            )


def nothing_to_do(before: date) -> str:
    """Return the line of a run that has found nothing."""
    return f"Nothing to archive: no usage of a month before {before:%Y-%m} is in the ledger."


def as_document(report: ArchiveReport) -> dict[str, Any]:
    """Return a report for JSON."""
    return {
        "run": report.run,
        "before": report.before.isoformat(),
        "rows": report.rows,
        "events": report.events,
        "batches": report.batches,
        "seconds": report.seconds,
        "months": [
            {"month": month.isoformat(), "rows": rows, "events": events}
            for month, rows, events in report.months
        ],
        "exported": [
            {**asdict(month.manifest), "written": month.written, "deleted": month.deleted}
            for month in report.exported
        ],
    }
