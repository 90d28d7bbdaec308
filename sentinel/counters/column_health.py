"""Whether the columns of the counters are there, and NOT NULL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.sql import SQL, Identifier

from sentinel.counters.problems import Problem
from sentinel.counters.statements import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from django.db.models import Field

    from sentinel.counters.binding import BoundCounter
    from sentinel.counters.catalog import Catalog


def check_columns(
    counters: Sequence[BoundCounter], tables: Collection[str], catalog: Catalog
) -> Iterator[Problem]:
    """Look for missing tables, and for counters and mirrors that are missing or may be NULL."""
    for table in sorted(set(tables) - set(catalog.columns)):
        yield Problem(
            id="counters.table_missing",
            subject=table,
            message=f"Table {quoted(table)} is missing: nothing can be counted.",
            cure="Run `manage.py migrate`.",
        )
    for counter in counters:
        columns = catalog.columns.get(counter.parent._meta.db_table)
        if columns is None:
            continue
        for column in counter.stored_columns:
            if column not in columns:
                yield _missing(counter, column)
            elif column == counter.column and _should_not_be_null(counter) and not columns[column]:
                yield _nullable(counter)


def _missing(counter: BoundCounter, column: str) -> Problem:
    table = quoted(counter.parent._meta.db_table)
    editor = connections[DEFAULT_DB_ALIAS].schema_editor(collect_sql=True)
    text, values = editor.column_sql(counter.parent, _field(counter, column))
    written = tuple(map(editor.quote_value, values or ()))
    definition = f"{quoted(column)} {str(text) % written}"
    return Problem(
        id="counters.column_missing",
        subject=f"{counter.parent._meta.db_table}.{column}",
        message=f"Column {quoted(column)} of {table} is missing: there is nothing to count in.",
        cure="Run `manage.py migrate`. Where it has nothing to do, the column was dropped by hand, "
        f"with its triggers and indexes: run `ALTER TABLE {table} ADD COLUMN {definition}`, then "
        "do what is said of the triggers, then repair.",
    )


def _nullable(counter: BoundCounter) -> Problem:
    table = counter.parent._meta.db_table
    statements = SQL(
        "UPDATE {table} SET {column} = 0 WHERE {column} IS NULL; "
        "ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL"
    ).format(table=Identifier(table), column=Identifier(counter.column))
    return Problem(
        id="counters.column_nullable",
        subject=counter.name,
        message=f"Column {quoted(counter.column)} of {quoted(table)} may be NULL, and NULL plus "
        "one is NULL: where the guard is off, counts are lost in it.",
        cure=f"Run `{statements.as_string(None)}`. The guard counts what the UPDATE finds.",
    )


def _should_not_be_null(counter: BoundCounter) -> bool:
    """Not so for a ledger, which takes the rows of others as they are found."""
    return not _field(counter, counter.column).null


def _field(counter: BoundCounter, column: str) -> Field[Any, Any]:
    [field] = [field for field in counter.parent._meta.concrete_fields if field.column == column]
    return field
