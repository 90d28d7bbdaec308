"""Whether rows of a counted table can be written by another name, past its triggers."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from sentinel.counters.problems import Problem, Severity
from sentinel.counters.statements import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel.counters.catalog import Catalog

SHOWN = 3  # names in a message; a table may have hundreds of partitions


def check_partitions(catalog: Catalog) -> Iterator[Problem]:
    """Look for tables of the counters that have partitions or heirs, or are one.

    A statement fires the statement triggers of the table that it names, and of no other. So a
    counter is kept by what names its table, and the audit finds what was written past it.
    """
    for table, relatives in groupby(catalog.relatives, key=lambda relative: relative.table):
        names = [relative.name for relative in relatives]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield Problem(
            id="counters.table_partitioned",
            subject=table,
            message=f"Rows of {quoted(table)} are rows of {', '.join(names[:SHOWN])}{more} as "
            "well: a statement that names one of these, or takes it away, is not counted.",
            cure=f"Write to {quoted(table)} by its own name. After a partition was attached, "
            "detached, dropped or truncated run `manage.py repair_counters`.",
            severity=Severity.WARNING,
        )
