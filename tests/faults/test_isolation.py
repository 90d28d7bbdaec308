"""Every isolation level is exact; whoever comes too late gets one error that may be retried."""

from __future__ import annotations

import random
from collections import Counter as Tally
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg.errors import DeadlockDetected, SerializationFailure

from tests.concurrency.writers import connect
from tests.faults.subject import COUNTER_OF, WRITES, Subject, assert_all_exact
from tests.rows import insert, new_user

LEVELS = [
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
]
STRICT = LEVELS[1:]
WRITERS = 6
TRANSACTIONS_EACH = 30


def connect_at(level: IsolationLevel) -> psycopg.Connection[Any]:
    """A connection on which every transaction is of a level."""
    session = connect()
    session.isolation_level = level
    return session


def title(level: IsolationLevel) -> str:
    return level.name.lower()


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("level", STRICT, ids=title)
def test_a_transaction_that_came_too_late_fails_once_and_then_counts(
    subject: Subject, level: IsolationLevel, kind: str
) -> None:
    with connect() as one, connect_at(level) as two:
        with pytest.raises(SerializationFailure), two.transaction():  # noqa: PT012 (the whole transaction)
            two.execute("SELECT count(*) FROM users")  # its snapshot is taken here
            subject.write(one, kind)
            subject.write(two, kind)
        assert subject.stored(one, kind) == 1, "nothing of what failed was counted"
        with two.transaction():
            subject.write(two, kind)
        assert subject.stored(one, kind) == 2
    assert_all_exact()


@pytest.mark.parametrize("kind", WRITES)
def test_a_transaction_of_the_usual_level_counts_beside_another(
    subject: Subject, kind: str
) -> None:
    with connect() as one, connect_at(IsolationLevel.READ_COMMITTED) as two:
        with two.transaction():
            two.execute("SELECT count(*) FROM users")
            subject.write(one, kind)
            subject.write(two, kind)
        assert subject.stored(one, kind) == 2
    assert_all_exact()


@pytest.mark.parametrize("level", STRICT, ids=title)
def test_a_counter_that_is_recounted_from_an_old_snapshot_is_refused(
    subject: Subject, level: IsolationLevel
) -> None:
    """NULL makes the guard count: in the transaction's own snapshot it would count too few."""
    with connect() as one, connect_at(level) as two:
        with pytest.raises(SerializationFailure), two.transaction():  # noqa: PT012 (the whole transaction)
            two.execute("SELECT count(*) FROM users")
            subject.write(one, "a message")
            two.execute(
                "UPDATE chat_threads SET thread_messages_count = NULL WHERE id = %s",
                [subject.thread],
            )
        assert subject.stored(one, "a message") == 1
    assert_all_exact()


def work(subjects: list[Subject], level: IsolationLevel, seed: str) -> Tally[tuple[int, str]]:
    """Commit transactions of one to three writes, again and again until each is done."""
    chance = random.Random(seed)
    done: Tally[tuple[int, str]] = Tally()
    with connect_at(level) as session:
        for _ in range(TRANSACTIONS_EACH):
            writes = [
                (chance.randrange(len(subjects)), chance.choice(list(WRITES)))
                for _ in range(chance.randint(1, 3))
            ]
            commit(session, subjects, writes)
            done.update((place, COUNTER_OF[kind]) for place, kind in writes)
    return done


def commit(
    session: psycopg.Connection[Any], subjects: list[Subject], writes: list[tuple[int, str]]
) -> None:
    """Only what may be tried again is tried again; anything else fails the test."""
    for _ in range(1000):
        try:
            with session.transaction():
                for place, kind in writes:
                    subjects[place].write(session, kind)
        except (SerializationFailure, DeadlockDetected):
            continue
        return
    raise AssertionError(f"a transaction lost a thousand times: {writes}")


@pytest.mark.parametrize("level", LEVELS, ids=title)
def test_writers_of_every_kind_lose_nothing(
    committed: None, seed: int, level: IsolationLevel
) -> None:
    subjects = []
    for _ in range(6):
        user = new_user()
        thread = insert("chat_threads", {"user_id": user, "title": "Oslo"}, returning="id")
        subjects.append(Subject(user=user, thread=thread))
    with ThreadPoolExecutor(WRITERS) as pool:
        jobs = [pool.submit(work, subjects, level, f"{seed} {number}") for number in range(WRITERS)]
        done = sum((job.result() for job in jobs), Tally())
    with connect() as session:
        found = Tally(
            {
                (place, COUNTER_OF[kind]): subject.stored(session, kind)
                for place, subject in enumerate(subjects)
                for kind in ("a message", "an event")
            }
        )
    assert found == done, f"repeat with --seed {seed}"
    assert_all_exact()
