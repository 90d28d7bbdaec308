"""Repairs beside writers at full speed, and beside whoever holds what they need."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from sentinel.counters import (
    RepairLockLostError,
    RepairRunningError,
    RepairRunReport,
    Selection,
    audit_counter,
    repair_counters,
)
from sentinel.counters.guarding import guard_triggers
from sentinel.counters.repair_batch import LOCKED
from sentinel.counters.repair_lock import lock_repairs
from sentinel.counters.repair_run import begin_run
from sentinel.progress import Progress
from tests.concurrency.writers import connect
from tests.rows import Rows, execute, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARENTS = 20
WRITERS = 4
ROUNDS = 10


def repair(rows: Rows, **options: Any) -> RepairRunReport:
    return repair_counters([Selection(counter=rows.counter)], now=timezone.now(), **options)


def drifting(rows: Rows, number: int) -> list[Any]:
    """Parents with one child each whose counters say 9."""
    parents = [rows.parent() for _ in range(number)]
    for parent in parents:
        rows.child(parent)
    inject(rows, parents)
    return parents


def inject(rows: Rows, parents: list[Any]) -> None:
    """Make counters wrong, as a session can that switches the triggers off."""
    with connect() as session:
        session.execute("SET session_replication_role = replica")
        for parent in parents:  # one by one, as those do who deadlock with nobody
            session.execute(
                psycopg.sql.SQL("UPDATE {parent} SET {column} = {column} + 9 WHERE {key} = {it}")
                .format(**rows.names, it=literal(parent))
                .as_string(None)
            )


# ------------------------------------------------------------------------- writers at full speed


@dataclass
class Traffic:
    """Writers of children, who count what they have committed, and somebody who makes drift."""

    rows: Rows
    parents: list[Any]
    seed: int
    stopped: threading.Event = field(default_factory=threading.Event)
    turning: threading.Lock = field(default_factory=threading.Lock)
    wrong: list[Any] = field(default_factory=list)

    def write(self, number: int) -> int:
        """Insert and delete children until told to stop; return how many more there are."""
        chance = random.Random(f"{self.seed} {number}")
        added = 0
        with connect() as session:
            while not self.stopped.is_set():
                parent = literal(chance.choice(self.parents))
                if chance.random() < 0.7:
                    statement = (
                        "INSERT INTO {child} ({foreign_key}, {columns}) VALUES ({it}, {values})"
                    )
                else:
                    statement = (
                        "DELETE FROM {child} WHERE {id} = (SELECT {id} FROM {child}"
                        " WHERE {foreign_key} = {it} LIMIT 1 FOR UPDATE SKIP LOCKED)"
                    )
                query = psycopg.sql.SQL(statement).format(**self.rows.names, it=parent)
                done = session.execute(query.as_string(None)).rowcount
                added += done if statement.startswith("INSERT") else -done
        return added

    def make_drift(self) -> None:
        """Make one counter of `wrong` wrong after the other, until told to stop."""
        chance = random.Random(self.seed)
        while not self.stopped.is_set():
            with self.turning:
                inject(self.rows, [chance.choice(self.wrong)])

    def turn_to(self, parents: list[Any]) -> None:
        """Have these made wrong from now on, and no others."""
        with self.turning:
            self.wrong = parents

    @contextmanager
    def flowing(self) -> Iterator[list[Any]]:
        """Everybody at work; the number of children that were added is in the list at the end."""
        added: list[Any] = []
        with ThreadPoolExecutor(WRITERS + 1) as pool:
            writers = [pool.submit(self.write, number) for number in range(WRITERS)]
            maker = pool.submit(self.make_drift)
            try:
                yield added
            finally:
                self.stopped.set()
                added += [writer.result() for writer in writers]
                maker.result()


def run_rounds(
    rows: Rows, seed: int, repair_once: Callable[[], object], *, rounds: int = ROUNDS
) -> list[Any]:
    """Let somebody drift one half of the parents while the other is repaired, in turn.

    Returns the keys that an audit found wrong although nobody had made them so since their repair.
    """
    parents = [rows.parent() for _ in range(PARENTS)]
    halves = parents[::2], parents[1::2]
    traffic = Traffic(rows=rows, parents=parents, seed=seed, wrong=halves[0])
    unexpected: list[Any] = []
    with traffic.flowing() as added:
        for turn in range(rounds):
            drifting, repaired = halves[turn % 2], halves[1 - turn % 2]
            traffic.turn_to(drifting)
            inject(rows, repaired)
            repair_once()
            found = {drift.key for drift in audit_counter(rows.counter, sample=PARENTS).sample}
            unexpected += found & set(repaired)
            if unexpected:
                break
    [(children,)] = rows.sql("SELECT count(*) FROM {child}")
    assert children == sum(added), "a write was lost"
    return unexpected


def test_what_a_repair_has_repaired_is_exact_beside_writers_and_new_drift(
    committed_rows: Rows, seed: int
) -> None:
    rows = committed_rows
    unexpected = run_rounds(rows, seed, lambda: repair(rows, batch_size=5))
    assert not unexpected, f"repeat with --seed {seed}"
    assert repair(rows).complete
    assert audit_counter(rows.counter).exact
    [(kept,)] = execute("SELECT count(*) FROM counter_repairs WHERE before <> after")
    assert kept >= PARENTS


def test_a_repair_without_lock_and_guard_loses_writes_in_the_same_traffic(
    committed_rows: Rows, seed: int
) -> None:
    """Shows that the test above can fail."""
    rows = committed_rows
    counter = rows.counter
    guard = next(t for t in guard_triggers(counter) if t.name == f"{counter.field}_guard_update")

    def set_counts() -> None:
        rows.sql(
            "UPDATE {parent} SET {column} = (SELECT count(*) FROM {child}"
            " WHERE {foreign_key} = {parent}.{key})"
        )

    guard.uninstall(counter.parent)
    try:
        # It ends with the first loss, which seldom takes more than a few rounds.
        assert run_rounds(rows, seed, set_counts, rounds=50 * ROUNDS), f"repeat with --seed {seed}"
    finally:
        guard.install(counter.parent)


# ------------------------------------------------------------------------------ what is in the way


@contextmanager
def holding(rows: Rows, parent: Any) -> Iterator[psycopg.Connection[Any]]:
    """Somebody who has locked a parent and takes his time."""
    with connect() as other, other.transaction(force_rollback=True):
        other.execute(
            psycopg.sql.SQL("SELECT FROM {parent} WHERE {key} = {it} FOR UPDATE")
            .format(**rows.names, it=literal(parent))
            .as_string(None)
        )
        yield other


def test_a_row_that_stays_locked_is_skipped_and_the_rest_of_its_batch_is_repaired(
    committed_rows: Rows,
) -> None:
    rows = committed_rows
    parents = drifting(rows, 3)
    with holding(rows, parents[1]):
        report = repair(rows)
    [skipped] = report.counters[0].skipped
    assert (skipped.keys, skipped.reason) == ((parents[1],), LOCKED)
    assert (report.rows_repaired, report.complete) == (2, False)
    assert [drift.key for drift in audit_counter(rows.counter).sample] == [parents[1]]
    assert repair(rows).complete
    assert audit_counter(rows.counter).exact


def test_a_row_that_is_locked_for_a_while_is_repaired(committed_rows: Rows) -> None:
    rows = committed_rows
    [parent] = drifting(rows, 1)

    def repair_here() -> RepairRunReport:
        try:
            return repair(rows)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with holding(rows, parent) as other:
            repairing = pool.submit(repair_here)
            wait_for_waiting(other)
        assert repairing.result().complete
    assert audit_counter(rows.counter).exact


def wait_for_waiting(other: psycopg.Connection[Any]) -> None:
    """Return when somebody waits for what this connection holds."""
    for _ in range(1000):
        if other.execute(
            "SELECT FROM pg_locks WHERE NOT granted"
            " AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        ).fetchall():
            return
        time.sleep(0.01)
    raise AssertionError("nobody waited within ten seconds")


def test_a_batch_that_the_statement_timeout_ends_is_skipped_and_the_next_goes_on(
    committed_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.counters.repair_batch.BATCH_FIRST_PAUSE", 0)
    rows = committed_rows
    slow, quick = drifting(rows, 2)
    with foreign_trigger(rows, slow, "PERFORM pg_sleep(60);"):
        execute("SET statement_timeout = '300ms'")
        try:
            report = repair(rows, batch_size=1)
        finally:
            execute("RESET statement_timeout")
    [skipped] = report.counters[0].skipped
    assert skipped.keys == (slow,)
    assert "statement timeout" in skipped.reason
    assert [drift.key for drift in audit_counter(rows.counter).sample] == [slow]
    assert quick


@contextmanager
def foreign_trigger(rows: Rows, parent: Any, body: str) -> Iterator[None]:
    """A trigger of somebody else, which does something when one parent is written."""
    condition = psycopg.sql.SQL("NEW.{key} = {it}").format(**rows.names, it=literal(parent))
    rows.sql(
        "CREATE FUNCTION foreign_body() RETURNS trigger LANGUAGE plpgsql AS {body}",
        body=f"BEGIN IF {condition.as_string(None)} THEN {body} END IF; RETURN NEW; END",
    )
    rows.sql(
        "CREATE TRIGGER foreign_trigger BEFORE UPDATE ON {parent}"
        " FOR EACH ROW EXECUTE FUNCTION foreign_body()"
    )
    try:
        yield
    finally:
        execute("DROP FUNCTION foreign_body CASCADE")


# ----------------------------------------------------------------------------------- two at once


def test_the_second_of_two_repairs_says_who_runs_and_writes_nothing(committed_rows: Rows) -> None:
    rows = committed_rows
    drifting(rows, 1)
    with lock_repairs() as lock:
        with pytest.raises(RepairRunningError, match="another repair has just begun"):
            repair(rows)
        run = begin_run([rows.counter.name], backend=lock.backend, using="default")
        with pytest.raises(RepairRunningError, match=f"repair run {run} is at work") as error:
            repair(rows)
    assert f"pg_terminate_backend({lock.backend})" in str(error.value)
    assert audit_counter(rows.counter).rows_in_drift == 1
    assert repair(rows).complete, "the lock is gone with its holder"


def test_a_lock_leaves_nothing_behind_that_holds_back_vacuum(committed_rows: Rows) -> None:
    with lock_repairs() as lock:
        assert execute(
            "SELECT backend_xid, backend_xmin FROM pg_stat_activity WHERE pid = {pid}",
            pid=literal(lock.backend),
        ) == [(None, None)]


class AfterTheFirstBatch(Progress):
    """Does something once."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__()
        self.action = action

    def advance(self, number: int, *, position: float | None = None) -> None:
        if number == 1:
            self.action()


