"""Which database the demo is on: named, refused if it is one of customers, and migrated."""

from __future__ import annotations

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

THIS_MACHINE = {"", "localhost", "127.0.0.1", "::1"}


class NotForProductionError(Exception):
    """The demo was asked for where customers are served."""


def refuse_production() -> None:
    """Make sure that the demo is where it may add made-up customers and print a password.

    Raises:
        NotForProductionError: DEBUG is off, or the database is on another machine.
    """
    if not settings.DEBUG:
        raise NotForProductionError(
            "DEBUG is off, so this is no place for a demo: it adds made-up customers, and an "
            "administrator whose password it prints. Set DEBUG=on, on a database for trying."
        )
    host = str(connection.get_connection_params().get("host") or "")
    if host not in THIS_MACHINE and not host.startswith("/"):  # a path is a socket's folder
        raise NotForProductionError(
            f"The database is on {host}, and the demo would add made-up customers and an "
            "administrator to it. Unset DATABASE_URL, or point it at a server of this machine."
        )


def describe_database() -> str:
    """Return version and place of the database, in words. Connects to it."""
    connection.ensure_connection()
    server = connection.connection.info
    version = f"PostgreSQL {server.server_version // 10_000}"
    if connection.settings_dict["ENGINE"] == "sentinel.embedded":
        return f"{version}, embedded: its data is in {connection.settings_dict['HOST']}"
    return f"{version}: database {server.dbname} on {server.host}:{server.port}"


def apply_migrations(*, verbosity: int) -> int:
    """Apply what is not applied yet, and return how many migrations that was.

    Args:
        verbosity: of `migrate`.
    """
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    call_command("migrate", interactive=False, verbosity=verbosity)
    return len(pending)
