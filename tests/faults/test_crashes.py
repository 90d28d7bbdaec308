"""A server that dies under load: what it has acknowledged is there, and every counter is exact."""

from __future__ import annotations

import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connections

from tests.faults.server import OwnServer, connected_as, own_server
from tests.faults.subject import WRITES, Subject, assert_all_exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scratch import ScratchDatabase

KILLS = 10
WRITERS = 6
SUBJECTS = 4
AT_LEAST = 20  # commits that are acknowledged before each kill
ALIAS = "own"
COUNTERS = [
    "chat_threads.thread_messages_count",
    "feature_usage.usage_count",
    "travel_itineraries.destinations_count",
]


@pytest.fixture(scope="module")
def server(django_db_setup: None, django_db_blocker) -> Iterator[OwnServer]:
    with django_db_blocker.unblock(), own_server() as server:
        server.database("postgres").run("CREATE DATABASE load")
        server.database("load").migrate()
        with connected_as(ALIAS, server.database("load")):
            yield server


@pytest.fixture
def database(server: OwnServer) -> ScratchDatabase:
    return server.database("load")


@pytest.fixture
def subjects(database: ScratchDatabase) -> list[Subject]:
    for (left,) in database.rows("SELECT gid FROM pg_prepared_xacts"):
        database.run(f"ROLLBACK PREPARED '{left}'")  # of a test that has failed
    database.run("TRUNCATE users CASCADE")
    found = database.rows(
        f"""
        WITH added AS (
            INSERT INTO users (email, password_hash)
                 SELECT 'reader' || n || '@example.org', '' FROM generate_series(1, {SUBJECTS}) AS n
              RETURNING id)
        INSERT INTO chat_threads (user_id, title) SELECT id, 'Oslo' FROM added
        RETURNING user_id, id
        """
    )
    return [Subject(user=user, thread=thread) for user, thread in found]


# ---------------------------------------------------------------------------------- a killed server


@dataclass
class Load:
    """Writers, each transaction of theirs with a token that stands in each of its rows.

    Attributes:
        acknowledged: tokens whose COMMIT was answered.
        unknown: tokens whose COMMIT may or may not have been done: nobody has answered.
    """

    database: ScratchDatabase
    subjects: list[Subject]
    acknowledged: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    enough: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def write(self, name: str) -> None:
        """Write until the server is gone."""
        chance = random.Random(name)
        number = 0
        token = ""
        try:
            with self.database.connect() as session:
                while True:
                    number += 1
                    token = f"{name}.{number}"
                    try:
                        self.commit(session, chance.choice(self.subjects), token)
                    except psycopg.errors.DeadlockDetected:
                        continue
                    self.acknowledged.append(token)
                    self.enough.release()
        except psycopg.OperationalError:
            self.unknown.append(token)

    def commit(self, session: psycopg.Connection[Any], subject: Subject, token: str) -> None:
        with session.transaction():
            session.execute(
                "INSERT INTO chat_messages (thread_id, role, content) VALUES (%s, 'user', %s)",
                [subject.thread, token],
            )
            session.execute(
                "SELECT admit_feature_usage(%s, 'map_export', 1, NULL, %s)", [subject.user, token]
            )


def recover(server: OwnServer) -> None:
    connections[ALIAS].close()  # it was lost with the server
    server.start()


def assert_kept(load: Load) -> None:
    """Both rows of each token or neither; every acknowledged one, and nothing that was not sent."""
    [(messages, events)] = load.database.rows(
        "SELECT (SELECT array_agg(content) FROM chat_messages),"
        " (SELECT array_agg(idempotency_key) FROM feature_usage_events)"
    )
    kept = set(messages)
    assert (len(kept), kept) == (len(messages), set(events)), "a transaction is there by half"
    assert not set(load.acknowledged) - kept, "lost, though acknowledged"
    assert not kept - set(load.acknowledged) - set(load.unknown)


def test_a_server_that_is_killed_under_load_loses_no_acknowledged_commit(
    server: OwnServer, subjects: list[Subject], seed: int
) -> None:
    load = Load(server.database("load"), subjects)
    chance = random.Random(seed)
    for kill in range(KILLS):
        with ThreadPoolExecutor(WRITERS) as pool:
            jobs = [pool.submit(load.write, f"{seed}.{kill}.{writer}") for writer in range(WRITERS)]
            for _ in range(AT_LEAST + chance.randrange(20)):
                assert load.enough.acquire(timeout=60), "the writers do not get on"
            server.end(signal.SIGQUIT if kill % 3 == 2 else signal.SIGKILL)
        for job in jobs:
            job.result()
        recover(server)
        assert_kept(load)
        assert_all_exact(using=ALIAS, names=COUNTERS)
    assert len(load.acknowledged) >= KILLS * AT_LEAST


# ------------------------------------------------------------------------------ two-phase commit


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("end", ["COMMIT PREPARED", "ROLLBACK PREPARED"])
def test_a_prepared_transaction_counts_when_it_is_committed(
    database: ScratchDatabase, subjects: list[Subject], kind: str, end: str
) -> None:
    subject = subjects[0]
    with database.connect() as session:
        session.execute("BEGIN")
        subject.write(session, kind)
        session.execute("PREPARE TRANSACTION 'ours'")
        assert subject.stored(session, kind) == 0
        session.execute(f"{end} 'ours'".encode())
        assert subject.stored(session, kind) == (end == "COMMIT PREPARED")
    assert_all_exact(using=ALIAS, names=COUNTERS)


def test_a_prepared_transaction_outlives_the_server_and_counts_then(
    server: OwnServer, subjects: list[Subject]
) -> None:
    database = server.database("load")
    with database.connect() as session:
        session.execute("BEGIN")
        for kind in WRITES:
            subjects[0].write(session, kind)
        session.execute("PREPARE TRANSACTION 'ours'")
    server.end(signal.SIGKILL)
    recover(server)
    assert_all_exact(using=ALIAS, names=COUNTERS)
    with database.connect() as session:
        session.execute("COMMIT PREPARED 'ours'")
        assert subjects[0].stored(session, "a message") == 1
        assert subjects[0].stored(session, "an event") == len(WRITES) - 1
    assert_all_exact(using=ALIAS, names=COUNTERS)


# -------------------------------------------------------------------------------------- a full disk


@pytest.fixture
def small_disk(server: OwnServer) -> Iterator[None]:
    """No file can be larger than 20 MB.

    The log, in files of 16 MB, is not concerned: without it a server ends, and recovers.
    """
    server.end(signal.SIGINT)
    server.largest_file = 20 * 2**20
    recover(server)
    yield
    server.end(signal.SIGINT)
    server.largest_file = None
    recover(server)


def test_a_disk_that_takes_no_more_is_one_error_and_counts_nothing(
    database: ScratchDatabase, subjects: list[Subject], small_disk: None
) -> None:
    subject = subjects[0]
    with database.connect() as session:
        subject.write(session, "a message")
        with (  # noqa: PT012 (the whole transaction)
            pytest.raises(psycopg.Error, match="could not extend file"),
            session.transaction(),
        ):
            subject.write(session, "an event")
            session.execute(
                "INSERT INTO chat_messages (thread_id, role, content)"
                " SELECT %s, 'user', repeat('.', 1900) FROM generate_series(1, 15000)",
                [subject.thread],
            )
        assert subject.stored(session, "a message") == 1
        assert subject.stored(session, "an event") == 0
        subject.write(session, "a message")
        assert subject.stored(session, "a message") == 2
    assert_all_exact(using=ALIAS, names=COUNTERS)
