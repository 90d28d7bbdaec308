"""What a counter saves: the plan of counting the rows beside the plan of reading the column."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from pgtrigger import features
from psycopg.sql import SQL, Composable, Identifier, Literal

from sentinel.counters.binding import BoundCounter, ChildCount, RowValue
from sentinel.counters.catalog import IndexState, read_catalog
from sentinel.counters.index_health import check_indexes, relevant_indexes
from sentinel.counters.ledger import LedgerTotal
from sentinel.counters.plans import Plan, explain_query
from sentinel.counters.problems import Problem, Severity
from sentinel.counters.registry import counter_triggers
from sentinel.counters.statements import named_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

# Below it PostgreSQL rightly reads a table as a whole: that is some hundred pages, often in memory.
SMALL_TABLE = 1_000_000  # bytes


class UnknownRowError(LookupError):
    """No row of the parent has the given key."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One row of the parent, counted and read.

    Attributes:
        row: which one: `largest`, `typical` or `given`.
        key: its key; of a ledger the values of its key columns.
        value: the counter.
        counted: the plan without the counter.
        read: the plan with it.
    """

    row: str
    key: str
    value: int | None
    counted: Plan
    read: Plan

    @property
    def ratio(self) -> float:
        """How many times faster it is to read the column."""
        return self.counted.milliseconds / max(self.read.milliseconds, 0.001)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What is to be said about the reads of one counter.

    Attributes:
        counter: the counter's name.
        comparisons: one for each row that was looked at; none where nothing is counted yet.
        indexes: those that its readers and its recounts may use.
        problems: what is wrong with these indexes, or with how the column is read.
    """

    counter: str
    comparisons: tuple[Comparison, ...]
    indexes: tuple[IndexState, ...]
    problems: tuple[Problem, ...]


def explain_counter(
    counter: BoundCounter, *, keys: Sequence[str] = (), using: str = DEFAULT_DB_ALIAS
) -> Explanation:
    """Compare what it costs to count with what it costs to read, in a read-only transaction.

    Args:
        counter: see `find_counters`.
        keys: rows to look at; of a ledger each a JSON array of its key columns' values. Without
            any: the row with the highest counter, and the middle one of those above 0.
        using: the database's alias.

    Raises:
        UnknownRowError: no row has such a key, or it cannot be read.
    """
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        rows = [("given", *_given_row(counter, key, using=using)) for key in keys]
        rows = rows or _chosen_rows(counter, using=using)
        comparisons = tuple(
            _compare(counter, row=row, key=key, value=value, using=using)
            for row, key, value in rows
        )
        catalog = read_catalog(
            {model._meta.db_table for model, _ in counter_triggers(counter)}, using=using
        )
        table = counter.parent._meta.db_table
        cursor.execute(
            named_queries("explain")["table_size"], {"schema": features.schema(), "table": table}
        )
        [(size,)] = cursor.fetchall()
    slow = [c for c in comparisons if not c.read.uses_an_index and size > SMALL_TABLE]
    return Explanation(
        counter=counter.name,
        comparisons=comparisons,
        indexes=tuple(relevant_indexes(counter, catalog)),
        problems=(
            *check_indexes([counter], catalog),
            *(_read_without_index(counter, comparison, size=size) for comparison in slow[:1]),
        ),
    )


def _compare(
    counter: BoundCounter, *, row: str, key: list[str], value: int | None, using: str
) -> Comparison:
    return Comparison(
        row=row,
        key=key[0] if len(key) == 1 else json.dumps(key),
        value=value,
        counted=explain_query(_counting_query(counter, key), using=using),
        read=explain_query(_query(counter, "read_column", key), using=using),
    )


def _chosen_rows(counter: BoundCounter, *, using: str) -> list[tuple[str, list[str], int | None]]:
    rows: list[tuple[str, list[str], int | None]] = []
    for name in ("largest", "typical"):
        for key, value in _fetch(_query(counter, f"{name}_row", ()), using=using):
            if key not in [row[1] for row in rows]:
                rows.append((name, key, value))
    return rows


def _given_row(counter: BoundCounter, text: str, *, using: str) -> tuple[list[str], int | None]:
    key = [text]
    if isinstance(counter, LedgerTotal):
        key = _read_key(counter, text)
    found = _fetch(_query(counter, "given_row", key), using=using)
    if not found:
        raise UnknownRowError(f"{counter.parent._meta.db_table} has no row with the key {text}.")
    return found[0][0], found[0][1]


def _read_key(counter: LedgerTotal, text: str) -> list[str]:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, list) or len(values) != len(counter.key_columns):
        columns = ", ".join(counter.key_columns)
        raise UnknownRowError(
            f"{text!r} is no key of {counter.name}: write a JSON array of its {columns}."
        )
    return [str(value) for value in values]


def _counting_query(counter: BoundCounter, key: Sequence[str]) -> Composable:
    match counter:
        case ChildCount():
            is_child = _matches([counter.foreign_key], key)
            return _query(counter, "count_children", key, is_child=is_child)
        case LedgerTotal():
            is_child = _matches(list(counter.key_columns), key)
            return _query(counter, "sum_events", key, is_child=is_child)
        case RowValue():
            table = Identifier(counter.parent._meta.db_table)
            expression = counter.expression_over(table)
            return _query(counter, "compute_value", key, expression=expression)
    raise TypeError(f"No query is known for {type(counter).__name__}.")


def _query(counter: BoundCounter, name: str, key: Sequence[str], **words: Composable) -> Composable:
    columns = list(counter.key_columns) if isinstance(counter, LedgerTotal) else [counter.key]
    if key:
        words["is_parent"] = _matches(columns, key)
    keys = SQL(", ").join(map(Identifier, columns))
    return SQL(named_queries("explain")[name]).format(**counter.names() | words | {"keys": keys})


def _matches(columns: Sequence[str], key: Sequence[str]) -> Composable:
    return SQL(" AND ").join(
        SQL("{} = {}").format(Identifier(column), Literal(value))
        for column, value in zip(columns, key, strict=True)
    )


def _fetch(query: Composable, *, using: str) -> list[tuple[Any, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(query.as_string(None))
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _read_without_index(counter: BoundCounter, comparison: Comparison, *, size: int) -> Problem:
    table = counter.parent._meta.db_table
    return Problem(
        id="counters.read_without_index",
        subject=counter.name,
        message=f"Reading {counter.name} of {comparison.key} takes a {comparison.read.node} over "
        f"{size / 1_000_000:,.0f} MB: no index finds the row.",
        cure=f"Run `ANALYZE {Identifier(table).as_string(None)}`, and look at the indexes below.",
        severity=Severity.WARNING,
    )
