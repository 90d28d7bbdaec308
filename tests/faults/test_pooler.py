"""Behind pgbouncer in transaction mode, where two transactions may run in two sessions."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connection, transaction
from django.utils import timezone

from sentinel.counters import RepairRunningError, Selection, find_counters, repair_counters
from sentinel.counters.repair_lock import lock_repairs
from tests import test_story
from tests.archiving import archive, run_archive
from tests.concurrency import test_archive
from tests.concurrency.conftest import committed_rows
from tests.concurrency.writers import Writer, connect, write_at_random
from tests.faults.pooler import SESSIONS, Pooler, own_pooler
from tests.faults.subject import assert_all_exact
from tests.legacy.conftest import legacy_database
from tests.rows import Rows, literal
from usage.archiving.run import ArchiveRunningError, lock_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scratch import ScratchDatabase

__all__ = ["archive", "committed_rows", "legacy_database"]

THREADS = "chat_threads.thread_messages_count"
CLIENTS = 8
OPERATIONS_EACH = 60


@pytest.fixture(scope="module")
def pooler(django_db_setup: None, django_db_blocker) -> Iterator[Pooler]:
    with django_db_blocker.unblock(), own_pooler() as pooler:
        yield pooler


@pytest.fixture
def pooled(pooler: Pooler, committed: None) -> Iterator[Pooler]:
    with pooler.before_the_suite():
        yield pooler


def test_two_transactions_of_one_client_run_in_two_sessions(pooled: Pooler) -> None:
    """Shows that the tests below can fail: whoever keeps something in a session loses it."""
    ask = "SELECT pg_backend_pid()"
    with connect() as one, connect() as other:
        [(before,)] = one.execute(ask).fetchall()
        with other.transaction():
            assert other.execute(ask).fetchall() == [(before,)], "the session that was let go"
            [(after,)] = one.execute(ask).fetchall()
    assert before != after


def test_the_story_of_a_message_comes_true(pooled: Pooler) -> None:
    with transaction.atomic():  # it switches the triggers off, for its transaction
        test_story.test_the_story_of_a_message()


def test_the_story_of_a_use_comes_true(pooled: Pooler) -> None:
    test_story.test_the_story_of_a_use()


def test_random_writers_leave_no_drift(pooled: Pooler, committed_rows: Rows, seed: int) -> None:
    done = write_at_random(
        committed_rows,
        seed=seed,
        operations=Writer.PLAIN,
        connections=CLIENTS,
        each=OPERATIONS_EACH,
    )
    assert_all_exact()
    missing = [name for name in Writer.PLAIN if not done[name]]
    assert not missing, f"the run never did {missing}: {done}"


# ------------------------------------------------------------------------------ repair and archive


def make_wrong(pooler: Pooler, rows: Rows, parents: list[Any]) -> None:
    """In a session that keeps its settings, past the pooler."""
    name = str(connection.settings_dict["NAME"])
    with psycopg.connect(dbname=name, autocommit=True, **pooler.server) as session:
        session.execute("SET session_replication_role = replica")
        for parent in parents:
            statement = psycopg.sql.SQL(
                "UPDATE {parent} SET {column} = {column} + 9 WHERE {key} = {it}"
            ).format(**rows.names, it=literal(parent))
            session.execute(statement.as_string(None))


def repair(rows: Rows) -> int:
    report = repair_counters([Selection(counter=rows.counter)], now=timezone.now(), batch_size=5)
    return report.rows_repaired


def test_a_repair_beside_writers_makes_true_what_was_wrong(
    pooled: Pooler, committed_rows: Rows, seed: int
) -> None:
    """The writers have parents of their own: nobody but the repair writes those that are wrong."""
    rows = committed_rows
    wrong = [rows.parent() for _ in range(20)]

    def repair_on_and_on() -> int:
        repaired = 0
        try:
            while True:
                make_wrong(pooled, rows, wrong)
                repaired += repair(rows)
                if writers_are_done.is_set():
                    return repaired
        finally:
            connection.close()

    writers_are_done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        repairing = pool.submit(repair_on_and_on)
        try:
            write_at_random(
                rows, seed=seed, operations=Writer.PLAIN, connections=4, each=OPERATIONS_EACH
            )
        finally:
            writers_are_done.set()
    assert repairing.result() >= len(wrong)
    assert repair(rows) == 0
    assert_all_exact()


def test_a_second_run_is_kept_out(pooled: Pooler) -> None:
    """A lock of a session would be given to both: the second gets the session of the first."""
    selections = [Selection(counter=counter) for counter in find_counters([THREADS])]
    with lock_repairs(), pytest.raises(RepairRunningError):
        repair_counters(selections, now=timezone.now())
    with lock_archive(), pytest.raises(ArchiveRunningError):
        run_archive()


def test_the_next_run_begins_at_once(pooled: Pooler) -> None:
    """Who hangs up within a transaction leaves it to the pooler to end it, some time later."""
    for _ in range(5):
        with ExitStack() as at_once:  # so that there is a session for the next run, and no delay
            for _ in range(SESSIONS):
                session = at_once.enter_context(connect())
                at_once.enter_context(session.transaction())
                session.execute("SELECT 1")
        for _ in range(SESSIONS):
            with lock_repairs():
                pass


def test_an_archive_beside_writers_loses_nothing(pooled: Pooler, archive: None) -> None:
    test_archive.test_who_writes_to_live_months_is_neither_stopped_nor_miscounted()


# ------------------------------------------------------------------------------------- migrations


def test_the_deployed_system_is_taken_over(
    pooled: Pooler, legacy_database: ScratchDatabase
) -> None:
    legacy_database.run("UPDATE chat_threads SET message_count = message_count + 3")
    through_the_pooler = pooled.database(legacy_database.name)
    through_the_pooler.migrate()
    audit = through_the_pooler.manage("audit_counters")
    assert audit.returncode == 0, audit.stdout + audit.stderr
