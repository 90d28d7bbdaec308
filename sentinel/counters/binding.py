"""A counter bound to its tables: names, columns and the SQL that answers its question."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.sql import Query
from pgtrigger import features
from psycopg.sql import SQL, Composable, Identifier, Literal

from sentinel.counters.statements import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from django.db.models import Model, Q

Key = Any  # of a row of a parent, as JSON has it: a number, a text, or a list of several columns


@dataclass(frozen=True, kw_only=True)
class BoundCounter:
    """What is common to all counters: the column of a table that holds a cached answer.

    Attributes:
        parent: the model whose rows carry the counter.
        field: the model's name for the counter.
        key: the column that identifies a row of the parent.
        column: the counter's column.
        mirrors: columns that hold the same value.
    """

    parent: type[Model]
    field: str
    key: str
    column: str
    mirrors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`table.column`, the name that commands take and print."""
        return f"{self.parent._meta.db_table}.{self.column}"

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """The counter's column, then its mirrors."""
        return (self.column, *self.mirrors)

    def names(self) -> dict[str, Composable]:
        """The words that queries about this counter may have in braces."""
        parent = self.parent._meta.db_table
        return {
            "schema": Identifier(features.schema()),
            "parent": Identifier(parent),
            "parent_name": Literal(parent),
            "key": Identifier(self.key),
            "column": Identifier(self.column),
            "name": Literal(self.name),
            "stored": SQL(", ").join(
                SQL("{}.{}").format(Identifier(parent), Identifier(column))
                for column in self.stored_columns
            ),
        }

    @property
    def repair_settings(self) -> Mapping[str, str]:
        """What a transaction that repairs this counter sets for itself."""
        return {"sentinel.repair": "on"}

    def parse_key(self, text: str) -> Key:
        """Return the key that somebody has typed. The column's type reads the text as it is."""
        return text

    def comparison(self, among: Composable | None = None) -> Composable:
        """A query with one row for each row of the parent: key, stored (an array), actual.

        Args:
            among: SQL of a JSON array of keys, to compare the rows with these alone.
        """
        raise NotImplementedError

    def add_missing_parents(self, among: Composable) -> Composable | None:  # noqa: ARG002 (for overrides)
        """A statement that adds rows which are missing, with 0; None where rows have to be there.

        It runs before the transaction has its repair settings.
        """
        return None

    def lock_parents(self, among: Composable, *, skip_locked: bool = False) -> Composable:
        """A query that locks rows in the order of their keys, and returns each key as JSON.

        Args:
            among: SQL of a JSON array of keys.
            skip_locked: leave out what others have locked, instead of waiting for it.
        """
        return self.render(
            "repair",
            "lock_parents",
            keys=self.keys_among(among),
            skip_locked=SQL(" SKIP LOCKED" if skip_locked else ""),
        )

    def rewrite(self, among: Composable) -> Composable:
        """A statement that has the triggers store the truth in rows which are locked."""
        return self.render("repair", "rewrite", keys=self.keys_among(among))

    def restore(self) -> Composable:
        """A statement that stores the truth in the locked rows of a common table `wrong`.

        The table has what `comparison` has. By default the triggers are asked for the truth.
        """
        return self.rewrite(SQL("(SELECT coalesce(jsonb_agg(to_jsonb(key)), '[]') FROM wrong)"))

    @property
    def row_key(self) -> Composable:
        """The key of a row of the parent, as the comparison has it."""
        return SQL("{}.{}").format(Identifier(self.parent._meta.db_table), Identifier(self.key))

    def among(self, word: str, table: str, column: str, keys: Composable | None) -> Composable:
        """A condition that a column is one of some keys, after `word`; nothing without keys."""
        if keys is None:
            return SQL("")
        return SQL("{} {}.{} = ANY ({})").format(
            SQL(word), Identifier(table), Identifier(column), self.keys_among(keys)
        )

    def keys_among(self, keys: Composable) -> Composable:
        """The keys of a JSON array as an array of the key column's type, fit for its index."""
        return render("repair", "keys_among", keys=keys, key_type=SQL(self.parent_key_type))

    @property
    def parent_key_type(self) -> str:
        """The type of the key in the database, without a length."""
        [field] = [f for f in self.parent._meta.concrete_fields if f.column == self.key]
        return without_length(str(field.rel_db_type(connections[DEFAULT_DB_ALIAS])))

    def render(self, file: str, query: str, **words: Composable) -> Composable:
        """Return a query of the `sql` folder with its words in braces filled in."""
        return render(file, query, **self.names(), **words)


