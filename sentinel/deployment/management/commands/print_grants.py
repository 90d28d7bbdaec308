"""`manage.py print_grants`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sentinel.console import ConsoleCommand
from sentinel.deployment.roles import Roles, RolesError, grants_sql, preparation_sql

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(ConsoleCommand):
    """Parses, renders, prints."""

    help = (
        "Print the SQL that gives four roles their rights: the owner alone can touch a trigger, "
        "both applications write rows, the reporter audits. Needs no database; run what it prints "
        "as a superuser, after migrating."
    )
    examples = """\
  manage.py print_grants --before --owner sentinel_owner --application sentinel \\
      --existing travel --reporter grafana > before.sql
  manage.py print_grants --owner sentinel_owner --application sentinel \\
      --existing travel --reporter grafana > grants.sql"""
    expected_errors = (RolesError,)

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        for role, what in (
            ("owner", "owns the tables and functions, and migrates"),
            ("application", "our application's"),
            ("existing", "that of the application which was there before ours"),
            ("reporter", "reads what is audited: audit_counters --no-record, counter_status"),
        ):
            parser.add_argument(f"--{role}", required=True, metavar="NAME", help=what)
        parser.add_argument(
            "--before",
            action="store_true",
            help="print instead what the owner needs before it can migrate",
        )

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        roles = Roles(
            owner=options["owner"],
            application=options["application"],
            existing=options["existing"],
            reporter=options["reporter"],
        )
        printed = preparation_sql(roles) if options["before"] else grants_sql(roles)
        self.stdout.write(printed, ending="")
        return 0
