"""Writes parents and children of any declared counter, in plain SQL."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection
from psycopg.sql import SQL, Composable, Identifier, Literal

from sentinel.counters import ChildCount, audit_counter
from tests.examples import OWNER, ChildExample

if TYPE_CHECKING:
    from collections.abc import Iterable

UNIQUE = itertools.count(1)


class Stored(NamedTuple):
    """A parent's counter and its mirrors."""

    counter: int | None
    mirrors: tuple[int | None, ...]


def execute(statement: str | Composable, **names: Composable) -> list[tuple[Any, ...]]:
    """Run a statement with names filled in, and return its rows, if it has any."""
    query = SQL(statement).format(**names) if isinstance(statement, str) else statement
    with connection.cursor() as cursor:
        cursor.execute(query.as_string(None))
        return cursor.fetchall() if cursor.description else []


def literal(value: Any) -> Composable:
    return Literal(json.dumps(value) if isinstance(value, dict | list) else value)


def array(values: Iterable[Any]) -> Composable:
    return SQL("ARRAY[{}]").format(SQL(", ").join(map(literal, values)))


def new_user() -> int:
    [(key,)] = execute(
        "INSERT INTO users (email, password_hash) VALUES ({email}, '') RETURNING id",
        email=Literal(f"reader{next(UNIQUE)}@example.org"),
    )
    return key


def insert(table: str, values: dict[str, Any], *, returning: str) -> Any:
    """Insert one row and return one of its columns."""
    filled = {column: new_user() if value is OWNER else value for column, value in values.items()}
    if not filled:
        return execute(f'INSERT INTO "{table}" DEFAULT VALUES RETURNING "{returning}"')[0][0]
    [(key,)] = execute(
        "INSERT INTO {table} ({columns}) VALUES ({values}) RETURNING {returning}",
        table=Identifier(table),
        columns=SQL(", ").join(map(Identifier, filled)),
        values=SQL(", ").join(map(literal, filled.values())),
        returning=Identifier(returning),
    )
    return key


@dataclass(frozen=True)
class Rows:
    """The rows of one counter.

    `sql` fills {parent}, {child}, {key}, {foreign_key}, {column}, {id} and {text} into a
    statement, and further words that are given by name.
    """

    counter: ChildCount
    example: ChildExample

    @property
    def names(self) -> dict[str, Composable]:
        return {
            "parent": Identifier(self.counter.parent._meta.db_table),
            "child": Identifier(self.counter.child._meta.db_table),
            "key": Identifier(self.counter.key),
            "foreign_key": Identifier(self.counter.foreign_key),
            "column": Identifier(self.counter.column),
            "id": Identifier(str(self.counter.child._meta.pk.column)),
            "text": Identifier(self.example.text),
            "columns": SQL(", ").join(map(Identifier, self.example.child)),
            "values": SQL(", ").join(map(literal, self.example.child.values())),
        }

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        words = {
            name: value if isinstance(value, Composable) else literal(value)
            for name, value in values.items()
        }
        return execute(statement, **self.names, **words)

    def parent(self, **columns: Any) -> Any:
        """Insert a parent and return its key."""
        values = self.example.parent | columns
        if self.example.key:
            values[self.counter.key] = f"parent {next(UNIQUE)}"
        return insert(self.counter.parent._meta.db_table, values, returning=self.counter.key)

    def child(self, parent: Any, **columns: Any) -> int:
        """Insert a child that counts and return its key."""
        values = {self.counter.foreign_key: parent} | self.example.child | columns
        return int(
            insert(
                self.counter.child._meta.db_table,
                values,
                returning=str(self.counter.child._meta.pk.column),
            )
        )

    def children(self, parent: Any, number: int) -> list[int]:
        return [self.child(parent) for _ in range(number)]

    def stored(self, parent: Any) -> Stored:
        columns = SQL(", ").join(map(Identifier, self.counter.stored_columns))
        [(counter, *mirrors)] = self.sql(
            "SELECT {stored} FROM {parent} WHERE {key} = {parent_key}",
            stored=columns,
            parent_key=parent,
        )
        return Stored(counter, tuple(mirrors))

    def assert_counts(self, expected: dict[Any, int]) -> None:
        """Compare counter and mirrors of parents with what they should be, and audit the table."""
        found = {parent: self.stored(parent) for parent in expected}
        wanted = {
            parent: Stored(number, (number,) * len(self.counter.mirrors))
            for parent, number in expected.items()
        }
        assert found == wanted
        report = audit_counter(self.counter)
        assert report.exact, f"the audit disagrees: {report}"


def child_keys(rows: Rows, parents: Iterable[Any]) -> list[int]:
    return [rows.child(parent) for parent in parents]
