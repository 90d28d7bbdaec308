"""Real connections to a database whose commits are real."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from django.db import connection, connections

from sentinel.counters import ChildCount, find_counters
from tests.examples import CHILD_EXAMPLES
from tests.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

# Two parents of different make: one with a mirror and a touched column, one with two counters over
# the same child, a condition, and a foreign key that may be NULL.
WRITTEN_TO = ("chat_threads.thread_messages_count", "library_shelf.lent_books_count")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of all that is random, printed with a failure; `--seed N` repeats a run."""
    given = request.config.getoption("--seed")
    value = int(given) if given is not None else random.SystemRandom().randrange(10**6)
    print(f"--seed {value}")  # noqa: T201 (pytest shows it with a failure)
    return value


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker) -> Iterator[None]:
    """A database in which commits are real; the rows are removed afterwards.

    Django's own transactional fixture empties every table, the plans included, which a migration
    filled.
    """
    with django_db_blocker.unblock():
        yield
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE users, library_shelf, library_book CASCADE")
            cursor.execute("TRUNCATE counter_audits, counter_repairs, counter_repair_runs")
        connections.close_all()


@pytest.fixture(params=WRITTEN_TO)
def committed_rows(request: pytest.FixtureRequest, committed: None) -> Rows:
    [counter] = find_counters([request.param])
    assert isinstance(counter, ChildCount)
    return Rows(counter, CHILD_EXAMPLES[counter.name])
