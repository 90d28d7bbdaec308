"""A repair that is killed leaves whole batches, and nothing that stands in the way of the next."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from sentinel.counters import audit_counter, find_counters
from tests.concurrency.test_repair import drifting, repair, wait_for_waiting
from tests.concurrency.writers import connect
from tests.examples import CHILD_EXAMPLES
from tests.rows import Rows, execute, literal
from tests.scratch import PROJECT, SERVER, ScratchDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

THREADS = "chat_threads.thread_messages_count"
WAITS_FOR_US = "PERFORM pg_advisory_xact_lock(4711);"

# Where the second of three batches comes to stand: what a trigger there waits for, this test holds.
STEPS = {
    "in its write": "CREATE TRIGGER waiting BEFORE UPDATE ON chat_threads"
    " FOR EACH ROW WHEN (NEW.id = {second}) EXECUTE FUNCTION wait_for_the_test()",
    "in its record": "CREATE TRIGGER waiting BEFORE INSERT ON counter_repairs"
    " FOR EACH ROW WHEN (NEW.key = to_jsonb({second})) EXECUTE FUNCTION wait_for_the_test()",
    "in its commit": "CREATE CONSTRAINT TRIGGER waiting AFTER INSERT ON counter_repairs"
    " DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW WHEN (NEW.key = to_jsonb({second})) EXECUTE FUNCTION wait_for_the_test()",
}


@pytest.fixture
def threads(committed: None) -> Iterator[Rows]:
    [counter] = find_counters([THREADS])
    execute(
        "CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS {body}",
        body=literal(f"BEGIN {WAITS_FOR_US} RETURN NEW; END"),
    )
    yield Rows(counter, CHILD_EXAMPLES[THREADS])  # type: ignore[arg-type]
    execute("DROP FUNCTION IF EXISTS wait_for_the_test CASCADE")


@contextmanager
def started_repair() -> Iterator[subprocess.Popen[bytes]]:
    """The command, on the test's database, one row a batch."""
    parameters = connection.get_connection_params()
    database = ScratchDatabase(
        name=parameters["dbname"],
        server={key: parameters[key] for key in SERVER if parameters.get(key)},
    )
    command = [sys.executable, "manage.py", "repair_counters", "--counter", THREADS]
    with subprocess.Popen(  # noqa: S603 (our own command)
        [*command, "--batch-size", "1"],
        cwd=PROJECT,
        env=database.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def kill_when_it_waits_for(other: psycopg.Connection[Any]) -> None:
    with started_repair() as process:
        wait_for_waiting(other)
        process.kill()
        process.wait()


def assert_the_next_does_the_rest(threads: Rows, parents: list[Any], *, kept: int) -> None:
    """The killed one's sessions end; then a second run finds what is left, and repairs it."""
    wait_until_nobody_repairs()
    assert execute("SELECT count(*) FROM counter_repairs") == [(kept,)]
    assert audit_counter(threads.counter).rows_in_drift == len(parents) - kept
    report = repair(threads)
    assert (report.complete, report.rows_repaired) == (True, len(parents) - kept)
    threads.assert_counts(dict.fromkeys(parents, 1))
    assert execute("SELECT outcome, rows_repaired FROM counter_repair_runs ORDER BY id") == [
        ("broken", kept),
        ("complete", len(parents) - kept),
    ]


def wait_until_nobody_repairs() -> None:
    """The server ends a session at its next word to a client that is gone."""
    for _ in range(1000):
        if not execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ):
            return
        time.sleep(0.01)
    raise AssertionError("a session was left open for ten seconds")


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        ("in its write", 1),
        ("in its record", 1),
        ("in its commit", 2),
    ],  # a commit was sent: it is done
)
def test_a_repair_that_is_killed_within_a_batch_leaves_whole_batches(
    threads: Rows, step: str, kept: int
) -> None:
    parents = drifting(threads, 3)
    execute(STEPS[step], second=literal(parents[1]))
    with connect() as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(4711)")
        kill_when_it_waits_for(other)
    execute("DROP FUNCTION wait_for_the_test CASCADE")
    assert_the_next_does_the_rest(threads, parents, kept=kept)


def test_a_repair_that_is_killed_while_it_locks_leaves_the_batches_before_it(threads: Rows) -> None:
    parents = drifting(threads, 3)
    with connect() as other, other.transaction():
        other.execute("SELECT FROM chat_threads WHERE id = %s FOR UPDATE", [parents[1]])
        kill_when_it_waits_for(other)
    assert_the_next_does_the_rest(threads, parents, kept=1)


def test_a_repair_that_is_killed_while_it_looks_for_drift_has_done_nothing(threads: Rows) -> None:
    parents = drifting(threads, 3)
    with connect() as other, other.transaction():
        other.execute("LOCK TABLE chat_messages")
        kill_when_it_waits_for(other)
    assert_the_next_does_the_rest(threads, parents, kept=0)
