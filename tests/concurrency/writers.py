"""Writers on connections of their own, doing at random what real ones do."""

from __future__ import annotations

import random
from collections import Counter as Tally
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
from django.db import connection
from psycopg.sql import SQL, Composable, Identifier

from tests.rows import Rows, array, literal

if TYPE_CHECKING:
    from collections.abc import Callable

PARENTS = 20


class Undone(Exception):  # noqa: N818 (it is no error)
    """Rolls a transaction back on purpose."""


def connect() -> psycopg.Connection[Any]:
    """A connection of its own to the test database, in autocommit.

    Writers of several statements may deadlock with one another, and do it again: not to wait a
    second each time, the server looks for deadlocks sooner.
    """
    new = connection.get_new_connection(connection.get_connection_params())
    new.autocommit = True
    new.execute("SET deadlock_timeout = '20ms'")
    return new


@dataclass
class Writer:
    """One connection that writes at random.

    Attributes:
        rows: the counter whose children are written.
        parents: keys of the parents, shared by all writers; a deleted one is replaced.
        random: the writer's own source of chance.
        done: how often each operation was done.
    """

    rows: Rows
    parents: list[Any]
    random: random.Random
    done: Tally[str] = field(default_factory=Tally)

    # What does not heal a drift that came before it: nobody recounts.
    PLAIN: ClassVar[tuple[str, ...]] = (
        "insert_one",
        "insert_and_undo",
        "insert_over_many_parents",
        "insert_with_savepoint",
        "move_some",
        "delete_some",
        "delete_parent",
        "count_twice",
        "write_in_one_statement",
        "upsert",
    )
    # What heals: a test that has these alone would not see a drift.
    HEALING: ClassVar[tuple[str, ...]] = (
        "repair_by_hand",
        "write_stale_values",
        "write_children_and_counter_in_one_statement",
    )

    def work(self, operations: tuple[str, ...], number: int) -> Tally[str]:
        with connect() as self.connection:
            for _ in range(number):
                name = self.random.choice(operations)
                operation: Callable[[], None] = getattr(self, name)
                self.attempt(name, operation)
        return self.done

    def attempt(self, name: str, operation: Callable[[], None]) -> None:
        """Do it again after a deadlock, as any application must; count what came of it.

        Once in some 300,000 operations the server itself ends a transaction with "new multixact has
        more than one updating member" (seen on 18.4): an update met the foreign-key lock and the
        aborted update of others. Nothing is written; it is done again, and counted.
        """
        for _ in range(20):
            try:
                operation()
            except Undone:
                self.done[name] += 1
            except psycopg.errors.ForeignKeyViolation:
                self.done["parent was gone"] += 1  # deleted by another writer meanwhile
            except psycopg.errors.DeadlockDetected:
                self.done["deadlock"] += 1
                continue
            except psycopg.errors.InternalError_ as error:
                if "more than one updating member" not in str(error):
                    raise
                self.done["refused by the server"] += 1
                continue
            else:
                self.done[name] += 1
            return
        raise AssertionError(f"{name} failed twenty times in a row: {self.done}")

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        words = {
            name: value if isinstance(value, Composable) else literal(value)
            for name, value in values.items()
        }
        query = SQL(statement).format(**self.rows.names, **words)
        cursor = self.connection.execute(query)
        return cursor.fetchall() if cursor.description else []

    def parent(self) -> Any:
        return self.random.choice(self.parents)

    def some(self, number: int) -> Composable:
        return array(self.random.sample(self.parents, number))

    def insert(self, parent: Any, number: int = 1) -> None:
        self.sql(
            "INSERT INTO {child} ({foreign_key}, {columns})"
            " SELECT {it}, {values} FROM generate_series(1, {number})",
            it=parent,
            number=number,
        )

    # ------------------------------------------------------------------------------ operations

    def insert_one(self) -> None:
        self.insert(self.parent())

    def insert_and_undo(self) -> None:
        with self.connection.transaction():
            self.insert(self.parent(), self.random.randint(1, 5))
            raise Undone

    def insert_with_savepoint(self) -> None:
        parent = self.parent()
        with self.connection.transaction():
            self.insert(parent)
            try:
                with self.connection.transaction():
                    self.insert(parent, 3)
                    raise Undone
            except Undone:
                self.insert(parent)

    def insert_over_many_parents(self) -> None:
        self.sql(
            "INSERT INTO {child} ({foreign_key}, {columns})"
            " SELECT parent, {values} FROM unnest({some}) AS parent, generate_series(1, 2)"
            " ORDER BY random()",
            some=self.some(6),
        )

    def upsert(self) -> None:
        self.sql(
            "INSERT INTO {child} ({id}, {foreign_key}, {columns})"
            " SELECT coalesce((SELECT max({id}) FROM {child} WHERE {foreign_key} = {one}),"
            " nextval(pg_get_serial_sequence({table}, {id_name}))), {two}, {values}"
            " ON CONFLICT ({id}) DO UPDATE SET {foreign_key} = EXCLUDED.{foreign_key}",
            one=self.parent(),
            two=self.parent(),
            table=self.rows.counter.child._meta.db_table,
            id_name=self.rows.counter.child._meta.pk.column,
        )

    def move_some(self) -> None:
        self.sql(
            "UPDATE {child} SET {foreign_key} = {destination} WHERE {id} IN"
            " (SELECT {id} FROM {child} WHERE {foreign_key} = ANY ({some})"
            " ORDER BY random() LIMIT 6)",
            destination=self.parent(),
            some=self.some(4),
        )

    def delete_some(self) -> None:
        self.sql(
            "DELETE FROM {child} WHERE {id} IN (SELECT {id} FROM {child}"
            " WHERE {foreign_key} = ANY ({some}) ORDER BY random() LIMIT 8)",
            some=self.some(4),
        )

    def delete_parent(self) -> None:
        """With its children, by the database's cascade or before it, and put another in place."""
        if self.random.random() < 0.7:
            return self.insert_one()  # deletions are rarer, or nothing else would be seen
        place = self.random.randrange(len(self.parents))
        with self.connection.transaction():
            [(new,)] = self.sql(
                "INSERT INTO {parent} ({given}) SELECT {given} FROM {parent} LIMIT 1"
                " RETURNING {key}",
                given=SQL(", ").join(map(Identifier, self.rows.example.parent)),
            )
            gone = self.parents[place]
            self.sql("SELECT 1 FROM {parent} WHERE {key} = {gone} FOR UPDATE", gone=gone)
            self.sql("DELETE FROM {child} WHERE {foreign_key} = {gone}", gone=gone)
            self.sql("DELETE FROM {parent} WHERE {key} = {gone}", gone=gone)
        self.parents[place] = new
        return None

    def count_twice(self) -> None:
        """Insert, and add the same number to the mirror, as the existing application does."""
        parent, number = self.parent(), self.random.randint(1, 4)
        columns = self.rows.counter.mirrors or (self.rows.counter.column,)
        with self.connection.transaction():
            self.insert(parent, number)
            self.sql(
                "UPDATE {parent} SET {written} = {written} + {number} WHERE {key} = {it}",
                written=Identifier(columns[0]),
                number=number,
                it=parent,
            )

    def write_in_one_statement(self) -> None:
        self.sql(
            "WITH gone AS (DELETE FROM {child} WHERE {id} IN (SELECT {id} FROM {child}"
            " WHERE {foreign_key} = {one} LIMIT 2)),"
            " moved AS (UPDATE {child} SET {foreign_key} = {three} WHERE {id} IN (SELECT {id}"
            " FROM {child} WHERE {foreign_key} = {two} LIMIT 2))"
            " INSERT INTO {child} ({foreign_key}, {columns}) VALUES ({one}, {values}),"
            " ({three}, {values})",
            one=self.parent(),
            two=self.parent(),
            three=self.parent(),
        )

    def write_children_and_counter_in_one_statement(self) -> None:
        self.sql(
            "WITH added AS (INSERT INTO {child} ({foreign_key}, {columns})"
            " VALUES ({one}, {values}), ({two}, {values})),"
            " gone AS (DELETE FROM {child} WHERE {id} IN (SELECT {id} FROM {child}"
            " WHERE {foreign_key} = {one} LIMIT 2))"
            " UPDATE {parent} SET {column} = {column} + 1 WHERE {key} = {two}",
            one=self.parent(),
            two=self.parent(),
        )

    def repair_by_hand(self) -> None:
        self.sql(
            "UPDATE {parent} SET {column} = (SELECT count(*) FROM {child}"
            " WHERE {foreign_key} = {parent}.{key}) WHERE {key} = {it}",
            it=self.parent(),
        )

    def write_stale_values(self) -> None:
        parent = self.parent()
        found = self.sql("SELECT {column} FROM {parent} WHERE {key} = {it}", it=parent)
        if found:
            self.insert(parent)
            self.sql(
                "UPDATE {parent} SET {column} = {old} WHERE {key} = {it}",
                it=parent,
                old=found[0][0],
            )


def write_at_random(
    rows: Rows, *, seed: int, operations: tuple[str, ...], connections: int, each: int
) -> Tally[str]:
    """Let writers write side by side, and return how often each operation was done."""
    parents = [rows.parent() for _ in range(PARENTS)]
    writers = [
        Writer(rows=rows, parents=parents, random=random.Random(f"{seed} {number}"))
        for number in range(connections)
    ]
    with ThreadPoolExecutor(connections) as pool:
        done = pool.map(lambda writer: writer.work(operations, each), writers)
    return sum(done, Tally())