@dataclass(frozen=True, kw_only=True)
class ChildCount(BoundCounter):
    """A number of child rows.

    Attributes:
        child: the model whose rows are counted.
        foreign_key: the child's column that names the parent.
        key_type: that column's type in the database.
        condition: which rows count; None for all.
        touches: timestamps of the parent that move when a row is added.
        lock_first: whether an INSERT locks its parents before the foreign key does.
    """

    child: type[Model]
    foreign_key: str
    key_type: str
    condition: Q | None = None
    touches: tuple[str, ...] = ()
    lock_first: bool = False

    def names(self) -> dict[str, Composable]:
        """See `BoundCounter.names`."""
        child = self.child._meta.db_table
        return super().names() | {
            "child": Identifier(child),
            "child_name": Literal(child),
            "foreign_key": Identifier(self.foreign_key),
            "and_condition": and_condition(self.child, self.condition),
        }

    def comparison(self, among: Composable | None = None) -> Composable:
        """See `BoundCounter.comparison`."""
        child, parent = self.child._meta.db_table, self.parent._meta.db_table
        return self.render(
            "audit",
            "compare_children",
            and_child_among=self.among("\n               AND", child, self.foreign_key, among),
            where_among=self.among("\n WHERE", parent, self.key, among),
        )

    def restore(self) -> Composable:
        """See `BoundCounter.restore`. The rows were counted together: the guard lets them pass."""
        actual = (
            SQL("{} = wrong.actual").format(Identifier(column)) for column in self.stored_columns
        )
        return self.render("repair", "restore", set_actual=SQL(", ").join(actual))


@dataclass(frozen=True, kw_only=True)
class RowValue(BoundCounter):
    """A value that follows from the row itself.

    Attributes:
        expression: SQL over the row's columns, with `{row}` where the row's name belongs.
    """

    expression: str

    def expression_over(self, row: Composable) -> Composable:
        """The value of a row that goes by the name `row`, such as a table or `NEW`."""
        return SQL(self.expression).format(row=row)

    @property
    def repair_settings(self) -> Mapping[str, str]:
        """See `BoundCounter.repair_settings`."""
        return {**super().repair_settings, "sentinel.derive_alone": "on"}

    def comparison(self, among: Composable | None = None) -> Composable:
        """See `BoundCounter.comparison`."""
        parent = self.parent._meta.db_table
        return self.render(
            "audit",
            "compare_rows",
            expression=self.expression_over(Identifier(parent)),
            where_among=self.among("\n WHERE", parent, self.key, among),
        )


def without_length(type_: str) -> str:
    """Return a column's type without what stands in parentheses.

    A cast to `varchar(50)` would shorten a longer text to what may be another row's key.
    """
    return type_.partition("(")[0]


def json_keys(keys: Iterable[Key]) -> Composable:
    """The SQL of a JSON array of keys, for the arguments `among`."""
    return json_text(json.dumps(list(keys)))


def json_text(text: str) -> Composable:
    """The SQL of a JSON document that is text already."""
    return SQL("{}::jsonb").format(Literal(text))


def and_condition(model: type[Model], condition: Q | None) -> Composable:
    """Return ` AND (…)` with a condition on a model's own columns, or nothing without one.

    The columns are qualified with the table's name, which may be an alias of something else.

    The values are written into the SQL, as in a check constraint: a trigger takes no parameters.

    Raises:
        FieldError: the condition names an unknown field or reaches over a relation.
    """
    if condition is None:
        return SQL("")
    query = Query(model)
    compiler = query.get_compiler(using=DEFAULT_DB_ALIAS)
    sql, parameters = query.build_where(condition).as_sql(compiler, connections[DEFAULT_DB_ALIAS])
    literals = tuple(Literal(parameter).as_string(None) for parameter in parameters)
    return SQL(f" AND ({sql % literals})")
