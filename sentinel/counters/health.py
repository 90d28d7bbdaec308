"""Whether the database has what keeps the counters exact, as it was declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS

from sentinel.counters.catalog import read_catalog
from sentinel.counters.column_health import check_columns
from sentinel.counters.index_health import check_foreign_keys, check_indexes
from sentinel.counters.leftovers import check_foreign_writers, check_leftovers
from sentinel.counters.partition_health import check_partitions
from sentinel.counters.problems import Problem, serious_ones
from sentinel.counters.registry import counter_triggers, declared_counters
from sentinel.counters.trigger_health import check_triggers

if TYPE_CHECKING:
    from sentinel.counters.binding import BoundCounter


def find_problems(
    counter: BoundCounter | None = None, *, using: str = DEFAULT_DB_ALIAS
) -> list[Problem]:
    """Return what would let a counter drift; without a counter, what would let any of them.

    See `inspect_health`, which also returns what is only worth knowing.
    """
    return list(serious_ones(inspect_health(counter, using=using)))


def inspect_health(
    counter: BoundCounter | None = None, *, using: str = DEFAULT_DB_ALIAS
) -> list[Problem]:
    """Return all that is to be said about what keeps a counter: problems, warnings and notes.

    Without a counter: about all of them, about the triggers of the apps that our template installs
    without a counter, and about functions that nothing calls any more.

    Reads the catalogues only, so a role without rights on the tables can do it.
    """
    counters = declared_counters() if counter is None else [counter]
    expected = counter_triggers(counter)
    tables = {model._meta.db_table for model, _ in expected}
    catalog = read_catalog(tables, using=using)
    findings = [
        *check_columns(counters, tables, catalog),
        *check_triggers(expected, catalog),
        *check_leftovers(catalog, tables=None if counter is None else tables),
        *check_foreign_writers(counters, catalog),
        *check_indexes(counters, catalog),
        *check_foreign_keys(counters, catalog),
        *check_partitions(catalog),
    ]
    return list(dict.fromkeys(findings))  # two counters may share a table
