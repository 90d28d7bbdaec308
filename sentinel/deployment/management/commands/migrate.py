"""`manage.py migrate`: Django's own, on a database that others write meanwhile."""

from __future__ import annotations

from typing import Any

from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import DatabaseError

from sentinel.console import ConsoleCommand
from sentinel.deployment.contradictions import ContradictionError, refuse_contradictions
from sentinel.migrating import DeployerAtWorkError, LockedOutError, run_migrations


class Command(ConsoleCommand, DjangoMigrate):
    """Parses, and runs Django's command alone, patiently, after a look at the tables."""

    help = (
        "Apply migrations, or take them back. One deployer at a time; each step waits for half a "
        "second for its locks and is tried again for a minute. Tables that contradict what is "
        "expected are named before anything is changed. What was stopped is simply run again."
    )
    examples = """\
  manage.py migrate                  everything, on an empty, a partial or the deployed database
  manage.py migrate --plan           what it would do
  manage.py migrate threads 0001     back to the deployed system's threads"""
    when_interrupted = "The steps that were done stay; run it again for the rest."
    expected_errors = (ContradictionError, DeployerAtWorkError, LockedOutError)

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""

        def migrate() -> None:
            DjangoMigrate.handle(self, **options)

        if options["plan"] or options["check_unapplied"]:
            migrate()
            return 0
        using = options["database"]
        try:
            run_migrations(
                migrate,
                using=using,
                tell=self.stderr.write,
                before=lambda: refuse_contradictions(using=using),
            )
        except DatabaseError as error:
            self.give_up(f"database: {str(error).strip()}")  # with its detail and its hint
        return 0
