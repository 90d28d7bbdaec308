"""Partitions of a counted table: what names the table is counted, what names a partition is not."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from sentinel.counters import (
    Problem,
    Selection,
    Severity,
    audit_counter,
    find_counters,
    find_problems,
    inspect_health,
    repair_counters,
)
from tests.cures import follow
from tests.rows import execute, insert

pytestmark = pytest.mark.django_db

BOOKS = "library_shelf.books_count"


def drift() -> list[tuple[Any, ...]]:
    [counter] = find_counters([BOOKS])
    return [(row.stored, row.actual) for row in audit_counter(counter).sample]


@pytest.fixture
def shelf() -> int:
    key: int = insert("library_shelf", {"name": "Travel"}, returning="id")
    return key


@pytest.fixture
def partitioned(shelf: int) -> int:
    """Books in two partitions, with the triggers that a cure installs."""
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("ALTER TABLE library_book RENAME TO library_book_before")
    execute("CREATE TABLE library_book (LIKE library_book_before) PARTITION BY LIST (is_lent)")
    execute("ALTER TABLE library_book ALTER is_lent SET DEFAULT false, ALTER title SET DEFAULT ''")
    execute("CREATE SEQUENCE library_books OWNED BY library_book.id")
    execute("ALTER TABLE library_book ALTER id SET DEFAULT nextval('library_books')")
    execute("CREATE TABLE books_here PARTITION OF library_book FOR VALUES IN (false)")
    execute("CREATE TABLE books_lent PARTITION OF library_book FOR VALUES IN (true)")
    for problem in find_problems():
        follow(problem.cure)
    return shelf


def test_what_names_the_table_is_counted(partitioned: int) -> None:
    execute(f"INSERT INTO library_book (shelf_id) SELECT {partitioned} FROM generate_series(1, 3)")
    execute("UPDATE library_book SET is_lent = true WHERE id = (SELECT min(id) FROM library_book)")
    execute("DELETE FROM library_book WHERE id = (SELECT max(id) FROM library_book)")
    assert execute("SELECT books_count, lent_books_count FROM library_shelf") == [(2, 1)]
    assert drift() == []


@pytest.mark.parametrize(
    ("write", "found"),
    [
        ("INSERT INTO books_here (id, shelf_id) VALUES (1000, {shelf})", (3, 4)),
        ("DELETE FROM books_here WHERE id IN (SELECT id FROM books_here LIMIT 2)", (3, 1)),
        ("TRUNCATE books_here", (3, 0)),
        ("DROP TABLE books_here", (3, 0)),
        ("ALTER TABLE library_book DETACH PARTITION books_here", (3, 0)),
    ],
)
def test_what_names_a_partition_is_not_and_the_audit_finds_it(
    partitioned: int, write: str, found: tuple[int, int]
) -> None:
    execute(f"INSERT INTO library_book (shelf_id) SELECT {partitioned} FROM generate_series(1, 3)")
    execute(write.format(shelf=partitioned))
    assert drift() == [found]
    [counter] = find_counters([BOOKS])
    assert repair_counters([Selection(counter=counter)], now=timezone.now()).complete
    assert drift() == []


def test_what_names_a_table_above_is_not_and_the_audit_finds_it(shelf: int) -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("ALTER TABLE library_book ALTER id DROP IDENTITY")
    execute("CREATE TABLE library (LIKE library_book) PARTITION BY LIST (is_lent)")
    execute("ALTER TABLE library ATTACH PARTITION library_book DEFAULT")
    execute(f"INSERT INTO library (id, shelf_id, title, is_lent) VALUES (1, {shelf}, '', false)")
    assert drift() == [(0, 1)]


def warnings() -> list[Problem]:
    return [found for found in inspect_health() if found.id == "counters.table_partitioned"]


def test_partitions_are_worth_a_warning(partitioned: int) -> None:
    [warning] = warnings()
    assert (warning.subject, warning.severity) == ("library_book", Severity.WARNING)
    assert "books_here, books_lent as well" in warning.message


def test_a_table_that_others_inherit_from_is_worth_a_warning(db: None) -> None:
    assert warnings() == []
    execute("CREATE TABLE library_treasure () INHERITS (library_book)")
    [warning] = warnings()
    assert "library_treasure" in warning.message
