"""`manage.py explain_counters`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sentinel.console import FOUND_SOMETHING, ConsoleCommand, print_table
from sentinel.counters import UnknownCounterError, find_counters
from sentinel.counters.explaining import (
    Comparison,
    Explanation,
    UnknownRowError,
    explain_counter,
)
from sentinel.counters.printing import print_problems

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(ConsoleCommand):
    """Parses, explains, prints."""

    help = (
        "Show what the counters save: for real rows, the plan and time of counting beside the plan "
        "and time of reading the counter, and the indexes that serve both. Reads only; each query "
        "runs twice, and the second run is shown. Exits with 1 where an index is missing or "
        "invalid, or a row of a table above 1 MB is read without one."
    )
    examples = """\
  manage.py explain_counters
  manage.py explain_counters --counter chat_threads.thread_messages_count --key 123
  manage.py explain_counters --format json"""
    expected_errors = (UnknownCounterError, UnknownRowError)

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
            help="look at this row; may be given several times, with one --counter (default: the "
            "row with the highest counter and the middle one of those above 0, by the counter "
            "itself, so that nothing is counted to find them)",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        counters = find_counters(options["counter"])
        if options["key"] and len(counters) != 1:
            self.give_up("--key needs one --counter: a key is one of a table.")
        explanations = [explain_counter(counter, keys=options["key"]) for counter in counters]
        if options["format"] == "json":
            self.stdout.write(json.dumps([as_document(e) for e in explanations], indent=2))
        else:
            self.print_explanations(explanations)
        return FOUND_SOMETHING if any(e.problems for e in explanations) else 0

    def print_explanations(self, explanations: list[Explanation]) -> None:
        """Print plans, indexes and what is wrong with them."""
        lines = [
            line
            for explanation in explanations
            for comparison in explanation.comparisons
            for line in describe(explanation.counter, comparison)
        ]
        if lines:
            header = ("counter", "row", "key", "query", "plan", "index", "rows", "pages", "ms")
            print_table(self.stdout, header, lines)
        for explanation in explanations:
            if not explanation.comparisons:
                self.stdout.write(f"{explanation.counter}: no row counts anything yet.")
        self.stdout.write("\nIndexes:")
        print_table(
            self.stdout,
            ("table", "index", "columns", "size", "scans", "state"),
            sorted(
                {
                    (
                        index.table,
                        index.name,
                        ", ".join(column or "(expression)" for column in index.columns),
                        f"{index.size / 1024:,.0f} kB",
                        index.scans,
                        "valid" if index.valid else "INVALID",
                    )
                    for explanation in explanations
                    for index in explanation.indexes
                }
            ),
        )
        problems = (problem for e in explanations for problem in e.problems)
        print_problems(self.stdout, dict.fromkeys(problems))


def describe(counter: str, comparison: Comparison) -> list[tuple[object, ...]]:
    """Return the two lines of a comparison."""
    value = "NULL" if comparison.value is None else f"{comparison.value:,}"
    return [
        (
            *(("", "", "") if line else (counter, comparison.row, comparison.key)),
            f"with it: {value}, {comparison.ratio:,.1f} times as fast"
            if line
            else "without the counter",
            plan.node,
            ", ".join(plan.indexes) or "none",
            plan.rows,
            plan.buffers,
            f"{plan.milliseconds:.3f}",
        )
        for line, plan in enumerate((comparison.counted, comparison.read))
    ]


def as_document(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation for JSON, the ratios included."""
    return {
        "counter": explanation.counter,
        "comparisons": [
            asdict(comparison) | {"ratio": round(comparison.ratio, 1)}
            for comparison in explanation.comparisons
        ],
        "indexes": [index._asdict() for index in explanation.indexes],
        "problems": [asdict(problem) for problem in explanation.problems],
    }
