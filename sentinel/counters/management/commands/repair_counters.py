"""`manage.py repair_counters`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sentinel.console import (
    COULD_NOT_RUN,
    FOUND_SOMETHING,
    ConsoleCommand,
    positive_number,
    seconds,
)
from sentinel.counters import (
    RepairLockLostError,
    RepairRunningError,
    SelectionError,
    UnknownCounterError,
    preview_repair,
    repair_counters,
    select_rows,
)
from sentinel.counters.printing import print_audits, print_repairs
from sentinel.counters.repair import DEFAULT_BATCH_SIZE, MOST_TOGETHER
from sentinel.progress import open_progress

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from sentinel.counters import Selection


class Command(ConsoleCommand):
    """Parses, repairs, prints."""

    help = (
        "Make counters right that an audit found wrong, while others go on writing: rows in drift "
        "are locked, counted and written batch by batch, each batch a transaction. What every row "
        "was before and is now is kept in counter_repairs. It can be stopped at any time and run "
        "again."
    )
    examples = """\
  manage.py repair_counters --dry-run
  manage.py repair_counters --counter chat_threads.thread_messages_count --key 4711
  manage.py audit_counters --sample 1000 --format json | manage.py repair_counters --from-json -
  manage.py repair_counters --batch-size 200 --pause 0.5       # beside very busy writers"""
    expected_errors = (
        UnknownCounterError,
        SelectionError,
        RepairRunningError,
        RepairLockLostError,
    )
    when_interrupted = "The batches that were committed stay: run it again for the rest."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument(
            "--counter",
            action="append",
            default=[],
            metavar="NAME",
            help="only this counter (table.column); may be given several times",
        )
        parser.add_argument(
            "--key",
            action="append",
            default=[],
            metavar="ID",
            help="only the row with this key of the one --counter; may be given several times",
        )
        parser.add_argument(
            "--from-json",
            metavar="FILE",
            help="only the rows that `audit_counters --format json` has listed; - for standard "
            "input. The audit's --sample says how many it lists",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="show what would be repaired, write nothing, and exit with 1 if there is anything",
        )
        parser.add_argument(
            "--batch-size",
            type=positive_number,
            metavar="N",
            help="rows of a batch; whoever writes one of them waits for it (default: "
            f"{DEFAULT_BATCH_SIZE}, some 10 milliseconds, and up to {MOST_TOGETHER} times as many "
            "while nobody else is at work)",
        )
        parser.add_argument(
            "--max-batches",
            type=positive_number,
            metavar="N",
            help="end after N batches; exits with 1 if rows are left",
        )
        parser.add_argument(
            "--pause",
            type=seconds,
            metavar="SECONDS",
            help="between two batches (default: as long as others slowed the last ones down)",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        selections = select_rows(
            options["counter"], keys=options["key"], audit=options["from_json"]
        )
        if options["dry_run"]:
            return self.preview(selections, output=options["format"])
        with open_progress(self.stderr, name="repair_counters", unit="rows") as progress:
            report = repair_counters(
                selections,
                now=timezone.now(),
                batch_size=options["batch_size"],
                max_batches=options["max_batches"],
                pause=options["pause"],
                progress=progress,
            )
        if options["format"] == "json":
            document = {"complete": report.complete, **asdict(report)}
            self.stdout.write(json.dumps(document, indent=2))
        else:
            print_repairs(self.stdout, report)
        if report.refused:
            return COULD_NOT_RUN
        return 0 if report.complete else FOUND_SOMETHING

    def preview(self, selections: list[Selection], *, output: str) -> int:
        """Print what would be repaired."""
        reports = list(preview_repair(selections))
        if output == "json":
            document = {"dry_run": True, "counters": [asdict(report) for report in reports]}
            self.stdout.write(json.dumps(document, indent=2))
        else:
            print_audits(self.stdout, reports)
            self.stdout.write("\nA dry run: nothing was written.")
        if any(report.serious_problems for report in reports):
            return COULD_NOT_RUN
        return FOUND_SOMETHING if any(report.rows_in_drift for report in reports) else 0
