"""`manage.py audit_counters`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sentinel.console import FOUND_SOMETHING, ConsoleCommand, natural_number
from sentinel.counters import (
    RecordingError,
    UnknownCounterError,
    audit_counters,
    find_counters,
    record_audits,
)
from sentinel.counters.audit import DEFAULT_SAMPLE
from sentinel.counters.printing import print_audits
from sentinel.pings import pinged_job

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from sentinel.counters import CounterReport


class Command(ConsoleCommand):
    """Parses, audits, prints."""

    help = (
        "Prove the counters: compare each with the rows it counts, and its triggers with what was "
        "declared. Changes neither. One statement a counter, so other writers raise no false "
        "alarm. What was found is kept in counter_audits."
    )
    examples = """\
  manage.py audit_counters
  manage.py audit_counters --counter chat_threads.thread_messages_count --sample 50
  manage.py audit_counters --format json > audit.json
  manage.py audit_counters --no-record          # by a role that may only read"""
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
        parser.add_argument(
            "--no-record",
            action="store_true",
            help="do not keep what was found, for roles that may only read",
        )

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        counters = find_counters(options["counter"])
        with pinged_job("audit-counters") as job:
            reports = list(audit_counters(counters, sample=options["sample"]))
            exact = all(report.exact for report in reports)
            job.found_something = not exact
        if options["format"] == "json":
            document = {"exact": exact, "counters": [asdict(report) for report in reports]}
            self.stdout.write(json.dumps(document, indent=2, default=str))
        else:
            print_audits(self.stdout, reports)
        if not options["no_record"]:
            self.record(reports)
        return 0 if exact else FOUND_SOMETHING

    def record(self, reports: list[CounterReport]) -> None:
        """Keep what was found, as well as it goes: the audit holds all the same."""
        try:
            record_audits(reports, now=timezone.now())
        except RecordingError as error:
            self.stderr.write(f"warning: {error}")
