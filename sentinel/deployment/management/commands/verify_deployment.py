"""`manage.py verify_deployment`."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from sentinel.console import FOUND_SOMETHING, ConsoleCommand
from sentinel.deployment.checklists import AFTER, BEFORE, run_checklist, worst_state
from sentinel.deployment.findings import Deployment, Finding, State
from sentinel.deployment.monitoring import (
    Reading,
    Summary,
    summarise_readings,
    watch_deployment,
)

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

DEFAULT_DURATION = timedelta(hours=24)  # the guide's first day
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Command(ConsoleCommand):
    """Parses, asks, prints."""

    help = (
        "Go through the deployment guide's checklists. Everything runs in transactions that are "
        "rolled back: nothing is changed (a sequence may leave a gap). Exits with 1 where a line "
        "is failed; a warning is for somebody to look at."
    )
    examples = """\
  manage.py verify_deployment --before --backup-acknowledged
  manage.py verify_deployment --after --format json
  manage.py verify_deployment --watch 60 --for 24h"""

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--before", action="store_true", help="the checklist for before the deployment"
        )
        which.add_argument(
            "--after", action="store_true", help="the one for after it (the default)"
        )
        which.add_argument(
            "--watch",
            type=duration,
            metavar="SECONDS",
            help="look at drift and usage each so many seconds, a line each time, and sum up at "
            "the end or at Ctrl-C. Each time is a whole audit: 60 is fine where one takes seconds",
        )
        parser.add_argument(
            "--for",
            dest="duration",
            type=duration,
            metavar="DURATION",
            help="how long to watch, such as 90s, 30m or 24h (default: 24h)",
        )
        parser.add_argument(
            "--backup-acknowledged",
            action="store_true",
            help="say that there is a backup, which no program can see",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        if options["duration"] and not options["watch"]:
            self.give_up("--for needs --watch: it says how long to watch.")
        if options["backup_acknowledged"] and not options["before"]:
            self.give_up("--backup-acknowledged needs --before: afterwards it is too late.")
        if options["watch"]:
            return self.watch(options)
        deployment = Deployment(
            now=timezone.now(),
            backup_acknowledged=options["backup_acknowledged"],
            log_file=Path(settings.BASE_DIR) / "logs" / "sentinel-api.log",
        )
        findings = []
        for finding in run_checklist(BEFORE if options["before"] else AFTER, deployment):
            findings.append(finding)
            if options["format"] == "table":
                self.print_finding(finding)
        state = worst_state(findings)
        if options["format"] == "json":
            document = {"state": state, "findings": [finding._asdict() for finding in findings]}
            self.stdout.write(json.dumps(document, indent=2, default=str))
        else:
            self.stdout.write(f"\n{count_states(findings)}.")
        return FOUND_SOMETHING if state is State.FAILED else 0

    def print_finding(self, finding: Finding) -> None:
        """Print a line, and what to do below it."""
        self.stdout.write(f"{finding.state:<7}  {finding.id}: {finding.message}")
        if finding.cure:
            self.stdout.write(f"           {finding.cure}")

    def watch(self, options: dict[str, Any]) -> int:
        """Print a line for each reading, and a summary. Ctrl-C is a way to end it."""
        readings: list[Reading] = []
        try:
            for reading in watch_deployment(
                every=options["watch"],
                duration=options["duration"] or DEFAULT_DURATION,
                clock=timezone.now,
                sleep=sleep,
            ):
                readings.append(reading)
                document = asdict(reading) | {"at": reading.at.isoformat()}
                self.stdout.write(
                    json.dumps(document)
                    if options["format"] == "json"
                    else describe_reading(reading)
                )
        except KeyboardInterrupt:
            self.stderr.write("interrupted.")
        summary = summarise_readings(readings)
        self.stdout.write(
            json.dumps({"summary": asdict(summary)})
            if options["format"] == "json"
            else describe_summary(summary)
        )
        return 0 if summary.ok else FOUND_SOMETHING


def count_states(findings: list[Finding]) -> str:
    """Return how many lines are in which state."""
    numbers = {state: sum(finding.state is state for finding in findings) for state in State}
    return ", ".join(f"{number} {state}" for state, number in numbers.items())


def describe_reading(reading: Reading) -> str:
    """Return the line of a reading."""
    at = f"{reading.at:%Y-%m-%d %H:%M:%S %Z}"
    if reading.error:
        return f"{at}  could not be seen: {reading.error}"
    wrong = [f"{number:,} in {counter}" for counter, number in reading.drift.items() if number]
    found = ", ".join([*wrong, *reading.problems]) or "exact"
    return (
        f"{at}  {reading.rows:,} rows: {found}; "
        f"usage this month: {reading.features} features, {reading.uses:,} uses"
    )


def describe_summary(summary: Summary) -> str:
    """Return the last line."""
    return (
        f"\n{summary.readings} readings in {timedelta(seconds=round(summary.seconds))}: "
        f"{summary.in_drift} with drift or a problem (at most {summary.worst:,} rows), "
        f"{summary.errors} failed; {summary.uses_added:,} uses were counted meanwhile."
    )


def duration(text: str) -> timedelta:
    """Parse a time such as 60, 90s, 30m, 24h or 2d."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smhd]?)", text.strip())
    length = timedelta(**{UNITS[found[2] or "s"]: float(found[1])}) if found else timedelta(0)
    if not length:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time above 0: write seconds, or 90s, 30m, 24h, 2d"
        )
    return length
