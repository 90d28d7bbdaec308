"""Runs the queries of `sql/reporting.sql`."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from psycopg.sql import SQL

from sentinel.counters.statements import named_queries
from usage.statements import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

# Queries of which others are made. Each knows those before it.
PARTS = ("used", "members", "of_plan", "users", "limits")


@contextmanager
def one_snapshot(*, using: str) -> Iterator[None]:
    """Let all queries see the same moment, and write nothing.

    Inside a transaction of the caller's, its own isolation holds.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic(using=using):
        with connection.cursor() as cursor:
            for name in ("one_snapshot", "more_memory"):
                cursor.execute(named_queries("reporting", FOLDER)[name])
        yield


def query_rows(name: str, *, using: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run a query of this name and return its rows."""
    with connections[using].cursor() as cursor:
        cursor.execute(reporting_query(name), values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


@cache
def reporting_query(name: str) -> str:
    """Return the text of a query, with the others that it is made of."""
    texts = named_queries("reporting", FOLDER)
    parts: dict[str, SQL] = {}
    for part in PARTS:
        parts[part] = SQL(SQL(texts[part]).format(**parts).as_string(None))
    return SQL(texts[name]).format(**parts).as_string(None)
