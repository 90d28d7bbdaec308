"""Indexes and foreign keys that counting relies on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection
from psycopg.sql import SQL, Identifier, Literal

from sentinel.counters import (
    BoundCounter,
    ChildCount,
    Severity,
    declared_counters,
    find_problems,
    inspect_health,
)
from sentinel.counters.index_health import counted_rows
from tests.cures import follow
from tests.rows import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTING = [counter for counter in declared_counters() if counted_rows(counter)]
DEFINITIONS = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
      FROM pg_index WHERE indrelid = {table}::regclass AND NOT indisprimary AND NOT indisunique
"""


def child_table(counter: BoundCounter) -> str:
    counted = counted_rows(counter)
    assert counted
    return counted[0]._meta.db_table


@pytest.fixture
def loose_indexes(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker
) -> Iterator[BoundCounter]:
    """A counter whose child's indexes may be changed outside of a transaction, as cures do it."""
    table = Literal(Identifier(child_table(request.param)).as_string(None))
    with django_db_blocker.unblock():
        before = dict(execute(DEFINITIONS, table=table))
        yield request.param
        for name, _ in execute(DEFINITIONS, table=table):
            execute(SQL(f"DROP INDEX {name}"))
        for definition in before.values():
            execute(SQL(definition))
        connection.close()


@pytest.mark.parametrize("loose_indexes", COUNTING, ids=lambda c: c.name, indirect=True)
def test_a_missing_index_is_found_and_cured(loose_indexes: BoundCounter) -> None:
    table = Literal(Identifier(child_table(loose_indexes)).as_string(None))
    before = inspect_health(loose_indexes)
    for name, _ in execute(DEFINITIONS, table=table):
        execute(SQL(f"DROP INDEX {name}"))
    [warning] = [f for f in inspect_health(loose_indexes) if f.id == "counters.index_missing"]
    assert (warning.subject, warning.severity) == (loose_indexes.name, Severity.WARNING)
    assert find_problems(loose_indexes) == []
    follow(warning.cure)
    assert inspect_health(loose_indexes) == before


@pytest.mark.parametrize("loose_indexes", COUNTING, ids=lambda c: c.name, indirect=True)
def test_an_invalid_index_is_found_and_cured(loose_indexes: BoundCounter) -> None:
    table = Literal(Identifier(child_table(loose_indexes)).as_string(None))
    before = inspect_health(loose_indexes)
    indexes = [name for name, _ in execute(DEFINITIONS, table=table)]
    for name in indexes:
        invalidate(name)
    found = [f for f in inspect_health(loose_indexes) if f.id == "counters.index_invalid"]
    assert {warning.subject for warning in found} == {name.strip('"') for name in indexes}
    assert "counters.index_missing" in {f.id for f in inspect_health(loose_indexes)}
    for warning in found:
        follow(warning.cure)
    assert inspect_health(loose_indexes) == before


@pytest.mark.parametrize("loose_indexes", COUNTING[:1], ids=lambda c: c.name, indirect=True)
def test_what_a_failed_reindex_left_behind_is_found_and_cured(loose_indexes: BoundCounter) -> None:
    counted = counted_rows(loose_indexes)
    assert counted
    before = inspect_health(loose_indexes)
    execute(
        "CREATE INDEX half_ccnew ON {table} ({column})",
        table=Identifier(child_table(loose_indexes)),
        column=Identifier(counted[1][0]),
    )
    invalidate("half_ccnew")
    [warning] = [f for f in inspect_health(loose_indexes) if f.id == "counters.index_invalid"]
    follow(warning.cure)
    assert inspect_health(loose_indexes) == before
    assert execute("SELECT to_regclass('half_ccnew')") == [(None,)]


def invalidate(index: str) -> None:
    """Make an index what a failed CREATE INDEX CONCURRENTLY leaves behind."""
    execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = {index}::regclass",
        index=Literal(index),
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    "counter",
    [counter for counter in COUNTING if isinstance(counter, ChildCount)],
    ids=lambda counter: counter.name,
)
def test_a_deferrable_foreign_key_is_found_and_cured(counter: ChildCount) -> None:
    table = counter.child._meta.db_table
    [(constraint,)] = execute(
        "SELECT conname FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid"
        " AND conkey = ARRAY[attnum] WHERE contype = 'f' AND conrelid = {table}::regclass"
        " AND attname = {column}",
        table=Literal(Identifier(table).as_string(None)),
        column=Literal(counter.foreign_key),
    )
    execute(
        "ALTER TABLE {table} ALTER CONSTRAINT {constraint} DEFERRABLE",
        table=Identifier(table),
        constraint=Identifier(constraint),
    )
    [warning] = inspect_health(counter)
    assert (warning.id, warning.subject) == ("counters.foreign_key_deferrable", constraint)
    assert find_problems(counter) == []
    follow(warning.cure)
    assert inspect_health(counter) == []