def test_a_repair_whose_lock_was_taken_away_stops_after_its_batch(committed_rows: Rows) -> None:
    rows = committed_rows
    drifting(rows, 3)

    def take_lock_away() -> None:
        execute("SELECT pg_terminate_backend(backend) FROM counter_repair_runs")
        wait_until_gone("SELECT backend FROM counter_repair_runs")

    with pytest.raises(RepairLockLostError, match="run it again"):
        repair(rows, batch_size=1, progress=AfterTheFirstBatch(take_lock_away))
    assert execute("SELECT outcome, rows_repaired FROM counter_repair_runs") == [("broken", 1)]
    assert repair(rows).rows_repaired == 2


def wait_until_gone(backend: str) -> None:
    for _ in range(1000):
        if not execute(f"SELECT FROM pg_stat_activity WHERE pid IN ({backend})"):
            return
        time.sleep(0.01)
    raise AssertionError("the server's process did not end within ten seconds")


def test_a_repair_whose_connection_is_lost_keeps_its_batches_and_the_next_does_the_rest(
    committed_rows: Rows,
) -> None:
    """A restart of the server, or of pgbouncer."""
    rows = committed_rows
    parents = drifting(rows, 3)

    def lose_connection() -> None:
        [(backend,)] = execute("SELECT pg_backend_pid()")
        with connect() as other:
            other.execute("SELECT pg_terminate_backend(%s)", [backend])

    with pytest.raises(OperationalError):
        repair(rows, batch_size=1, progress=AfterTheFirstBatch(lose_connection))
    connection.close()
    assert audit_counter(rows.counter).rows_in_drift == 2
    assert repair(rows).rows_repaired == 2
    rows.assert_counts(dict.fromkeys(parents, 1))
    assert execute("SELECT outcome FROM counter_repair_runs ORDER BY id") == [
        ("broken",),
        ("complete",),
    ]
