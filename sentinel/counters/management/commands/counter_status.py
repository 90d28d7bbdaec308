"""`manage.py counter_status`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sentinel.console import FOUND_SOMETHING, ConsoleCommand, print_table
from sentinel.counters.exposition import expose_status
from sentinel.counters.printing import print_problems
from sentinel.counters.status import (
    DEFAULT_MAX_AGE,
    CounterStatus,
    StatusReport,
    report_status,
)

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

HOUR = timedelta(hours=1)


class Command(ConsoleCommand):
    """Parses, reports, prints."""

    help = (
        "Show how the counters are: when each was last audited and what was found, what the health "
        "check says, and how the indexes are used. Counts nothing itself. Exits with 1 where an "
        "audit is missing or too old, found drift, or something would let a counter drift."
    )
    examples = """\
  manage.py counter_status
  manage.py counter_status --max-age 2 --format json

  For a node exporter's textfile collector, which must never see half a file; exit code 1 is to
  be seen as well, so the file is taken with 0 and 1:
  manage.py counter_status --format prometheus > sentinel.$$; \\
    test $? -le 1 && mv sentinel.$$ sentinel.prom"""

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument("--format", choices=("table", "json", "prometheus"), default="table")
        parser.add_argument(
            "--max-age",
            type=hours,
            default=DEFAULT_MAX_AGE,
            metavar="HOURS",
            help="how old the last audit of a counter may be (default: 26, which is an audit each "
            "night and two hours for it to be late)",
        )

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        report = report_status(now=timezone.now(), max_age=options["max_age"])
        if options["format"] == "prometheus":
            self.stdout.write(expose_status(report))
        elif options["format"] == "json":
            self.stdout.write(json.dumps(as_document(report), indent=2))
        else:
            self.print_report(report)
        return 0 if report.ok else FOUND_SOMETHING

    def print_report(self, report: StatusReport) -> None:
        """Print everything as tables."""
        print_table(
            self.stdout,
            (
                "counter",
                "last audit, UTC",
                "age",
                "rows",
                "in drift",
                "kept",
                "HOT updates",
                "status",
            ),
            [describe(status) for status in report.counters],
        )
        oldest = "never" if report.oldest_age is None else f"{report.oldest_age / HOUR:.1f} h ago"
        self.stdout.write(f"\nOldest audit: {oldest}. Indexes, with their scans:")
        print_table(
            self.stdout,
            ("table", "index", "size", "scans", "state"),
            sorted(
                {
                    (i.table, i.name, f"{i.size / 1024:,.0f} kB", i.scans, state_of(valid=i.valid))
                    for status in report.counters
                    for i in status.indexes
                }
            ),
        )
        for line in report.lines:
            self.stdout.write(f"\n{line.name}: {'ok' if line.ok else 'NOT OK'}. {line.message}")
        problems = [p for status in report.counters for p in status.problems]
        print_problems(self.stdout, dict.fromkeys([*problems, *report.problems]))


def describe(status: CounterStatus) -> tuple[object, ...]:
    """Return the cells of a counter's line."""
    audit, ratio = status.last_audit, status.updates.hot_ratio
    wrong = len(status.serious_problems)
    return (
        status.counter,
        f"{audit.audited_at.astimezone(UTC):%Y-%m-%d %H:%M}" if audit else "never",
        "" if status.age is None else f"{status.age / HOUR:.1f} h",
        f"{audit.rows_checked:,}" if audit else "",
        f"{audit.rows_in_drift:,}" if audit else "",
        f"{wrong} wrong" if wrong else "ok",
        "" if ratio is None else f"{ratio:.0%}",
        "ok" if status.ok else "OVERDUE" if status.overdue else "WRONG",
    )


def state_of(*, valid: bool) -> str:
    """Return the word for an index."""
    return "valid" if valid else "INVALID"


def as_document(report: StatusReport) -> dict[str, Any]:
    """Return a report for JSON: ages in seconds, times in ISO format."""
    return {
        "ok": report.ok,
        "now": report.now.isoformat(),
        "oldest_audit_age_seconds": seconds(report.oldest_age),
        "counters": [
            {
                "counter": status.counter,
                "ok": status.ok,
                "audited_at": status.last_audit and status.last_audit.audited_at.isoformat(),
                "audit_age_seconds": seconds(status.age),
                "overdue": status.overdue,
                "rows_checked": status.last_audit and status.last_audit.rows_checked,
                "rows_in_drift": status.rows_in_drift,
                "parent_updates": status.updates.all,
                "hot_update_ratio": status.updates.hot_ratio,
                "indexes": [index._asdict() for index in status.indexes],
                "problems": [asdict(problem) for problem in status.problems],
            }
            for status in report.counters
        ],
        "others": [
            {"name": line.name, "ok": line.ok, "message": line.message}
            | {"figures": {figure.name: figure.value for figure in line.figures}}
            for line in report.lines
        ],
        "problems": [asdict(problem) for problem in report.problems],
    }


def seconds(age: timedelta | None) -> float | None:
    """Return an age in seconds."""
    return None if age is None else round(age.total_seconds(), 1)


def hours(text: str) -> timedelta:
    """Parse a number of hours, such as 26 or 0.5."""
    try:
        age = timedelta(hours=float(text))
    except (ValueError, OverflowError):
        age = timedelta(0)
    if age <= timedelta(0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours above 0")
    return age
