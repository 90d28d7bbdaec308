"""`manage.py write_deploy_sql`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sentinel.console import FOUND_SOMETHING, ConsoleCommand
from sentinel.deployment.scripts import find_stale_scripts, write_scripts
from sentinel.deployment.steps import StepsError

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(ConsoleCommand):
    """Parses, writes, prints."""

    help = (
        "Write deploy/*.sql, the files for psql, from the migrations. Needs no database. Exits "
        "with 1 where --check finds a file that is not what the migrations say."
    )
    examples = """\
  manage.py write_deploy_sql
  manage.py write_deploy_sql --check"""
    expected_errors = (StepsError, OSError)

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument(
            "--check", action="store_true", help="write nothing, name the files that are stale"
        )

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        if options["check"]:
            stale = find_stale_scripts()
            for path in stale:
                self.stdout.write(f"{path}: is stale, run make deploy-sql")
            return FOUND_SOMETHING if stale else 0
        for path in write_scripts():
            self.stdout.write(f"{path}: written")
        return 0
