"""A counter bound to its tables: names, columns and the SQL that answers its question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.sql import Query
from pgtrigger import features
from psycopg.sql import SQL, Composable, Identifier, Literal

from sentinel.counters.statements import render

if TYPE_CHECKING:
    from django.db.models import Model, Q


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

    def comparison(self) -> Composable:
        """A query with one row for each row of the parent: key, stored (an array), actual."""
        raise NotImplementedError

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
    """

    child: type[Model]
    foreign_key: str
    key_type: str
    condition: Q | None = None
    touches: tuple[str, ...] = ()

    def names(self) -> dict[str, Composable]:
        """See `BoundCounter.names`."""
        child = self.child._meta.db_table
        return super().names() | {
            "child": Identifier(child),
            "child_name": Literal(child),
            "foreign_key": Identifier(self.foreign_key),
            "and_condition": and_condition(self.child, self.condition),
        }

    def comparison(self) -> Composable:
        """See `BoundCounter.comparison`."""
        return self.render("audit", "compare_children")


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

    def comparison(self) -> Composable:
        """See `BoundCounter.comparison`."""
        table = Identifier(self.parent._meta.db_table)
        return self.render("audit", "compare_rows", expression=self.expression_over(table))


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
