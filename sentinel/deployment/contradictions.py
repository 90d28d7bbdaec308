"""What a database that was there before us has otherwise than the migrations expect it."""

from __future__ import annotations

from pathlib import Path

from django.db import DatabaseError, connections, transaction
from django.db.migrations.recorder import MigrationRecorder

ROOT = Path(__file__).parents[2]
CHECK = ROOT / "sentinel/accounts/migrations/sql/legacy_check.sql"
EXPECTED = {
    app: ROOT / f"{folder}/migrations/sql/0001_expected.sql"
    for app, folder in (
        ("accounts", "sentinel/accounts"),
        ("threads", "threads"),
        ("itineraries", "itineraries"),
        ("usage", "usage"),
    )
}
FIRST = "0001_legacy"
CONTRADICTED = "55000"  # object_not_in_prerequisite_state, which the check raises


class ContradictionError(Exception):
    """The database cannot be taken over as it is."""


def refuse_contradictions(*, using: str) -> None:
    """Look at all tables that are about to be taken over, and change none of them.

    The first migration of each app looks at its own; here they are looked at together, before the
    first of them runs.

    Raises:
        ContradictionError: tables, columns and constraints that are otherwise than expected, by
            name, each in a line.
    """
    connection = connections[using]
    applied = MigrationRecorder(connection).applied_migrations()
    expected = [path for app, path in EXPECTED.items() if (app, FIRST) not in applied]
    if not expected:
        return
    statements = [path.read_text(encoding="utf-8") for path in (CHECK, *expected)]
    try:
        with transaction.atomic(using=using), connection.cursor() as cursor:
            for statement in (*statements, "SELECT pg_temp.refuse_contradictions()"):
                cursor.execute(statement)
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) != CONTRADICTED:
            raise
        raise ContradictionError(str(error).strip()) from error
