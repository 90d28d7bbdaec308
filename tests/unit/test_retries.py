"""Transactions that PostgreSQL ends for a reason that passes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from sentinel import retries
from sentinel.retries import ATTEMPTS, retry_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLOCK = "RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'"
SERIALISATION = "RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001'"
SLIP = "RAISE EXCEPTION 'new multixact has more than one updating member' USING ERRCODE = 'XX000'"
BROKEN = "RAISE EXCEPTION 'index is broken' USING ERRCODE = 'XX000'"


@pytest.fixture
def autocommit(django_db_setup: None, django_db_blocker) -> Iterator[None]:
    """A connection outside every transaction, as a request has it. Nothing is written."""
    with django_db_blocker.unblock():
        yield
        connection.close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that are asked for. Nobody waits for them."""
    asked: list[float] = []
    monkeypatch.setattr("sentinel.retries.time.sleep", asked.append)
    return asked


def raise_in_database(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN {statement}; END $$")


@pytest.mark.parametrize("statement", [DEADLOCK, SERIALISATION, SLIP])
def test_what_passes_is_tried_again(statement: str, autocommit: None, pauses: list[float]) -> None:
    failures = [statement, statement]

    @retry_transaction
    def work() -> str:
        if failures:
            raise_in_database(failures.pop())
        return "done"

    assert work() == "done"
    assert len(pauses) == 2


def test_it_is_tried_five_times_with_longer_and_longer_pauses(
    autocommit: None, pauses: list[float]
) -> None:
    tried = []

    @retry_transaction
    def work() -> None:
        tried.append(1)
        raise_in_database(DEADLOCK)

    with pytest.raises(OperationalError, match="deadlock"):
        work()
    assert len(tried) == ATTEMPTS == 5
    assert len(pauses) == 4
    for number, pause in enumerate(pauses):
        assert 0.5 <= pause / (retries.FIRST_PAUSE * 2**number) <= 1.5


def test_what_does_not_pass_is_not_tried_again(autocommit: None, pauses: list[float]) -> None:
    @retry_transaction
    def work() -> None:
        raise_in_database(BROKEN)

    with pytest.raises(DatabaseError, match="broken"):
        work()
    assert not pauses


def test_a_part_of_somebody_elses_transaction_is_not_tried_again(
    autocommit: None, pauses: list[float]
) -> None:
    @retry_transaction
    def work() -> None:
        raise_in_database(DEADLOCK)

    with pytest.raises(OperationalError), transaction.atomic():
        work()
    assert not pauses


def test_two_that_lock_in_opposite_order_both_come_through(
    autocommit: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Advisory locks stand for rows: each takes one, waits for the other's first, then crosses."""
    monkeypatch.undo()
    together = Barrier(2)
    deadlocks = []

    def lock(key: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])

    def cross(first: int, second: int) -> bool:
        attempts = []

        @retry_transaction
        def work() -> bool:
            attempts.append(1)
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL deadlock_timeout = '10ms'")
                lock(first)
                if len(attempts) == 1:
                    together.wait()
                lock(second)
            return True

        try:
            return work()
        finally:
            deadlocks.extend(attempts[1:])
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(cross, (4711, 4712), (4712, 4711))) == [True, True]
    assert deadlocks
