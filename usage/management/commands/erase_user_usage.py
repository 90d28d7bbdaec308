"""`manage.py erase_user_usage`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sentinel.console import ConsoleCommand, positive_number, print_table
from usage.archiving.erasing import erase_usage, find_usage
from usage.archiving.run import ArchiveError

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(ConsoleCommand):
    """Parses, erases, prints."""

    help = (
        "Erase what is known of a person's usage. An account that is deleted takes its usage in "
        "the ledger along, and leaves what was archived under its number, which names nobody any "
        "more: this erases that too, with the idempotency keys, which somebody else may have made "
        "of names, and with what was refused. Delete the account first: one that is still there "
        "counts from zero again. "
        "Files that were exported and backups are not reached: delete or edit those by hand."
    )
    examples = """\
  manage.py erase_user_usage 4711 --dry-run
  manage.py erase_user_usage 4711"""
    expected_errors = (ArchiveError,)

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument(
            "user", type=positive_number, metavar="USER", help="the number of the account"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be erased, and erase nothing"
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        act = find_usage if options["dry_run"] else erase_usage
        erased = act(options["user"])
        if options["format"] == "json":
            document = {"dry_run": options["dry_run"], **asdict(erased)}
            self.stdout.write(json.dumps(document, indent=2))
            return 0
        if erased.nothing:
            self.stdout.write(f"Nothing is known of the usage of user {erased.user_id}.")
            return 0
        print_table(
            self.stdout,
            ("where", "rows", "events", "keys"),
            [
                ("ledger", erased.rows, erased.events, 0),
                ("archive", erased.archived_rows, erased.archived_events, erased.keys),
                ("refused", erased.refusals, 0, 0),
            ],
        )
        if options["dry_run"]:
            self.stdout.write("\nA dry run: nothing was erased.")
        return 0
