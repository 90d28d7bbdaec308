"""Fixtures of the whole suite."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.test.utils import setup_databases, teardown_databases
from psycopg.sql import SQL, Identifier

from sentinel.counters import ChildCount, RowValue, declared_counters, find_counters
from tests.examples import CHILD_EXAMPLES, ROW_EXAMPLES
from tests.rows import Rows
from tests.scratch import scratch_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import DjangoDbBlocker

__all__ = ["scratch_database"]

# Which counters each fixture stands for: a test runs once for every one of them.
CHOICES = {
    "rows": lambda counter: isinstance(counter, ChildCount),
    "conditional_rows": lambda counter: isinstance(counter, ChildCount) and counter.condition,
    "mirrored_rows": lambda counter: isinstance(counter, ChildCount) and counter.mirrors,
    "touching_rows": lambda counter: isinstance(counter, ChildCount) and counter.touches,
    "derived": lambda counter: isinstance(counter, RowValue),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", help="repeat the random writers of tests/concurrency", type=int)
    parser.addoption("--soak", help="minutes for the soak test", metavar="MINUTES", type=float)
    parser.addoption(
        "--takeover-messages",
        help="rows of chat_messages for tests/migrating/test_zero_downtime.py",
        metavar="NUMBER",
        type=int,
    )


def pytest_configure() -> None:
    # What a shell puts in the background ignores Ctrl-C, and so would what the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, chosen in CHOICES.items():
        if fixture in metafunc.fixturenames:
            names = [counter.name for counter in declared_counters() if chosen(counter)]
            metafunc.parametrize(fixture, names, indirect=True)


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_blocker: DjangoDbBlocker,
    django_db_modify_db_settings: None,
    django_db_keepdb: bool,  # noqa: FBT001 (a fixture)
    django_db_createdb: bool,  # noqa: FBT001 (a fixture)
) -> Iterator[None]:
    """Make the test database for every test that asks for it.

    pytest-django's own makes it only where a test of the run has its mark `django_db`. Tests with
    connections of their own have none: run alone, they would write to the real database.
    """
    with django_db_blocker.unblock():
        made = setup_databases(
            verbosity=0,
            interactive=False,
            keepdb=django_db_keepdb and not django_db_createdb,
            serialized_aliases=set(),  # nobody asks for a copy of what the migrations filled in
        )
    yield
    if not django_db_keepdb:
        with django_db_blocker.unblock():
            end_other_sessions(connection.settings_dict["NAME"])
            teardown_databases(made, verbosity=0)


def end_other_sessions(database: str) -> None:
    """Let nobody into a database any more, and end who is there: it is about to be dropped.

    The server goes on with what a client has asked for that a test has killed, and a page that a
    browser still shows asks again.
    """
    with connection._nodb_cursor() as cursor:
        cursor.execute(
            SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
            .format(Identifier(database))
            .as_string(None)
        )
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database]
        )


@pytest.fixture
def rows(request: pytest.FixtureRequest, db: None) -> Rows:
    """Rows of one declared counter."""
    [counter] = find_counters([request.param])
    assert isinstance(counter, ChildCount)
    assert counter.name in CHILD_EXAMPLES, (
        f"{counter.name} is declared, but the tests have no rows for it: "
        "add an example to CHILD_EXAMPLES in tests/examples.py"
    )
    return Rows(counter, CHILD_EXAMPLES[counter.name])


conditional_rows = mirrored_rows = touching_rows = rows


@pytest.fixture
def derived(request: pytest.FixtureRequest, db: None) -> RowValue:
    """One declared counter that follows from its own row."""
    [counter] = find_counters([request.param])
    assert isinstance(counter, RowValue)
    assert counter.name in ROW_EXAMPLES, (
        f"{counter.name} is declared, but the tests have no rows for it: "
        "add an example to ROW_EXAMPLES in tests/examples.py"
    )
    return counter
