"""A migration waits shortly for its locks, again and again, and says for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import DatabaseError, migrations
from django.db.migrations.state import ProjectState

from sentinel.migrating import BuildIndex, InOneTransaction, LockedOutError, Patience
from sentinel.migrating.schema_editor import PatientSchemaEditor

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from django.db.backends.base.base import BaseDatabaseWrapper

    from tests.scratch import ScratchDatabase

QUICK = Patience(attempts=60, shortest_pause=0.01, longest_pause=0.02)
ADD = "ALTER TABLE trips ADD COLUMN IF NOT EXISTS days integer"
ADD_STOPS = "ALTER TABLE stops ADD COLUMN days integer"
HAS_DAYS = "SELECT attrelid::regclass::text FROM pg_attribute WHERE attname = 'days' ORDER BY 1"


def editing(
    connection: BaseDatabaseWrapper,
    tell: Callable[[str], None] = lambda _line: None,
    *,
    atomic: bool = False,
    patience: Patience = QUICK,
) -> PatientSchemaEditor:
    return PatientSchemaEditor(connection, atomic=atomic, patience=patience, tell=tell)


def hold(session: psycopg.Connection[Any], table: str) -> int:
    session.execute("SET application_name = 'a writer'")
    session.execute("BEGIN")
    session.execute(f"INSERT INTO {table} VALUES (1)".encode())
    return session.info.backend_pid


def test_a_statement_is_tried_again_until_the_writer_is_through(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    lines: list[str] = []
    with scratch_database.connect() as writer:
        pid = hold(writer, "trips")

        def tell(line: str) -> None:
            lines.append(line)
            if str(pid) in line:
                writer.execute("COMMIT")

        with editing(busy, tell) as editor:
            editor.execute(ADD)
    assert scratch_database.rows(HAS_DAYS) == [("trips",)]
    assert "trips: process" in lines[-1]
    assert "a writer" in lines[-1]
    assert "INSERT INTO trips" in lines[-1]


def test_who_gives_up_says_who_was_in_the_way_and_what_to_do(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    patience = Patience(lock_timeout=1500, attempts=2, shortest_pause=0, longest_pause=0)
    with scratch_database.connect() as writer:
        pid = hold(writer, "trips")
        with (
            pytest.raises(LockedOutError) as raised,
            editing(busy, patience=patience) as editor,
        ):
            editor.execute(ADD)
        writer.execute("ROLLBACK")
    text = str(raised.value)
    assert raised.value.final
    for part in ("2 attempts of 1500 ms", f"trips: process {pid} (a writer", "run migrate again"):
        assert part in text
    assert scratch_database.rows(HAS_DAYS) == []


def test_a_migration_in_one_transaction_ends_at_its_first_failure(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    """While it paused, it would go on holding the locks that it has."""
    with scratch_database.connect() as writer:
        hold(writer, "stops")
        with (  # noqa: PT012 (the whole transaction)
            pytest.raises(LockedOutError) as raised,
            editing(busy, atomic=True) as editor,
        ):
            editor.execute(ADD)
            editor.execute(ADD_STOPS)
        writer.execute("ROLLBACK")
    assert not raised.value.final, "who runs the migrations begins it again"
    assert scratch_database.rows(HAS_DAYS) == []


def test_a_deferred_statement_that_fails_ends_the_transaction_too(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    """Django defers foreign keys to the end of a migration."""
    with scratch_database.connect() as writer:
        hold(writer, "stops")
        with pytest.raises(LockedOutError), editing(busy, atomic=True) as editor:
            editor.deferred_sql.append(ADD_STOPS)
        writer.execute("ROLLBACK")
    assert not busy.in_atomic_block


def test_nothing_is_set_beyond_the_transaction(busy: BaseDatabaseWrapper) -> None:
    """Behind pgbouncer the session is somebody else's afterwards."""
    with editing(busy) as editor:
        editor.execute(ADD)
    with busy.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX CONCURRENTLY made ON trips (id)",
        "DO $$ BEGIN CREATE TABLE made (); COMMIT; END $$",
    ],
)
def test_a_statement_that_commits_by_itself_runs_outside_of_a_transaction(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase, statement: str
) -> None:
    with editing(busy) as editor:
        editor.execute(statement, params=None)
    assert scratch_database.rows("SELECT to_regclass('made')::text") == [("made",)]


def test_another_error_is_not_tried_again(busy: BaseDatabaseWrapper) -> None:
    lines: list[str] = []
    with pytest.raises(DatabaseError, match="no_such_table"), editing(busy, lines.append) as editor:
        editor.execute("ALTER TABLE no_such_table ADD COLUMN days integer")
    assert lines == []


def test_what_is_to_change_at_once_is_undone_while_it_waits(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    operation = InOneTransaction(operations=[migrations.RunSQL(ADD), migrations.RunSQL(ADD_STOPS)])
    seen: list[list[tuple[str]]] = []
    with scratch_database.connect() as writer:
        pid = hold(writer, "stops")

        def tell(line: str) -> None:
            seen.append(scratch_database.rows(HAS_DAYS))
            if str(pid) in line:
                writer.execute("COMMIT")

        with editing(busy, tell) as editor:
            operation.database_forwards("trips", editor, ProjectState(), ProjectState())
    assert [] in seen
    assert all(rows == [] for rows in seen)
    assert scratch_database.rows(HAS_DAYS) == [("stops",), ("trips",)]


# ------------------------------------------------------------------------------------------ indexes

STATE = """
    SELECT indexrelid::text, indisvalid FROM pg_index WHERE indexrelid = to_regclass('idx_trips')
"""


def build(connection: BaseDatabaseWrapper, *, unique: bool = False) -> None:
    operation = BuildIndex(name="idx_trips", on="trips (id)", unique=unique)
    with editing(connection) as editor:
        operation.database_forwards("trips", editor, ProjectState(), ProjectState())


def test_an_index_that_a_failed_build_has_left_behind_is_built_anew(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    scratch_database.run("INSERT INTO trips VALUES (1), (1)")
    with pytest.raises(DatabaseError, match="duplicate"):
        build(busy, unique=True)
    [(left, valid)] = scratch_database.rows(STATE)
    assert not valid, "PostgreSQL leaves an invalid index, which IF NOT EXISTS would keep"

    scratch_database.run("DELETE FROM trips")
    build(busy, unique=True)
    [(built, valid)] = scratch_database.rows(STATE)
    assert valid
    assert built != left


def test_an_index_that_is_there_is_left_alone(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    build(busy)
    before = scratch_database.rows(STATE)
    with scratch_database.connect() as writer:
        hold(writer, "trips")
        build(busy)  # it would wait for the writer
        writer.execute("ROLLBACK")
    assert scratch_database.rows(STATE) == before
