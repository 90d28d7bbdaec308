"""`manage.py print_backfill`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sentinel.console import ConsoleCommand, positive_number
from sentinel.counters import UnknownCounterError, backfill_sql, find_counters
from sentinel.counters.backfill import DEFAULT_BATCH_SIZE

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(ConsoleCommand):
    """Parses, renders, prints."""

    help = (
        "Print the SQL that fills a counter of a table which holds rows already: the repair, in "
        "batches that it commits, as one statement for a migration. Needs no database."
    )
    examples = """\
  manage.py print_backfill library_shelf.lent_books_count > library/migrations/sql/0004_backfill.sql"""  # noqa: E501 (one command line)
    expected_errors = (UnknownCounterError,)

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument("counter", metavar="NAME", help="the counter (table.column)")
        parser.add_argument(
            "--batch-size",
            type=positive_number,
            default=DEFAULT_BATCH_SIZE,
            metavar="N",
            help="rows of a batch (default: %(default)s)",
        )

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        [counter] = find_counters([options["counter"]])
        self.stdout.write(backfill_sql(counter, batch_size=options["batch_size"]), ending="")
        return 0
