"""The repair against one set-based UPDATE, alone and beside writers."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.utils import timezone

from sentinel.counters import repair_counters, select_rows
from tests.benchmarks.measuring import milliseconds
from tests.benchmarks.peers import (
    MESSAGES_COUNT,
    ROW_TRIGGERS,
    SENTINEL,
    fill_threads,
    index_counter,
    tidy,
)
from tests.benchmarks.pgbench import pgbench_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Connection
    from tests.benchmarks.peers import Peer

MESSAGES = 10  # of each thread
WRITERS = 4
MOST_ROUNDS = 3  # each takes half a minute
ATTEMPTS = 5
# As one finds it in runbooks: all threads, one statement, while others go on writing.
SET_BASED = """
UPDATE row_triggers.chat_threads AS thread
   SET thread_messages_count = counted.actual
  FROM (SELECT thread_id, count(*) AS actual
          FROM row_triggers.chat_messages
         GROUP BY thread_id) AS counted
 WHERE counted.thread_id = thread.id
   AND thread.thread_messages_count <> counted.actual
"""
# As counter_culture's `fix_counts` does it: read the totals, then write them.
READ_TOTALS = "SELECT thread_id, count(*) FROM row_triggers.chat_messages GROUP BY thread_id"
WRITE_TOTALS = """
UPDATE row_triggers.chat_threads AS thread
   SET thread_messages_count = total.actual
  FROM unnest(%s::integer[], %s::bigint[]) AS total (id, actual)
 WHERE total.id = thread.id AND thread.thread_messages_count <> total.actual
"""


def measure(bench: Bench) -> None:
    """Repair threads that all drift, alone and beside writers."""
    with bench.database.connect() as connection:
        bench.create(connection, SENTINEL, ROW_TRIGGERS)
        for peer in (SENTINEL, ROW_TRIGGERS):
            fill_threads(connection, peer, threads=bench.sizes.drifting_threads, messages=MESSAGES)
        index_counter(connection, ROW_TRIGGERS)  # both write the same indexes
        _repair_alone(bench, connection)
        _repair_beside_writers(bench, connection)


def _repair_alone(bench: Bench, connection: Connection) -> None:
    def repairing(peer: Peer, repair: Callable[[], object]) -> Callable[[], float]:
        def way() -> float:
            _plant_drift(connection, peer)
            tidy(connection, peer)
            return milliseconds(repair)

        return way

    bench.compare(
        "repair",
        {
            "repair": repairing(SENTINEL, _repair),
            "set_based": repairing(ROW_TRIGGERS, lambda: connection.execute(SET_BASED)),
        },
        rounds=min(bench.sizes.rounds, MOST_ROUNDS),
    )
    bench.check(connection, "repair", SENTINEL, ROW_TRIGGERS)


def _repair_beside_writers(bench: Bench, connection: Connection) -> None:
    seconds = bench.sizes.client_seconds
    during: list[float] = []
    before: list[float] = []
    left: dict[str, list[float]] = {"sentinel": [], "set_based": [], "read_then_write": []}
    for _ in range(min(bench.sizes.rounds, MOST_ROUNDS)):
        bench.tell("repair beside writers")
        _plant_drift(connection, SENTINEL)
        with _writers(bench, SENTINEL):
            before.append(_rate(connection, SENTINEL, lambda: time.sleep(seconds)))
            during.append(_rate(connection, SENTINEL, _repair))
        left["sentinel"].append(_drift(bench, connection, SENTINEL))
        for way, repair in (
            ("set_based", lambda: connection.execute(SET_BASED)),
            ("read_then_write", lambda: _read_then_write(connection)),
        ):
            _plant_drift(connection, ROW_TRIGGERS)
            with _writers(bench, ROW_TRIGGERS):
                time.sleep(seconds / 4)
                repair()
            left[way].append(_drift(bench, connection, ROW_TRIGGERS))
            connection.execute(SET_BASED)  # alone it is right
    bench.keep("repair, writers", "before", *before, unit="transactions/s")
    bench.keep("repair, writers", "during", *during, unit="transactions/s")
    for way, rows in left.items():
        bench.keep("repair, drift", way, *rows, unit="threads")
    bench.check(connection, "repair beside writers", SENTINEL)


def _repair() -> None:
    """Repair, and repair again what somebody held for too long, as an operator would."""
    for _ in range(ATTEMPTS):
        report = repair_counters(select_rows([MESSAGES_COUNT]), now=timezone.now())
        if report.complete:
            return


def _read_then_write(connection: Connection) -> None:
    totals = connection.execute(READ_TOTALS).fetchall()
    connection.execute(
        WRITE_TOTALS, [[thread for thread, _ in totals], [count for _, count in totals]]
    )


def _plant_drift(connection: Connection, peer: Peer) -> None:
    """Make every thread wrong, with no trigger to see it."""
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            f"UPDATE {peer.schema}.chat_threads SET thread_messages_count = -1, message_count = -1"
        )


def _drift(bench: Bench, connection: Connection, peer: Peer) -> float:
    bench.check(connection, "repair beside writers", peer)
    return float(bench.drifts.pop().rows)


@contextmanager
def _writers(bench: Bench, peer: Peer) -> Iterator[None]:
    """Clients that insert into any of the threads while the block runs."""
    command = pgbench_command(
        "insert_anywhere", clients=WRITERS, seconds=600, threads=bench.sizes.drifting_threads
    )
    clients = subprocess.Popen(  # noqa: S603 (PostgreSQL's own program)
        command,
        env=bench.database.environment(peer.schema),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(0.3)  # until they are connected
        yield
    finally:
        clients.terminate()
        clients.wait()


def _rate(connection: Connection, peer: Peer, work: Callable[[], object]) -> float:
    """Return how many messages a second were inserted while some work was done."""
    first, started = _last_message(connection, peer), time.perf_counter()
    work()
    return (_last_message(connection, peer) - first) / (time.perf_counter() - started)


def _last_message(connection: Connection, peer: Peer) -> int:
    [(last,)] = connection.execute(
        f"SELECT coalesce(max(id), 0) FROM {peer.schema}.chat_messages"
    ).fetchall()
    return int(last)
