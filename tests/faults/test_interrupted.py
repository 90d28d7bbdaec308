"""A write that is interrupted: one clear error, and nothing of it was counted."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.errors import (
    AdminShutdown,
    DeadlockDetected,
    DivisionByZero,
    LockNotAvailable,
    NumericValueOutOfRange,
    QueryCanceled,
)

from tests.concurrency.writers import connect
from tests.faults.subject import WRITES, Subject, assert_all_exact
from tests.rows import insert, new_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGEST = 2**31 - 1  # what an integer column holds


@contextmanager
def held(subject: Subject, kind: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else has written the same counter, and does not end the transaction."""
    with connect() as other:
        subject.write(other, kind)  # so that there is a month's row to wait for
        with other.transaction(force_rollback=True):
            subject.write(other, kind)
            yield other


def wait_until(condition: Callable[[], object], what: str, *, seconds: int = 20) -> None:
    for _ in range(50 * seconds):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} seconds")


def waits(other: psycopg.Connection[Any], pid: int) -> bool:
    return bool(
        other.execute("SELECT FROM pg_locks WHERE pid = %s AND NOT granted", [pid]).fetchall()
    )


def assert_counted(subject: Subject, kind: str, number: int) -> None:
    with connect() as session:
        assert subject.stored(session, kind) == number
        subject.write(session, kind)
        assert subject.stored(session, kind) == number + 1, "and it goes on"
    assert_all_exact()


TIMEOUTS = {"statement_timeout": QueryCanceled, "lock_timeout": LockNotAvailable}


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("setting", TIMEOUTS)
def test_a_timeout_is_one_error_and_counts_nothing(
    subject: Subject, setting: str, kind: str
) -> None:
    with (  # noqa: PT012 (the whole transaction)
        held(subject, kind),
        connect() as session,
        pytest.raises(TIMEOUTS[setting]),
        session.transaction(),
    ):
        session.execute(f"SET LOCAL {setting} = '50ms'")
        subject.write(session, kind)
    assert_counted(subject, kind, 1)


@pytest.mark.parametrize("kind", WRITES)
def test_what_a_savepoint_takes_back_is_not_counted(subject: Subject, kind: str) -> None:
    """The transaction goes on after the error, and what came before it stays."""
    with connect() as session, session.transaction():
        subject.write(session, kind)
        with pytest.raises(DivisionByZero), session.transaction():  # noqa: PT012 (the whole transaction)
            subject.write(session, kind)
            session.execute("SELECT 1 / 0")
        subject.write(session, kind)
    assert_counted(subject, kind, 2)


ENDINGS = {"pg_cancel_backend": QueryCanceled, "pg_terminate_backend": AdminShutdown}


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_write_that_is_ended_from_outside_is_one_error_and_counts_nothing(
    subject: Subject, ending: str, kind: str
) -> None:
    with held(subject, kind) as other, ThreadPoolExecutor(1) as pool:
        session = connect()
        pid = session.info.backend_pid
        job = pool.submit(subject.write, session, kind)
        try:
            wait_until(lambda: waits(other, pid), "the write waits")
        finally:
            other.execute(f"SELECT {ending}(%s)", [pid])
        with pytest.raises(ENDINGS[ending]):
            job.result()
        session.close()
    assert_counted(subject, kind, 1)


def hang_up(session: psycopg.Connection[Any]) -> None:
    """Let the client be gone without a word, as when its machine is."""
    with socket.socket(fileno=os.dup(session.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("kind", WRITES)
def test_a_client_that_is_gone_in_the_middle_has_counted_nothing(
    subject: Subject, kind: str
) -> None:
    with connect() as other:
        session = connect()
        pid = session.info.backend_pid
        session.execute("BEGIN")
        subject.write(session, kind)
        hang_up(session)
        with pytest.raises(psycopg.OperationalError):
            session.execute("COMMIT")
        session.close()
        wait_until(
            lambda: (
                not other.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchall()
            ),
            "the server notices",
        )
    assert_counted(subject, kind, 0)


# --------------------------------------------------------------------------------- out of the range


def test_a_message_beyond_what_the_counter_holds_is_refused(subject: Subject) -> None:
    """Only drift leads there; nothing is counted, and a repair makes it right."""
    with connect() as session:
        with session.transaction():
            session.execute("SET LOCAL session_replication_role = replica")
            session.execute(
                "UPDATE chat_threads SET thread_messages_count = %s, message_count = %s"
                " WHERE id = %s",
                [LARGEST, LARGEST, subject.thread],
            )
        with pytest.raises(NumericValueOutOfRange):
            subject.write(session, "a message")
        assert session.execute(
            "SELECT count(*) FROM chat_messages WHERE thread_id = %s", [subject.thread]
        ).fetchall() == [(0,)]
        session.execute(
            "UPDATE chat_threads SET thread_messages_count = NULL WHERE id = %s", [subject.thread]
        )
    assert_counted(subject, "a message", 0)


@pytest.mark.parametrize("kind", ["an admitted use", "an event"])
def test_a_use_beyond_what_the_month_holds_is_refused(subject: Subject, kind: str) -> None:
    with connect() as session:
        session.execute(
            "INSERT INTO feature_usage_events (user_id, feature, quantity)"
            " VALUES (%(user)s, %(feature)s, %(largest)s)",
            subject.values | {"largest": LARGEST},
        )
        with pytest.raises(NumericValueOutOfRange):
            subject.write(session, kind)
        assert subject.stored(session, kind) == LARGEST
        session.execute(
            "INSERT INTO feature_usage_events (user_id, feature, quantity, reason)"
            " VALUES (%(user)s, %(feature)s, -1, 'room for one more')",
            subject.values,
        )
    assert_counted(subject, kind, LARGEST - 1)


# ---------------------------------------------------------------------------------------- deadlock


@pytest.mark.parametrize("kind", WRITES)
def test_opposite_transactions_end_in_one_clean_deadlock(subject: Subject, kind: str) -> None:
    """Each statement locks in key order; no engine can order what somebody does in several."""
    user = new_user()
    thread = insert("chat_threads", {"user_id": user, "title": "Rome"}, returning="id")
    opposite = Subject(user=user, thread=thread)

    with connect() as one, connect() as two, ThreadPoolExecutor(1) as pool:
        for each in (subject, opposite):
            each.write(one, kind)
        one.execute("BEGIN")
        two.execute("BEGIN")
        subject.write(one, kind)
        opposite.write(two, kind)
        job = pool.submit(opposite.write, one, kind)
        with connect() as watcher:
            wait_until(lambda: waits(watcher, one.info.backend_pid), "the first one waits")
        errors = []
        try:
            subject.write(two, kind)
        except DeadlockDetected as error:
            errors.append(error)
        if errors:
            two.rollback()  # the other one may go on
        try:
            job.result()
        except DeadlockDetected as error:
            errors.append(error)
        for session in (one, two):
            session.execute("COMMIT")
    assert [error.sqlstate for error in errors] == ["40P01"]
    assert_counted(subject, kind, 2)
    assert_counted(opposite, kind, 2)
