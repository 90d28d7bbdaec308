"""`manage.py audit_counters`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sentinel.console import FOUND_SOMETHING, ConsoleCommand, natural_number, print_table
from sentinel.counters import CounterReport, UnknownCounterError, audit_counters, find_counters
from sentinel.counters.audit import DEFAULT_SAMPLE

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(ConsoleCommand):
    """Parses, audits, prints."""

    help = (
        "Prove the counters: compare each with the rows it counts, and its triggers with what was "
        "declared. Reads only. One statement a counter, so other writers raise no false alarm."
    )
    examples = """\
  manage.py audit_counters
  manage.py audit_counters --counter chat_threads.thread_messages_count --sample 50
  manage.py audit_counters --format json > audit.json"""
    expected_errors = (UnknownCounterError,)

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument(
            "--counter",
            action="append",
            default=[],
            metavar="NAME",
            help="only this counter (table.column); may be given several times",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")
        parser.add_argument(
            "--sample",
            type=natural_number,
            default=DEFAULT_SAMPLE,
            metavar="N",
            help="show at most N rows of each counter, the worst first (default: %(default)s)",
        )

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        counters = find_counters(options["counter"])
        reports = list(audit_counters(counters, sample=options["sample"]))
        exact = all(report.exact for report in reports)
        if options["format"] == "json":
            document = {"exact": exact, "counters": [asdict(report) for report in reports]}
            self.stdout.write(json.dumps(document, indent=2, default=str))
        else:
            self.print_reports(reports)
        return 0 if exact else FOUND_SOMETHING

    def print_reports(self, reports: list[CounterReport]) -> None:
        """Print what was found as tables."""
        print_table(
            self.stdout,
            ("counter", "rows", "in drift", "largest", "summed", "seconds", "triggers", "result"),
            [
                (
                    report.counter,
                    report.rows_checked,
                    report.rows_in_drift,
                    report.largest_drift,
                    report.summed_drift,
                    f"{report.seconds:.3f}",
                    f"{len(report.problems)} wrong" if report.problems else "ok",
                    "exact" if report.exact else "NOT EXACT",
                )
                for report in reports
            ],
        )
        drifts = [drift for report in reports for drift in report.sample]
        if drifts:
            self.stdout.write("\nRows in drift, the worst of each counter first:")
            print_table(
                self.stdout,
                ("counter", "key", "stored", "actual", "mirrors"),
                [
                    (
                        drift.counter,
                        str(drift.key),  # to be copied: without separators
                        "NULL" if drift.stored is None else drift.stored,
                        drift.actual,
                        " ".join(
                            f"{column}={'NULL' if value is None else value}"
                            for column, value in drift.mirrors.items()
                        ),
                    )
                    for drift in drifts
                ],
            )
        for report in reports:
            for problem in report.problems:
                self.stdout.write(f"\n{problem.id}: {problem.message}\n  {problem.cure}")
