"""Constraints that are added to tables that others write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import IntegrityError
from django.db.migrations.state import ProjectState

from sentinel.migrating import AddConstraint, RequireValue
from sentinel.migrating.schema_editor import PatientSchemaEditor

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.operations.base import Operation

    from tests.scratch import ScratchDatabase

FOUND = """
    SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint
     WHERE conrelid = 'stops'::regclass AND contype <> 'n' ORDER BY 1
"""
UNIQUE = AddConstraint(table="stops", name="stops_id_key", columns=["id"])
CHECKED = AddConstraint(table="stops", name="stops_id_check", columns=["id"], check="id > 0")
REFERRING = AddConstraint(
    table="stops", name="stops_trip", columns=["id"], foreign_key="REFERENCES trips"
)


def apply(connection: BaseDatabaseWrapper, operation: Operation) -> None:
    with PatientSchemaEditor(connection, atomic=False) as editor:
        operation.database_forwards("trips", editor, ProjectState(), ProjectState())


@pytest.fixture(autouse=True)
def _parent(scratch_database: ScratchDatabase, busy: BaseDatabaseWrapper) -> None:
    scratch_database.run("ALTER TABLE trips ADD PRIMARY KEY (id)")


@pytest.mark.parametrize(
    ("operation", "definition"),
    [
        (UNIQUE, "UNIQUE (id)"),
        (CHECKED, "CHECK ((id > 0))"),
        (REFERRING, "FOREIGN KEY (id) REFERENCES trips(id)"),
    ],
    ids=["unique", "check", "foreign key"],
)
def test_a_constraint_is_added_and_checked_and_the_second_time_left_alone(
    operation: AddConstraint,
    definition: str,
    busy: BaseDatabaseWrapper,
    scratch_database: ScratchDatabase,
) -> None:
    apply(busy, operation)
    assert scratch_database.rows(FOUND) == [(operation.name, definition)]
    with scratch_database.connect() as writer:
        writer.execute("BEGIN; LOCK TABLE stops IN ROW EXCLUSIVE MODE")
        apply(busy, operation)  # it would wait for the writer
        writer.execute("ROLLBACK")


def test_one_of_another_name_is_as_good(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    scratch_database.run("CREATE UNIQUE INDEX theirs ON stops (id)")
    apply(busy, UNIQUE)
    assert scratch_database.rows(FOUND) == []


def test_one_that_was_never_checked_is_checked(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    scratch_database.run(
        "ALTER TABLE stops ADD CONSTRAINT theirs FOREIGN KEY (id) REFERENCES trips NOT VALID"
    )
    apply(busy, REFERRING)
    assert scratch_database.rows(FOUND) == [("theirs", "FOREIGN KEY (id) REFERENCES trips(id)")]


def test_an_index_that_was_built_for_it_becomes_it(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    """The deployer was killed between the two."""
    scratch_database.run("CREATE UNIQUE INDEX stops_id_key ON stops (id)")
    apply(busy, UNIQUE)
    assert scratch_database.rows(FOUND) == [("stops_id_key", "UNIQUE (id)")]


def test_a_column_that_holds_a_null_is_not_required(
    busy: BaseDatabaseWrapper, scratch_database: ScratchDatabase
) -> None:
    scratch_database.run("INSERT INTO stops VALUES (NULL)")
    operation = RequireValue(table="stops", column="id", default="0")
    with pytest.raises(IntegrityError, match="stops_id_not_null"):
        apply(busy, operation)
    scratch_database.run("UPDATE stops SET id = 1")
    apply(busy, operation)
    scratch_database.run("INSERT INTO stops DEFAULT VALUES")
    assert scratch_database.rows("SELECT id FROM stops ORDER BY 1") == [(0,), (1,)]
    assert scratch_database.rows(FOUND) == [], "the check has done its work"
