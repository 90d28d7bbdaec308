"""Whether the indexes and foreign keys that counting relies on are there.

An index that serves the readers of a counter belongs to those readers: the app that has it looks
after it, and an invalid one is found here in any case.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sentinel.counters.binding import BoundCounter, ChildCount
from sentinel.counters.ledger import LedgerTotal
from sentinel.counters.problems import Problem, Severity
from sentinel.counters.statements import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.db.models import Model

    from sentinel.counters.catalog import Catalog, IndexState

# REINDEX CONCURRENTLY that fails leaves its half-built copy behind, by such a name.
HALF_BUILT = re.compile(r"_cc(new|old)\d*$")


def counted_rows(counter: BoundCounter) -> tuple[type[Model], tuple[str, ...]] | None:
    """Return the model whose rows a counter counts and the columns by which it finds them."""
    if isinstance(counter, ChildCount):
        return counter.child, (counter.foreign_key,)
    if isinstance(counter, LedgerTotal):
        return counter.child, tuple(counter.key_columns)
    return None


def serving_indexes(counter: BoundCounter, catalog: Catalog) -> list[IndexState]:
    """Return the indexes by which the rows of a counter are found, complete and valid."""
    counted = counted_rows(counter)
    if counted is None:
        return []
    child, columns = counted
    return [
        index
        for index in catalog.indexes
        if index.table == child._meta.db_table
        and index.valid
        and not index.partial
        and set(index.columns[: len(columns)]) == set(columns)
    ]


def relevant_indexes(counter: BoundCounter, catalog: Catalog) -> list[IndexState]:
    """Return the indexes that a counter's readers and its recounts may use, with their figures.

    On the parent those that begin with its key or hold the counter, on the counted rows those that
    begin with their key.
    """
    parent = counter.parent._meta.db_table
    counted = counted_rows(counter)
    child = counted[0]._meta.db_table if counted else None
    return [
        index
        for index in catalog.indexes
        if (index.table == parent and index.columns[0] == counter.key)
        or (index.table == parent and counter.column in index.columns)
        or (counted and index.table == child and index.columns[0] in counted[1])
    ]


def check_indexes(counters: Sequence[BoundCounter], catalog: Catalog) -> Iterator[Problem]:
    """Look for counted rows without an index on their key, and for indexes that are invalid."""
    for counter in counters:
        counted = counted_rows(counter)
        if counted is None or counted[0]._meta.db_table not in catalog.columns:
            continue
        if not serving_indexes(counter, catalog):
            yield _missing(counter, *counted)
    for index in catalog.indexes:
        if not index.valid:
            yield _invalid(index)


def check_foreign_keys(counters: Sequence[BoundCounter], catalog: Catalog) -> Iterator[Problem]:
    """Look for foreign keys that let a child come before its parent."""
    for counter in counters:
        if not isinstance(counter, ChildCount):
            continue
        for key in catalog.foreign_keys:
            own = (counter.child._meta.db_table, [counter.foreign_key])
            if (key.table, key.columns) == own and key.deferrable:
                table, constraint = quoted(key.table), quoted(key.constraint)
                yield Problem(
                    id="counters.foreign_key_deferrable",
                    subject=key.constraint,
                    message=f"Foreign key {constraint} of {table} is deferrable: it would let a "
                    "child come before its parent, which the engine refuses with an error.",
                    cure=f"Run `ALTER TABLE {table} ALTER CONSTRAINT {constraint} NOT DEFERRABLE`.",
                    severity=Severity.WARNING,
                )


def _missing(counter: BoundCounter, child: type[Model], columns: tuple[str, ...]) -> Problem:
    table = quoted(child._meta.db_table)
    keys = ", ".join(map(quoted, columns))
    return Problem(
        id="counters.index_missing",
        subject=counter.name,
        message=f"No index of {table} begins with {keys}: the guard, a repair and a deleted parent "
        "read the whole table.",
        cure=f"Run `CREATE INDEX CONCURRENTLY ON {table} ({keys})`.",
        severity=Severity.WARNING,
    )


def _invalid(index: IndexState) -> Problem:
    name = quoted(index.name)
    what = "DROP INDEX" if HALF_BUILT.search(index.name) else "REINDEX INDEX"
    return Problem(
        id="counters.index_invalid",
        subject=index.name,
        message=f"Index {name} of {quoted(index.table)} is invalid: no query uses it, and every "
        "write maintains it. Either it is being built (pg_stat_progress_create_index) or that "
        "has failed.",
        cure=f"If nobody is building it, run `{what} CONCURRENTLY {name}`.",
        severity=Severity.WARNING,
    )
